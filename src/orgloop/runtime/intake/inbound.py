"""Requests from outside, for whichever source they are meant: translated, committed, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from orgloop.errors import NotFound, Overloaded, Refused
from orgloop.journal.model import Accepted, EventRow, NewEvent
from orgloop.plugin import Inbound, Received, Receiver, Reply
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.wiring import Current, SourcePart, Wiring

OPENS: Final = 2.0
"""Seconds that a request waits for its source to open, at a start or a reload."""

RECEIVES: Final = 30.0
"""Seconds that a source may take over one request; each holds a connection meanwhile."""


class InboundIntake:
    """The way in for webhooks and for events that a person puts in."""

    def __init__(
        self,
        intake: Intake,
        current: Current,
        until_open: Callable[[SourcePart, float], Awaitable[bool]],
        events: EngineEvents,
    ) -> None:
        self._intake = intake
        self._current = current
        self._until_open = until_open
        self.refused = events.request_refused

    def receiver(self, source: str) -> Receiver:
        """The source that takes requests under this id. Raises NotFound naming those that do."""
        return receiver_of(self._current.wiring, source)

    async def receive(self, source: str, request: Inbound) -> tuple[Reply, Sequence[Accepted]]:
        """Hand a request to its source and commit what it means. The reply counts only now.

        Raises NotFound, Refused, Overloaded or JournalUnavailable: then nothing was taken.
        """
        receiver = self.receiver(source)
        if not await self._until_open(self._current.wiring.sources[source], OPENS):
            raise Overloaded(
                f"source {source!r} is not open yet", hint="send it again after a moment", retry_after=1
            )
        try:
            received = await _received(source, receiver, request)
        except Refused as exc:
            self.refused(source, exc)
            raise
        accepted: Sequence[Accepted] = ()
        if received.events:
            accepted = await self._intake.take(source, received.events, request=received.request)
        return received.reply, accepted

    async def emit(self, document: Mapping[str, Any]) -> Accepted:
        """Put a whole event in. Raises Refused for what is none, naming the field."""
        known = {*self._current.wiring.sources, *self._current.wiring.actors}
        return (await self._intake.commit(self._intake.of_document(document, known)))[0]

    async def replay(self, row: EventRow, route: str = "", *, dry_run: bool = False) -> NewEvent:
        """Process an accepted event again, for the routes that match it now or for one.

        Returns the new event. If no route matches it, or at a dry run, nothing is committed.
        Raises NotFound for a route that is not there.
        """
        wiring = self._current.wiring
        if route and route not in wiring.routes:
            raise NotFound(
                f"no route is called {route!r}", hint=f"there are: {', '.join(wiring.routes) or 'none'}"
            )
        acceptance = self._intake.replay(row, route)
        (event,) = acceptance.events
        if event.deliveries and not dry_run:
            await self._intake.commit(acceptance)
        return event


async def _received(source: str, receiver: Receiver, request: Inbound) -> Received:
    try:
        async with asyncio.timeout(RECEIVES):
            return await receiver.receive(request)
    except TimeoutError as exc:
        raise Refused(
            f"source {source!r} took too long over the request", hint="send it again later", status=504
        ) from exc
    except SystemExit as exc:
        raise RuntimeError(f"source {source!r} called sys.exit") from exc


def receiver_of(wiring: Wiring, source: str) -> Receiver:
    """The source that takes requests under this id. Raises NotFound naming those that do."""
    part = wiring.sources.get(source)
    if part is not None and part.receiver is not None:
        return part.receiver
    known = [id for id, other in wiring.sources.items() if other.receiver is not None]
    what = f"source {source!r} accepts no webhooks" if part is not None else f"unknown source {source!r}"
    raise NotFound(what, hint=f"sources that accept webhooks: {', '.join(known) or 'none'}")
