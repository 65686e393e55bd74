"""Sources at work: polls at their interval, never overlapping; listeners, restarted when they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from orgloop.core.text.units import MAX_DURATION
from orgloop.errors import FAULTS, JournalError, JournalUnavailable, OrgLoopError, Overloaded, PluginError
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Context, Listener, Poller, TryLater
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.support.counters import Counters
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.retries import Pauses
from orgloop.runtime.support.sanitize import duration, text
from orgloop.runtime.support.supervisor import Supervisor, error_text, is_cancelled
from orgloop.runtime.wiring import SourcePart, Wiring

log = logging.getLogger(__name__)

LONGEST_SLEEP: Final = 60.0
"""Seconds; a longer wait is cut, so that a stepped clock, or a machine that slept, is noticed."""

SHORTEST_MS: Final = 10
"""Milliseconds between two polls, whatever a source or its interval says."""

LEAST_LATER_MS: Final = 1_000
"""Milliseconds that a source waits at least after it was told to come later."""

OPEN_TIMEOUT: Final = 30.0
"""Seconds that a source may take to open, before it is tried again."""

POLL_TIMEOUT: Final = 600.0
"""Seconds that one poll may take: one that hangs must show, and be tried again."""

LISTENS: Final = 5.0
"""Seconds after which a listener that goes on counts as working."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a source may take to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """A source was told to come again at `until`, in ms since 1970. `reason` is the source's word for why."""

    until: int
    reason: str


class Sources:
    """All sources, each with a task of its own. Reports each that fails or recovers."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        intake: Intake,
        lend: Callable[[str], Context],
        supervisor: Supervisor,
        events: EngineEvents,
        counters: Counters,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._intake = intake
        self._lend = lend
        self._supervisor = supervisor
        self._events = events
        self._counters = counters
        self._tasks: dict[str, tuple[SourcePart, asyncio.Task[None]]] = {}
        self._opened: dict[str, tuple[SourcePart, asyncio.Event]] = {}
        self._failing: set[str] = set()
        self._next: dict[str, int] = {}
        self._later: dict[str, Later] = {}

    @property
    def next_polls(self) -> Mapping[str, int]:
        """When each source is polled next, in ms since 1970; without those that are being polled."""
        return self._next

    @property
    def later(self) -> Mapping[str, Later]:
        """The sources that were told to come later, and wait for it. That is no failure."""
        return self._later

    async def use(self, wiring: Wiring) -> None:
        """Run these sources from now on; what did not change goes on."""
        gone = [
            (part, task)
            for id, (part, task) in self._tasks.items()
            if wiring.sources.get(id) is None or wiring.sources[id].source is not part.source
        ]
        for part, _ in gone:
            del self._tasks[part.spec.id]
            if self._opened[part.spec.id][0].source is part.source:
                del self._opened[part.spec.id]
        await asyncio.gather(*(self._end(part, task) for part, task in gone))
        for id, part in wiring.sources.items():
            if id not in self._tasks:
                opened = self._opening(part)
                run = partial(self._run, part, self._lend(id), opened)
                loop = self._supervisor.keep(f"source {id}", run)
                self._tasks[id] = (part, asyncio.create_task(loop, name=f"source {id}"))

    async def until_open(self, part: SourcePart, patience: float) -> bool:
        """Whether this source is open, or comes to be within `patience` seconds, begun or not."""
        opened = self._opening(part)
        if not opened.is_set():
            try:
                async with asyncio.timeout(patience):
                    await opened.wait()
            except TimeoutError:
                return False
        return True

    def _opening(self, part: SourcePart) -> asyncio.Event:
        """Set once this source is open. Whoever asks before it is begun waits for the same."""
        known = self._opened.get(part.spec.id)
        if known is None or known[0].source is not part.source:
            known = self._opened[part.spec.id] = (part, asyncio.Event())
        return known[1]

    async def close(self) -> None:
        """Stop all."""
        tasks, self._tasks = list(self._tasks.values()), {}
        self._opened = {}
        await asyncio.gather(*(self._end(part, task) for part, task in tasks))

    async def _end(self, part: SourcePart, task: asyncio.Task[None]) -> None:
        self._failing.discard(part.spec.id)
        task.cancel()
        _, left = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        if left:
            log.warning("source %s does not stop", part.spec.id)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await part.source.close()
        except FAULTS:
            log.exception("source %s does not close", part.spec.id)

    async def _run(self, part: SourcePart, ctx: Context, opened: asyncio.Event) -> None:
        """Open, then poll and listen. What fails is tried again after a growing pause."""
        pauses = Pauses()
        while not opened.is_set():
            if await self._try_open(part, ctx):
                opened.set()
            else:
                await self._clock.sleep(pauses.next())
        id, source = part.spec.id, part.source
        if not isinstance(source, Poller):
            await self._works(part)
        async with asyncio.TaskGroup() as group:
            if isinstance(source, Poller):
                poll = partial(self._poll, part, source)
                group.create_task(self._supervisor.keep(f"polling {id}", poll))
            if isinstance(source, Listener):
                listen = partial(self._listen, part, source, ctx)
                group.create_task(self._supervisor.keep(f"listening to {id}", listen))
            # A source that only takes webhooks is open for as long as this task goes on.
            await asyncio.Event().wait()

    async def _try_open(self, part: SourcePart, ctx: Context) -> bool:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await part.source.open(ctx)
        except TimeoutError:
            await self._failed(part, f"cannot be opened: not ready after {OPEN_TIMEOUT:g} s")
            return False
        except FAULTS as exc:
            await self._failed(part, f"cannot be opened: {_said(exc)}")
            return False
        return True

    async def _poll(self, part: SourcePart, source: Poller) -> None:
        pauses, waits = Pauses(), Pauses()
        while True:
            try:
                if not await self._journal.lead(f"poll:{part.spec.id}"):
                    await self._until(part, None)
                    continue
                next_at = await self._poll_once(part.spec.id, source)
            except (JournalUnavailable, Overloaded) as exc:
                # Not the source's failure: it is asked again as soon as its events can be taken.
                log.warning("the events of source %s wait: %s", part.spec.id, exc.message)
                await self._clock.sleep(waits.next())
                continue
            except TryLater as exc:
                await self._told(part, exc)
                continue
            except asyncio.CancelledError as exc:
                if is_cancelled():
                    raise
                error = error_text(exc)
            except TimeoutError as exc:
                error = str(exc) or "a poll took too long"
            except FAULTS as exc:
                error = _said(exc)
            else:
                self._recovered(part)
                pauses, waits = Pauses(), Pauses()
                await self._until(part, next_at)
                continue
            await self._failed(part, error)
            pause = max(pauses.next(), self._interval(part) / 1000)
            await self._until(part, self._clock.now() + int(pause * 1000))

    async def _poll_once(self, id: str, source: Poller) -> int | None:
        """One poll, committed with its checkpoint. When the next one is due, None at the interval."""
        async with asyncio.timeout(POLL_TIMEOUT):
            page = await source.poll(await self._journal.checkpoint(id))
        if page.events or page.checkpoint is not None:
            await self._intake.take(id, page.events, checkpoint=page.checkpoint)
        await self._journal.polled(id, self._clock.now(), "")
        if page.more and not page.events:
            # Not at once: a source that has more for ever would keep the disk busy with nothing.
            return self._clock.now()
        return 0 if page.more else page.next_at

    async def _listen(self, part: SourcePart, source: Listener, ctx: Context) -> None:
        pauses = Pauses()
        while True:
            began = self._clock.monotonic()
            try:
                await self._listen_once(part, source, ctx)
                error = "stopped listening"
            except TryLater as exc:
                await self._told(part, exc)
                continue
            except asyncio.CancelledError as exc:
                if is_cancelled():
                    raise
                error = error_text(exc)
            except Exception as exc:
                error = _said(exc)
            await self._failed(part, error)
            if self._clock.monotonic() - began > LONGEST_SLEEP:
                pauses = Pauses()
            await self._clock.sleep(pauses.next())

    async def _listen_once(self, part: SourcePart, source: Listener, ctx: Context) -> None:
        listening = asyncio.ensure_future(_listening(source, ctx))
        try:
            await asyncio.wait({listening}, timeout=LISTENS)
            if not listening.done():
                await self._works(part)
            await listening
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _until(self, part: SourcePart, at: int | None) -> None:
        """Sleep until then (0 is at once), or for the interval."""
        if at == 0:
            return
        now = self._clock.now()
        until = max(now + (self._interval(part) if at is None else 0), at or 0, now + SHORTEST_MS)
        self._next[part.spec.id] = until
        try:
            await self._sleep(until)
        finally:
            del self._next[part.spec.id]

    async def _told(self, part: SourcePart, asked: TryLater) -> None:
        """Wait as long as the other side said, at least the usual first pause of a failure."""
        now = self._clock.now()
        # A plugin may have made the time of anything.
        wanted = duration(asked.until) if not isinstance(asked.until, bool) else None
        until = min(max(wanted or 0, now + LEAST_LATER_MS), now + MAX_DURATION)
        self._later[part.spec.id] = Later(until=until, reason=text(asked.reason))
        try:
            await self._sleep(until)
        finally:
            self._later.pop(part.spec.id, None)

    async def _sleep(self, until: int) -> None:
        """Sleep until then. A clock that is set back makes no wait longer than it was meant to be."""
        most = until - self._clock.now()
        while 0 < (left := until - self._clock.now()) <= most:
            await self._clock.sleep(min(left / 1000, LONGEST_SLEEP))

    def _interval(self, part: SourcePart) -> int:
        """Milliseconds."""
        interval = part.spec.poll_interval_ms
        return int(LONGEST_SLEEP * 1000) if interval is None else max(interval, SHORTEST_MS)

    async def _failed(self, part: SourcePart, error: str) -> None:
        self._counters.poll_failed(part.spec.id)
        if part.spec.id not in self._failing:
            self._failing.add(part.spec.id)
            self._events.source_changed(part.spec.id, error)
        try:
            await self._journal.polled(part.spec.id, self._clock.now(), error)
        except JournalError as exc:
            log.warning("the failure of source %s could not be recorded: %s", part.spec.id, exc.message)

    async def _works(self, part: SourcePart) -> None:
        """It works, and has no page to prove it by."""
        if part.spec.id in self._failing:
            with suppress(JournalError):
                await self._journal.polled(part.spec.id, self._clock.now(), "")
        self._recovered(part)

    def _recovered(self, part: SourcePart) -> None:
        if part.spec.id in self._failing:
            self._failing.discard(part.spec.id)
            self._events.source_changed(part.spec.id, "")


async def _listening(source: Listener, ctx: Context) -> None:
    """In a task of its own, from which a SystemExit would go through to the loop."""
    try:
        await source.listen(ctx)
    except SystemExit as exc:
        raise PluginError("it called sys.exit", hint="report this to the connector's author") from exc


def _said(exc: BaseException) -> str:
    return exc.message if isinstance(exc, OrgLoopError) else error_text(exc)
