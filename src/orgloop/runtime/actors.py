"""Actors, opened before their first wake; the work of one that cannot be opened waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from orgloop.plugin import Clock, Context
from orgloop.runtime.pauses import Pauses
from orgloop.runtime.wiring import ActorPart, Wiring

log = logging.getLogger(__name__)

OPEN_TIMEOUT: Final = 10.0
"""Seconds that an actor may take to open, before it is tried again."""


class Actors:
    """Which actors are open. `on_open` hears of each."""

    def __init__(self, clock: Clock, lend: Callable[[str], Context], on_open: Callable[[str], None]) -> None:
        self._clock = clock
        self._lend = lend
        self._on_open = on_open
        self._open: dict[str, ActorPart] = {}
        self._opening: dict[str, tuple[ActorPart, asyncio.Task[None]]] = {}

    def is_open(self, part: ActorPart) -> bool:
        """Whether this actor can be woken."""
        opened = self._open.get(part.spec.id)
        return opened is not None and opened.actor is part.actor

    def use(self, wiring: Wiring) -> list[ActorPart]:
        """Open what is new. Returns what is not needed any more, to be closed once its wakes have ended."""
        retired = []
        for id, part in list(self._open.items()):
            if id not in wiring.actors or wiring.actors[id].actor is not part.actor:
                retired.append(self._open.pop(id))
        for id, (part, task) in list(self._opening.items()):
            if id not in wiring.actors or wiring.actors[id].actor is not part.actor:
                task.cancel()
                del self._opening[id]
        for id, part in wiring.actors.items():
            if id not in self._open and id not in self._opening:
                self._opening[id] = (part, asyncio.create_task(self._try(part), name=f"open {id}"))
        return retired

    async def retire(self, parts: list[ActorPart]) -> None:
        """Close these."""
        for part in parts:
            try:
                await part.actor.close()
            except Exception:
                log.exception("actor %s does not close", part.spec.id)

    async def close(self) -> None:
        """Close all."""
        for _, task in self._opening.values():
            task.cancel()
        self._opening.clear()
        parts, self._open = list(self._open.values()), {}
        await self.retire(parts)

    async def _try(self, part: ActorPart) -> None:
        pauses = Pauses()
        while True:
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    await part.actor.open(self._lend(part.spec.id))
                break
            except Exception as exc:
                log.warning(
                    "actor %s cannot be opened, its work waits: %s",
                    part.spec.id,
                    str(exc) or type(exc).__name__,
                )
                await self._clock.sleep(pauses.next())
        self._open[part.spec.id] = part
        self._opening.pop(part.spec.id, None)
        self._on_open(part.spec.id)
