"""Sources at work: polls at their interval, never overlapping; listeners, restarted when they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from orgloop.errors import JournalUnavailable, OrgLoopError, Overloaded
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Context, Listener, Poller
from orgloop.runtime.intake import Intake
from orgloop.runtime.pauses import Pauses
from orgloop.runtime.tally import Tally
from orgloop.runtime.wiring import SourcePart, Wiring

log = logging.getLogger(__name__)

LONGEST_SLEEP: Final = 60.0
"""Seconds; a longer wait is cut, so that a stepped clock is noticed."""


class Sources:
    """All sources, each with a task of its own. `on_health(source, error)` hears of each change."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        intake: Intake,
        lend: Callable[[str], Context],
        on_health: Callable[[str, str], None],
        tally: Tally,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._intake = intake
        self._lend = lend
        self._on_health = on_health
        self._tally = tally
        self._tasks: dict[str, tuple[SourcePart, asyncio.Task[None]]] = {}
        self._failing: set[str] = set()
        self._next: dict[str, int] = {}

    @property
    def next_polls(self) -> Mapping[str, int]:
        """When each source is polled next, in ms since 1970; without those that are being polled."""
        return self._next

    async def use(self, wiring: Wiring) -> None:
        """Run these sources from now on; what did not change goes on."""
        gone = [
            (part, task)
            for id, (part, task) in self._tasks.items()
            if wiring.sources.get(id) is None or wiring.sources[id].source is not part.source
        ]
        for part, task in gone:
            del self._tasks[part.spec.id]
            await self._end(part, task)
        for id, part in wiring.sources.items():
            if id not in self._tasks:
                task = asyncio.create_task(self._run(part, self._lend(id)), name=f"source {id}")
                self._tasks[id] = (part, task)

    async def close(self) -> None:
        """Stop all."""
        tasks, self._tasks = list(self._tasks.values()), {}
        await asyncio.gather(*(self._end(part, task) for part, task in tasks))

    async def _end(self, part: SourcePart, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            await part.source.close()
        except Exception:
            log.exception("source %s does not close", part.spec.id)

    async def _run(self, part: SourcePart, ctx: Context) -> None:
        """Open, then poll and listen. What fails is tried again after a growing pause."""
        pauses = Pauses()
        while not await self._try_open(part, ctx):
            await self._clock.sleep(pauses.next())
        async with asyncio.TaskGroup() as group:
            if isinstance(part.source, Poller):
                group.create_task(self._poll(part, part.source))
            if isinstance(part.source, Listener):
                group.create_task(self._listen(part, part.source, ctx))

    async def _try_open(self, part: SourcePart, ctx: Context) -> bool:
        try:
            await part.source.open(ctx)
        except Exception as exc:
            await self._failed(part, f"cannot be opened: {_said(exc)}")
            return False
        return True

    async def _poll(self, part: SourcePart, source: Poller) -> None:
        id = part.spec.id
        pauses = Pauses()
        while True:
            try:
                page = await source.poll(await self._journal.checkpoint(id))
                if page.events or page.checkpoint is not None:
                    await self._intake.take(id, page.events, checkpoint=page.checkpoint)
                await self._journal.polled(id, self._clock.now(), "")
            except Exception as exc:
                await self._failed(part, _said(exc))
                await self._pause(part, max(pauses.next(), self._interval(part)))
                continue
            self._recovered(part)
            pauses = Pauses()
            if not page.more:
                await self._until(part, page.next_at)

    async def _listen(self, part: SourcePart, source: Listener, ctx: Context) -> None:
        pauses = Pauses()
        while True:
            began = self._clock.monotonic()
            try:
                await source.listen(ctx)
                await self._failed(part, "stopped listening")
            except Exception as exc:
                await self._failed(part, _said(exc))
            if self._clock.monotonic() - began > LONGEST_SLEEP:
                pauses = Pauses()
            await self._clock.sleep(pauses.next())

    async def _until(self, part: SourcePart, next_at: int | None) -> None:
        """Sleep until the next poll."""
        if next_at is None:
            await self._pause(part, self._interval(part))
            return
        self._next[part.spec.id] = next_at
        try:
            while (left := next_at - self._clock.now()) > 0:
                await self._clock.sleep(min(left / 1000, LONGEST_SLEEP))
        finally:
            del self._next[part.spec.id]

    async def _pause(self, part: SourcePart, seconds: float) -> None:
        self._next[part.spec.id] = self._clock.now() + int(seconds * 1000)
        try:
            await self._clock.sleep(seconds)
        finally:
            del self._next[part.spec.id]

    def _interval(self, part: SourcePart) -> float:
        interval = part.spec.poll_interval_ms
        return LONGEST_SLEEP if interval is None else max(interval, 10) / 1000

    async def _failed(self, part: SourcePart, error: str) -> None:
        self._tally.poll_failed(part.spec.id)
        if part.spec.id not in self._failing:
            self._failing.add(part.spec.id)
            self._on_health(part.spec.id, error)
        try:
            await self._journal.polled(part.spec.id, self._clock.now(), error)
        except (JournalUnavailable, Overloaded) as exc:
            log.warning("the failure of source %s is not noted: %s", part.spec.id, exc.message)

    def _recovered(self, part: SourcePart) -> None:
        if part.spec.id in self._failing:
            self._failing.discard(part.spec.id)
            self._on_health(part.spec.id, "")


def _said(exc: Exception) -> str:
    return exc.message if isinstance(exc, OrgLoopError) else f"{type(exc).__name__}: {exc}"
