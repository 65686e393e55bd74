"""The real engine on a journal in memory, with plugins that do what a test says and a clock that it holds."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from orgloop.config.load import load_or_raise
from orgloop.config.model import Organization
from orgloop.core.deliveries.admission import LimitScope
from orgloop.core.deliveries.delivery import State
from orgloop.core.records.record import Record
from orgloop.journal.follow import Follower
from orgloop.journal.model import DeliveryRow, EventRow, Query, RunRow
from orgloop.journal.sqlite import SqliteJournal, SqliteReader, memory_journal, open_journal
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.runtime.runs.local.local_run import LocalRun
from tests.runtime.fakes import Stage, draft, registry

NOON: Final = 1_800_000_000_000
"""When every test begins, in ms since 1970."""

DEADLINE_S: Final = 20.0

T = TypeVar("T")


async def until(fact: Callable[[], T], what: str) -> T:
    """The first value of `fact` that is true. Fails, and says `what` was waited for, if it takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if value := fact():
            return value
        await turn()
    raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")


async def turn() -> None:
    """The loop goes round, and other threads get their turn."""
    await asyncio.to_thread(select.select, [], [], [], 0.001)


class HandClock:
    """Time goes on when a test says so."""

    def __init__(self) -> None:
        self.ms = NOON
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers[woken] = self.monotonic() + seconds
        try:
            await woken
        finally:
            del self._sleepers[woken]

    @property
    def waits(self) -> list[float]:
        """In how many seconds each sleeper wakes, soonest first."""
        return sorted(round(at - self.monotonic(), 3) for at in self._sleepers.values())

    def advance(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)
        for woken, at in list(self._sleepers.items()):
            if at <= self.monotonic() and not woken.done():
                woken.set_result(None)


@dataclass(kw_only=True)
class Engine:
    """A running engine, and what can be seen of it."""

    root: Path
    stage: Stage
    clock: HandClock
    journal: SqliteJournal
    reader: SqliteReader
    runtime: Runtime

    async def emit(self, n: Any = 1, *, source: str = "in", fact: str | None = None, **payload: Any) -> str:
        """Put an event in; its id."""
        (accepted,) = await self.runtime.intake.take(source, [draft(n, fact=fact, **payload)])
        return accepted.event_id

    def organization(self, project: str) -> Organization:
        """A changed project."""
        return load(self.root, project, self.stage)

    async def apply(self, project: str) -> Mapping[str, int]:
        return await self.runtime.apply(self.organization(project))

    def rows(self, **query: Any) -> list[DeliveryRow]:
        """Deliveries, oldest first."""
        return list(reversed(self.reader.deliveries(Query(limit=1000, **query))))

    def states(self, **query: Any) -> list[str]:
        return [row.state.value for row in self.rows(**query)]

    def events(self, **query: Any) -> list[EventRow]:
        """Events, oldest first."""
        return list(reversed(self.reader.events(Query(limit=1000, **query))))

    def names(self) -> list[str]:
        """What the platforms call the events, oldest first."""
        return [event.platform_event for event in self.events()]

    def records(self) -> list[Record]:
        """What the log tells."""
        follower, records = Follower.since(self.reader, 0), []
        while page := follower.next():
            records += page
        return records

    def runs(self) -> list[RunRow]:
        """Runs, oldest first."""
        return list(reversed(self.reader.runs(Query(limit=1000))))

    def full_scopes(self) -> dict[LimitScope, int]:
        """For what work waits, and until when."""
        return {row.waiting.scope: row.waiting.until for row in self.reader.waits()}

    def programs(self) -> list[LocalRun]:
        """Runs of programs that go on, oldest first."""
        return [live for live in self.runtime.runs.live.values() if isinstance(live, LocalRun)]

    def transitions(self, **query: Any) -> list[str]:
        """What happened to deliveries, oldest first."""
        return [row.transition for row in reversed(self.reader.steps(Query(limit=1000, **query)))]

    async def settled(self, *states: str, **query: Any) -> list[DeliveryRow]:
        """The deliveries, once they are in exactly these states."""
        try:
            await until(lambda: self.states(**query) == list(states), "")
        except AssertionError:
            seen = [(row.state.value, row.reason, row.detail) for row in self.rows(**query)]
            raise AssertionError(f"expected {states}, the deliveries are {seen}") from None
        return self.rows(**query)

    async def delivered(self, count: int = 1, **query: Any) -> list[DeliveryRow]:
        return await self.settled(*[State.DELIVERED.value] * count, **query)

    async def pass_time(self, seconds: float) -> None:
        """Let time go by; whoever waited for it goes on."""
        self.clock.advance(seconds)
        self.runtime.dispatcher.wake_all()
        await turn()


def load(root: Path, project: str, stage: Stage) -> Organization:
    """A project from the text of its orgloop.yaml; `in` is a source that never emits by itself."""
    (root / "orgloop.yaml").write_text(f"metadata: {{name: test}}\n{project}")
    return load_or_raise(root, registry(stage), {"PATH": "/usr/bin:/bin"})


@asynccontextmanager
async def engine(
    root: Path,
    project: str,
    stage: Stage | None = None,
    *,
    on_disk: bool = False,
    clock: HandClock | None = None,
    before: Callable[[SqliteJournal], Awaitable[None]] | None = None,
    start: bool = True,
) -> AsyncGenerator[Engine]:
    """A running engine for `project` in `root`. `before` finds the journal as an earlier life left it."""
    stage = stage or Stage()
    clock = clock or HandClock()
    home = Home(root / "home")
    home.ensure()
    if on_disk:
        journal = await open_journal(home.path, project="test", clock=clock.now)
    else:
        journal = await memory_journal(project="test", clock=clock.now)
    organization = load(root, project, stage)
    if before is not None:
        await before(journal)
    reader = journal.reader()
    runtime = Runtime(journal, home, organization, journal.reader, clock=clock)
    made = Engine(root=root, stage=stage, clock=clock, journal=journal, reader=reader, runtime=runtime)
    try:
        if start:
            await runtime.start()
        yield made
    finally:
        reader.close()
        await runtime.stop()
