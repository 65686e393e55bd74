"""Wakes an actor for one claimed delivery, and settles how that ended."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from orgloop.core.deliveries.breaker import sign_of
from orgloop.core.deliveries.delivery import Move, idempotency_key, move
from orgloop.core.deliveries.retry import pause_delay
from orgloop.core.deliveries.transition import Hold, HoldReason, Interrupted, Outcome, Started
from orgloop.core.events.event import Event
from orgloop.errors import FAULTS, JournalUnavailable
from orgloop.journal.model import ClaimedWake, Settlement, Try
from orgloop.journal.protocols import Journal
from orgloop.plugin import (
    Clock,
    Completion,
    Delivered,
    Limited,
    NotBegun,
    Ref,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
    Wake,
    WakeSession,
)
from orgloop.runtime.dispatch.prompt import Sop, SopMissing, SopShelf, compose
from orgloop.runtime.runs.holder import mark_of
from orgloop.runtime.runs.runs import Runs
from orgloop.runtime.support.documents import load
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.marker import Marker
from orgloop.runtime.support.retries import until_written
from orgloop.runtime.support.sanitize import storable, text
from orgloop.runtime.support.supervisor import MAX_ERROR_TEXT, error_text, is_cancelled
from orgloop.runtime.wiring import ActorPart, Current, OpenRoute

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try: what was claimed, with the parts it needs."""

    claimed: ClaimedWake
    route: OpenRoute
    part: ActorPart
    event: Event
    sop: Sop | None
    began: int

    @property
    def tried(self) -> Try:
        """What the journal keeps of it."""
        sop = self.sop
        if sop is None:
            return Try(began=self.began)
        return Try(began=self.began, sop_hash=sop.hash, sop_file=sop.path, sop_text=sop.text)


class Executor:
    """Executes claimed wakes, and reports each settlement."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        current: Current,
        runs: Runs,
        marker: Marker,
        is_open: Callable[[ActorPart], bool],
        events: EngineEvents,
    ) -> None:
        self._current = current
        self._journal = journal
        self._clock = clock
        self._runs = runs
        self._marker = marker
        self._is_open = is_open
        self._events = events
        self._sops = SopShelf()

    async def execute(self, claimed: ClaimedWake, on_answer: Callable[[], None]) -> None:
        """Wake the actor. Returns when the outcome is on disk; a cancelled wake is handed back.

        `on_answer` is called when the actor is done with it and the outcome is about to be written.
        """
        began = self._clock.now()
        tried = Try(began=began)
        try:
            ready = self._attempt(claimed, began)
            if isinstance(ready, Attempt):
                tried = ready.tried
                outcome = await self._wake(ready)
                if outcome is None:
                    return
                transition: Outcome | Hold = outcome
            else:
                transition = ready
        except asyncio.CancelledError:
            await self._settle_now(claimed, Interrupted(crash=False), tried)
            raise
        except FAULTS as exc:
            log.exception("the prompt of %s for %s cannot be composed", claimed.actor, claimed.id)
            transition = Hold(
                reason=HoldReason.CONFIG, detail=f"the prompt cannot be composed: {error_text(exc)}"
            )
        on_answer()
        try:
            await self.settle(claimed, transition, tried)
        except asyncio.CancelledError:
            # The answer is known by now: it is written, not handed back. If it is on disk already, this does
            # nothing.
            await self._settle_now(claimed, transition, tried)
            raise

    async def settle(self, claimed: ClaimedWake, transition: Outcome | Hold, tried: Try) -> None:
        """Write the end of a try down, however long the journal needs to become writable again."""

        async def write(settlement: Settlement) -> bool:
            what = f"the outcome of {claimed.id}"
            return await until_written(self._clock, what, lambda: self._journal.settle(settlement))

        await self._settle(claimed, transition, tried, write)

    async def _settle_now(self, claimed: ClaimedWake, transition: Outcome | Hold, tried: Try) -> None:
        """The same at a stop, which waits for nobody: what cannot be written, the next start recovers."""
        try:
            await self._settle(claimed, transition, tried, self._journal.settle)
        except JournalUnavailable as exc:
            log.warning("the outcome of %s could not be written: %s", claimed.id, exc.message)

    async def _settle(
        self,
        claimed: ClaimedWake,
        transition: Outcome | Hold,
        tried: Try,
        write: Callable[[Settlement], Awaitable[bool]],
    ) -> None:
        try:
            settlement = self._settlement(claimed, transition, tried)
            written = await write(settlement)
        except JournalUnavailable:
            raise
        except Exception:
            # Nobody else would end this try: the delivery would stay running, and its key with it.
            log.exception("the outcome of %s cannot be stored as it is", claimed.id)
            settlement = self._settlement(claimed, _storable(transition), Try(began=tried.began))
            written = await write(settlement)
        if written:
            self._events.settled(claimed, settlement)

    def _settlement(self, claimed: ClaimedWake, transition: Outcome | Hold, tried: Try) -> Settlement:
        now = self._clock.now()
        moved = self.moved(claimed, transition, now)
        pause = pause_delay(claimed.pause_tries + 1, random.random()) if moved.pause_actor else None
        part = self._current.wiring.actors.get(claimed.actor)
        return Settlement(
            wake=claimed,
            transition=transition,
            move=moved,
            at=now,
            tried=tried,
            pause_until=now + pause if pause is not None else None,
            sign=sign_of(transition, part.spec.breaker, moved.detail) if part is not None else None,
        )

    def moved(self, claimed: ClaimedWake, transition: Outcome | Hold, now: int) -> Move:
        """The move that follows under the policy of the route as it is now."""
        return move(
            claimed.facts, transition, self._current.wiring.policy(claimed.route), now, random.random()
        )

    def _attempt(self, claimed: ClaimedWake, began: int) -> Attempt | Hold | Interrupted:
        route = self._current.wiring.routes.get(claimed.route)
        part = self._current.wiring.actors.get(claimed.actor)
        if route is None or part is None:
            missing = f"route {claimed.route}" if route is None else f"actor {claimed.actor}"
            return Hold(reason=HoldReason.REMOVED, detail=f"{missing} is no longer in the project")
        if not self._is_open(part):
            # Claimed for the actor that a new configuration has just replaced: its successor is not ready.
            return Interrupted(crash=False)
        sop = None
        if route.spec.prompt_file is not None:
            try:
                sop = self._sops.get(route.spec.prompt_file)
            except SopMissing as exc:
                return Hold(reason=HoldReason.NO_SOP, detail=str(exc))
        return Attempt(
            claimed=claimed, route=route, part=part, event=load(claimed.document), sop=sop, began=began
        )

    async def _wake(self, attempt: Attempt) -> Outcome | None:
        """Hand over, or start a run. None: the run owns the delivery now."""
        wake = self._wake_of(attempt)
        if attempt.part.has_runs:
            return await self._runs.start(attempt.claimed, attempt.part, wake, attempt.tried)
        actor = attempt.part.deliverer
        if actor is None:
            raise TypeError(f"{attempt.part.spec.id} has no deliver")
        wake = replace(wake, marker=self._marker.comment(mark_of(wake)))
        try:
            async with asyncio.timeout(wake.timeout):
                return _checked(await actor.deliver(wake))
        except TimeoutError:
            return Retry(reason=f"no answer within {wake.timeout:g} s", known=False)
        except asyncio.CancelledError as exc:
            if is_cancelled():
                raise
            return Retry(reason=error_text(exc), known=False)
        except FAULTS as exc:
            log.exception("actor %s raised", attempt.part.spec.id)
            return Retry(reason=error_text(exc), known=False)

    def _wake_of(self, attempt: Attempt) -> Wake:
        claimed, route, event = attempt.claimed, attempt.route, attempt.event
        document = event.document()
        events = (event, *(load(other.document) for other in claimed.others))
        sop = attempt.sop.rendered(document) if attempt.sop else None
        spec, organization = attempt.part.spec, self._current.wiring.organization
        return Wake(
            event=event,
            events=events,
            route=route.name,
            actor=claimed.actor,
            project=organization.name,
            delivery_id=claimed.id,
            idempotency_key=idempotency_key(claimed.id, claimed.facts.failures),
            attempt=claimed.facts.attempts + 1,
            prompt=compose(sop, events, claimed.id, has_file=attempt.part.supervised is not None)
            if spec.kind.wakes_agent or spec.has_runs
            else "",
            sop=sop,
            sop_file=attempt.sop.path if attempt.sop else None,
            config=route.config_for(document),
            account=claimed.account if claimed.account in organization.accounts else None,
            account_env=organization.account_env(claimed.account),
            session=WakeSession(key=claimed.key, id=claimed.session_id) if claimed.key is not None else None,
            timeout=route.spec.policy.timeout_ms / 1000,
        )


def _checked(outcome: Any) -> Outcome:
    """What `deliver` returned, if it is what its contract says."""
    match outcome:
        case (
            Delivered(detail=words)
            | Skipped(reason=words)
            | Rejected(reason=words)
            | Retry(reason=words)
            | Throttled(reason=words)
            | Unavailable(reason=words)
            | Limited(reason=words)
        ):
            kept: Outcome = outcome
            return kept if type(words) is str and len(words) <= MAX_ERROR_TEXT else storable(kept)
        case Started() | Completion() | NotBegun() | Ref():
            # It may have begun something: again would be twice, and the same comes of it each time.
            return Rejected(
                reason=f"an error of its connector: `deliver` returned a {type(outcome).__name__}, and only "
                "an actor that has runs begins one. Report this to the connector's author"
            )
        case _:
            return Retry(
                reason=f"the actor returned a {type(outcome).__name__}, which is not an outcome", known=False
            )


def _storable(transition: Outcome | Hold) -> Outcome | Hold:
    if isinstance(transition, Hold):
        return Hold(reason=transition.reason, detail=text(transition.detail))
    return storable(transition)
