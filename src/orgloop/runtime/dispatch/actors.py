"""Actors, opened before their first wake; the work of one that cannot be opened waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orgloop.errors import FAULTS
from orgloop.plugin import Clock, Context
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.retries import Pauses
from orgloop.runtime.support.supervisor import error_text, is_cancelled
from orgloop.runtime.wiring import ActorPart, Wiring

log = logging.getLogger(__name__)

OPEN_TIMEOUT: Final = 10.0
"""Seconds that an actor may take to open, before it is tried again."""


CLOSE_TIMEOUT: Final = 2.0
"""Seconds that an actor may take to close."""


class Actors:
    """Which actors are open. `on_open` hears of each."""

    def __init__(self, clock: Clock, lend: Callable[[str], Context], events: EngineEvents) -> None:
        self._clock = clock
        self._lend = lend
        self._events = events
        self._open: dict[str, ActorPart] = {}
        self._opening: dict[str, tuple[ActorPart, asyncio.Task[None]]] = {}
        self._failing: dict[str, str] = {}

    @property
    def failing(self) -> Mapping[str, str]:
        """Why the actors that cannot be opened cannot, by id."""
        return self._failing

    def is_open(self, part: ActorPart) -> bool:
        """Whether this actor can be woken."""
        opened = self._open.get(part.spec.id)
        return opened is not None and opened.actor is part.actor

    def use(self, wiring: Wiring) -> list[ActorPart]:
        """Open what is new. Returns what is not needed any more, to be closed once its wakes have ended."""
        retired = []
        for id, part in list(self._open.items()):
            if _is_replaced(part, wiring):
                retired.append(self._open.pop(id))
        for id, (part, task) in list(self._opening.items()):
            if _is_replaced(part, wiring):
                task.cancel()
                self._failing.pop(id, None)
                del self._opening[id]
                retired.append(part)
        for id, part in wiring.actors.items():
            if id not in self._open and id not in self._opening:
                self._opening[id] = (part, asyncio.create_task(self._try(part), name=f"open {id}"))
        return retired

    async def retire(self, parts: Sequence[ActorPart]) -> None:
        """Close these."""
        await asyncio.gather(*(_close(part) for part in parts))

    async def close(self) -> None:
        """Close all."""
        opening = list(self._opening.values())
        for _, task in opening:
            task.cancel()
        await asyncio.gather(*(task for _, task in opening), return_exceptions=True)
        parts = [*self._open.values(), *(part for part, _ in opening)]
        self._open, self._opening = {}, {}
        await self.retire(parts)

    async def _try(self, part: ActorPart) -> None:
        id = part.spec.id
        pauses = Pauses()
        while True:
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    await part.actor.open(self._lend(id))
                break
            except TimeoutError:
                error = f"not ready after {OPEN_TIMEOUT:g} s"
            except asyncio.CancelledError as exc:
                if is_cancelled():
                    raise
                error = error_text(exc)
            except FAULTS as exc:
                error = error_text(exc)
            self._failing[id] = error
            log.warning("actor %s cannot be opened, its work waits: %s", id, error)
            await self._clock.sleep(pauses.next())
        self._failing.pop(id, None)
        self._open[id] = part
        self._opening.pop(id, None)
        self._events.actor_opened(id)


def _is_replaced(part: ActorPart, wiring: Wiring) -> bool:
    now = wiring.actors.get(part.spec.id)
    return now is None or now.actor is not part.actor


async def _close(part: ActorPart) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await part.actor.close()
    except FAULTS:
        log.exception("actor %s does not close", part.spec.id)
