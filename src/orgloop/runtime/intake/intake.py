"""Intake: drafts become events with all that they cause, committed before anybody is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Drop, Hold, Ready
from orgloop.core.events.document import parse_event
from orgloop.core.events.event import Event
from orgloop.core.events.likeness import MOST_BYTES, likeness
from orgloop.core.ids import DELIVERY, EVENT, TRACE, IdSequence
from orgloop.core.records.record import timestamp
from orgloop.errors import JournalUnavailable, Refused
from orgloop.journal.model import Acceptance, Accepted, EventRow, NewDelivery, NewEvent, Repeats
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Draft
from orgloop.runtime.intake.prepare import Preparation, prepare_now
from orgloop.runtime.support.documents import dump, event_of
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.wiring import Current, OpenRoute


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """The chain that an event continues."""

    trace_id: str
    parents: tuple[str, ...]
    hops: int

    @classmethod
    def after(cls, causes: Sequence[WakingEvent]) -> Lineage:
        """What a run begins that these woke together: it continues the chain that has the most hops."""
        longest = max(causes, key=lambda cause: cause.hops)
        parents = tuple(cause.id for cause in causes)
        return cls(trace_id=longest.trace_id, parents=parents, hops=longest.hops + 1)


class WakingEvent(Protocol):
    """An event that woke a run."""

    @property
    def id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def hops(self) -> int: ...


RECENT: Final = 60_000
"""Milliseconds for which an event that could not be committed counts as a fault."""


class Intake:
    """The one way in. Reports every commit."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSequence,
        current: Current,
        events: EngineEvents,
    ) -> None:
        self._current = current
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._events = events
        self._refused: tuple[int, str] | None = None

    @property
    def fault(self) -> str:
        """Why the last event could not be committed, if that was within the last minute; else empty."""
        if self._refused is None or self._clock.now() - self._refused[0] > RECENT:
            return ""
        return self._refused[1]

    async def take(
        self,
        source: str,
        drafts: Sequence[Draft],
        *,
        request: str | None = None,
        checkpoint: str | None = None,
    ) -> Sequence[Accepted]:
        """Commit these drafts of `source`; returns after they are on disk.

        Raises Overloaded or JournalUnavailable: then nothing was taken.
        """
        return await self.commit(self.acceptance(source, drafts, request=request, checkpoint=checkpoint))

    async def commit(self, acceptance: Acceptance) -> Sequence[Accepted]:
        """Commit a ready acceptance and tell who waits for it."""
        try:
            accepted = await self._journal.accept(acceptance)
        except asyncio.CancelledError:
            # It may be on the disk all the same, or soon: whoever looks for it now looks after that.
            self._events.accepted(acceptance, ())
            raise
        except JournalUnavailable as exc:
            self._refused = (self._clock.now(), exc.message)
            raise
        self._refused = None
        self._events.accepted(acceptance, accepted)
        return accepted

    def committed(self, acceptance: Acceptance) -> None:
        """An acceptance was committed as part of something else."""
        self._events.accepted(
            acceptance, [Accepted(event_id=event.id, duplicate=False) for event in acceptance.events]
        )

    def acceptance(
        self,
        source: str,
        drafts: Sequence[Draft],
        *,
        request: str | None = None,
        checkpoint: str | None = None,
        lineage: Lineage | None = None,
    ) -> Acceptance:
        """The drafts as events, matched and prepared as far as that is possible without waiting."""
        now = self._clock.now()
        events = [
            self._event(
                self._envelope(source, draft, now, lineage or _caused(draft)), draft.key, now, draft.entity
            )
            for draft in drafts
        ]
        return Acceptance(source=source, at=now, events=events, request=request, checkpoint=checkpoint)

    def follow_up(self, source: str, draft: Draft, lineage: Lineage) -> Acceptance:
        """An event of a run."""
        return self.acceptance(source, [draft], lineage=lineage)

    def of_document(self, document: Mapping[str, Any], sources: Collection[str]) -> Acceptance:
        """An event that somebody hands in as a whole document; id, time and trace are kept if it has them.

        Raises Refused for what is no event, or comes from none of `sources`.
        """
        now = self._clock.now()
        defaults = {
            "id": self._ids.next(EVENT, now),
            "timestamp": timestamp(now),
            "trace_id": self._ids.next(TRACE, now),
        }
        event = parse_event(document, defaults, sources).event
        if event.is_replay:
            raise Refused(
                "this is not a new event: it has `replay_of`",
                hint="type `orgloop replay ID` to replay an event, or remove `replay_of`",
            )
        return Acceptance(
            source=event.source,
            at=now,
            # An id of its own makes it a fact: handed in twice, it is there once.
            events=[self._event(event, document.get("id") or None, now)],
        )

    def replay(self, row: EventRow, route: str = "") -> Acceptance:
        """An accepted event once more, for the routes that match it now, or for one of them.

        It has no identity, makes no waiting work needless, and no chain that repeats itself.
        """
        now = self._clock.now()
        event = event_of(row.document).replayed(self._ids.next(EVENT, now))
        new = self._event(event, None, now, row.entity, only=route)
        return Acceptance(source=row.source, at=now, events=[new])

    def _envelope(self, source: str, draft: Draft, now: int, lineage: Lineage | None) -> Event:
        return Event(
            id=self._ids.next(EVENT, now),
            timestamp=timestamp(now),
            source=source,
            type=draft.type,
            provenance=draft.provenance,
            payload=draft.payload,
            trace_id=lineage.trace_id if lineage else self._ids.next(TRACE, now),
            parents=lineage.parents if lineage else (),
            hops=lineage.hops if lineage else 0,
        )

    def _event(
        self, event: Event, identity: str | None, now: int, entity: str | None = None, *, only: str = ""
    ) -> NewEvent:
        document = event.document()
        platform_event = event.provenance.get("platform_event")
        content = dump(document)
        deliveries = [
            self._delivery(route, event, document, entity, now)
            for route in self._current.wiring.routes_for(document)
            if only in ("", route.name)
        ]
        is_replay = event.is_replay
        return NewEvent(
            id=event.id,
            source=event.source,
            type=event.type,
            platform_event=platform_event if isinstance(platform_event, str) else "",
            trace_id=event.trace_id,
            hops=event.hops,
            document=content,
            deliveries=deliveries,
            identity=identity,
            entity=entity,
            needless=() if is_replay else self._current.wiring.needless(document),
            repeats=(
                self._repeats(document, len(content)) if event.hops and deliveries and not is_replay else None
            ),
            is_replay=is_replay,
        )

    def _repeats(self, document: Mapping[str, Any], size: int) -> Repeats | None:
        """What it says, if a chain may not go on saying it."""
        most = self._current.wiring.organization.defaults.max_repeats
        return None if most is None or size > MOST_BYTES else Repeats(likeness(document), most)

    def _delivery(
        self, route: OpenRoute, event: Event, document: Mapping[str, Any], entity: str | None, now: int
    ) -> NewDelivery:
        id = self._ids.next(DELIVERY, now)
        if not route.bounded:
            return NewDelivery(
                id=id,
                route=route.name,
                actor=route.spec.actor,
                runs=route.has_runs,
                state=State.PREPARING,
                drop_key=route.drop_key_of(document),
                queue=route.spec.policy.queue,
            )
        prepared = prepare_now(route, event, document, entity)
        state, reason, detail = _entry(prepared)
        return NewDelivery(
            id=id,
            route=route.name,
            actor=route.spec.actor,
            runs=route.has_runs,
            state=state,
            reason=reason,
            detail=detail,
            key=prepared.key,
            once=prepared.once,
            document=prepared.document,
            steps=prepared.steps,
            batch=prepared.batch,
            turn=prepared.turn,
            drop_key=route.drop_key_of(document),
            queue=route.spec.policy.queue,
            ordered=route.spec.policy.ordered,
        )


def _caused(draft: Draft) -> Lineage | None:
    """What the run began that did it, one hop further."""
    cause = draft.cause
    if cause is None:
        return None
    return Lineage(trace_id=cause.trace_id, parents=(cause.event_id,), hops=cause.hops + 1)


def _entry(prepared: Preparation) -> tuple[State, str, str]:
    match prepared.transition:
        case Ready():
            return State.PENDING, "", ""
        case Drop(reason=reason, detail=detail):
            return State.DROPPED, reason, detail
        case Hold(reason=held, detail=detail):
            return State.HELD, held, detail
