"""Loops that must not end: one that breaks is told of, and begun again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.errors import FAULTS
from orgloop.plugin import Clock
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.retries import Pauses

log = logging.getLogger(__name__)

STEADY: Final = 60.0
"""Seconds of work after which an earlier break is forgotten, and the next pause is short again."""


MAX_ERROR_TEXT: Final = 2000
"""Characters of an error that are kept: some libraries put whole pages into theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A loop that broke: `times` since the start, last at `at` (ms since 1970) and why."""

    at: int
    times: int
    error: str


class Supervisor:
    """Keeps loops going and remembers which of them broke."""

    def __init__(self, clock: Clock, events: EngineEvents) -> None:
        self._clock = clock
        self._events = events
        self._troubles: dict[str, Trouble] = {}

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """Every loop that has broken since the start, by its name."""
        return self._troubles

    def broke(self, what: str, exc: BaseException) -> None:
        """Log and remember that `what` broke."""
        known = self._troubles.get(what)
        self._troubles[what] = Trouble(
            at=self._clock.now(), times=known.times + 1 if known else 1, error=error_text(exc)
        )
        log.error("%s broke", what, exc_info=exc)
        self._events.part_broke(what, self._troubles[what].error)

    async def keep(self, what: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` until cancelled; whenever it ends or raises, again after a growing pause."""
        pauses = Pauses()
        while True:
            began = self._clock.monotonic()
            try:
                await loop()
                self.broke(what, RuntimeError("it ended without being asked to"))
            except asyncio.CancelledError as exc:
                if is_cancelled():
                    raise
                self.broke(what, exc)
            except FAULTS as exc:
                self.broke(what, exc)
            if self._clock.monotonic() - began > STEADY:
                pauses = Pauses()
            await self._clock.sleep(pauses.next())


class Errands:
    """Work that is done once, beside everything else. What breaks is told of."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin it; returns at once."""
        task = asyncio.create_task(work, name=what)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._supervisor.broke(what, error)

        task.add_done_callback(done)

    async def close(self) -> None:
        """Cancel what is not done."""
        await cancelled(self._tasks)


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel these and return when they have ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def is_cancelled() -> bool:
    """Whether this task was really asked to end. A CancelledError can also come out of a plugin by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def error_text(exc: BaseException) -> str:
    """An error on one bounded line that can be stored, whatever a plugin put into it."""
    try:
        text = str(exc).encode("utf-8", "replace").decode()
    except Exception:
        text = ""
    line = " ".join(text[: 2 * MAX_ERROR_TEXT].split())
    if len(line) > MAX_ERROR_TEXT:
        line = f"{line[:MAX_ERROR_TEXT]}…"
    return f"{type(exc).__name__}: {line}" if line else type(exc).__name__
