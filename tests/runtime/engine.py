"""The real engine on a journal in memory, with plugins that do what a test says and a clock that it holds."""

from __future__ import annotations

import asyncio
import select
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from orgloop.config.load import load_or_raise
from orgloop.config.model import Organization
from orgloop.core.delivery import State
from orgloop.core.record import Record
from orgloop.journal.model import DeliveryRow, EventRow, Query, RunRow
from orgloop.journal.reader import SqliteReader
from orgloop.journal.sqlite import SqliteJournal, memory_journal, open_journal
from orgloop.plugin import (
    Actor,
    ActorKind,
    Completion,
    Connector,
    Context,
    Delivered,
    Draft,
    ExitInfo,
    Inbound,
    LoggerPlugin,
    NotBegun,
    Outcome,
    Page,
    Pass,
    Progress,
    Received,
    RunSpec,
    Scope,
    Settings,
    Source,
    SourceKind,
    TransformPlugin,
    TransformResult,
    Wake,
    WakeSession,
)
from orgloop.plugin.registry import Registry
from orgloop.runtime.completion import by_exit_status
from orgloop.runtime.home import Home
from orgloop.runtime.runtime import Runtime
from orgloop.transforms.dedup import transform as dedup
from orgloop.transforms.enrich import transform as enrich

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


class Note(Settings):
    """Settings of every fake."""

    note: str = ""
    """Says nothing; another one makes another part."""


@dataclass
class Stage:
    """What the fakes of one test do, by id, and what they have seen. Missing entries do the plain thing."""

    answers: dict[str, Callable[[Wake], Awaitable[Outcome]]] = field(default_factory=dict)
    opens: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    polls: dict[str, Callable[[str | None], Awaitable[Page]]] = field(default_factory=dict)
    listens: dict[str, Callable[[Context], Awaitable[None]]] = field(default_factory=dict)
    steps: dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = field(default_factory=dict)
    programs: dict[str, Callable[[Wake, WakeSession | None], RunSpec]] = field(default_factory=dict)
    finishes: dict[str, Callable[[ExitInfo], Any]] = field(default_factory=dict)
    directories: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Callable[[Sequence[Record]], None]] = field(default_factory=dict)
    wakes: defaultdict[str, list[Wake]] = field(default_factory=lambda: defaultdict(list))
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    async def open(self, id: str) -> None:
        if id in self.opens:
            await self.opens[id]()
        self.opened.append(id)

    def texts(self, actor: str) -> list[Any]:
        """What each wake of an actor was about."""
        return [wake.event.payload["n"] for wake in self.wakes[actor]]


class Part:
    """What all fakes with a life have."""

    def __init__(self, stage: Stage, id: str, settings: Note) -> None:
        self.stage, self.id = stage, id
        self.name = f"{id}:{settings.note}" if settings.note else id

    async def open(self, ctx: Context) -> None:
        await self.stage.open(self.name)
        self.ctx = ctx

    async def close(self) -> None:
        self.stage.closed.append(self.name)


class FakeActor(Part):
    async def deliver(self, wake: Wake) -> Outcome:
        assert self.ctx.id == self.id, "it is open"
        self.stage.wakes[self.name].append(wake)
        answer = self.stage.answers.get(self.name)
        return await answer(wake) if answer else Delivered(detail="taken")


class FakeAgent(Part):
    harness = "fake"

    @property
    def directory(self) -> str | None:
        return self.stage.directories.get(self.id)

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        self.stage.wakes[self.name].append(wake)
        program = self.stage.programs.get(self.id)
        return program(wake, session) if program else RunSpec(argv=["true"], cwd="/")

    def read(self, line: str) -> Progress | None:
        return Progress(text=line)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        finish = self.stage.finishes.get(self.id)
        result: Completion | NotBegun = finish(exit) if finish else by_exit_status(exit)
        return result


class FakePoller(Part):
    async def poll(self, checkpoint: str | None) -> Page:
        poll = self.stage.polls.get(self.id)
        return await poll(checkpoint) if poll else Page()


class FakeReceiver(Part):
    signed = False

    async def receive(self, request: Inbound) -> Received:
        assert self.ctx.id == self.id, "it is open"
        return Received(events=[draft(request.body.decode())])


class FakeListener(Part):
    async def listen(self, ctx: Context) -> None:
        await self.stage.listens[self.id](ctx)


class StepSettings(Settings):
    """Settings of a fake step."""

    name: str = "step"
    """Which entry of the stage says what it does."""


class FakeStep:
    """`quick` runs within the accept transaction, `slow` after it."""

    def __init__(self, stage: Stage, bounded: bool, settings: StepSettings) -> None:
        self.stage, self.bounded, self.name = stage, bounded, settings.name

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        work = self.stage.steps.get(self.name)
        if work is None:
            return Pass()
        try:
            work(document).__await__().send(None)
        except StopIteration as done:
            result: TransformResult = done.value
            return result
        raise AssertionError("a quick step does not wait")

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        work = self.stage.steps.get(self.name)
        result: TransformResult = await work(document) if work else Pass()
        return result

    async def close(self) -> None:
        self.stage.closed.append(self.name)


class FakeLogger:
    def __init__(self, stage: Stage, settings: Note) -> None:
        self.stage, self.note = stage, settings.note
        if settings.note == "broken":
            raise ValueError("this logger cannot be opened")

    def write(self, records: Sequence[Record]) -> None:
        work = self.stage.logs.get(self.note)
        if work is not None:
            work(records)
        self.stage.records += records

    def close(self) -> None:
        self.stage.closed.append(f"logger {self.note}")


def registry(stage: Stage) -> Registry:
    """Every fake, and two real transforms."""

    def source(name: str, kind: Callable[[Stage, str, Note], Source], **more: Any) -> Connector:
        return Connector(
            name=name, title=name, source=SourceKind(settings=Note, open=partial(kind, stage), **more)
        )

    def actor(name: str, kind: Callable[[Stage, str, Note], Actor], **more: Any) -> Connector:
        return Connector(
            name=name, title=name, actor=ActorKind(settings=Note, open=partial(kind, stage), **more)
        )

    def step(name: str, bounded: bool) -> TransformPlugin:
        opened = partial(FakeStep, stage, bounded)
        return TransformPlugin(name=name, title=name, settings=StepSettings, open=opened)

    return Registry.of(
        source("poller", FakePoller, polled=True),
        source("receiver", FakeReceiver),
        source("listener", FakeListener),
        actor("taker", FakeActor),
        actor("mind", FakeActor, wakes_agent=True),
        actor("agent", FakeAgent, has_runs=True, wakes_agent=True),
        step("quick", bounded=True),
        step("slow", bounded=False),
        dedup,
        enrich,
        LoggerPlugin(name="fake", title="fake", settings=Note, open=partial(FakeLogger, stage)),
    )


def draft(n: Any = 1, *, fact: str | None = None, **payload: Any) -> Draft:
    """An event that routes may look at: `payload.n` and what else is given."""
    return Draft(
        provenance={"platform": "fake", "author_type": payload.pop("author_type", "team_member")},
        payload={"n": n, **payload},
        key=fact,
    )


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

    def runs(self) -> list[RunRow]:
        """Runs, oldest first."""
        return list(reversed(self.reader.runs(Query(limit=1000))))

    def happenings(self, **query: Any) -> list[str]:
        """What happened to deliveries, oldest first."""
        return [row.happening for row in reversed(self.reader.steps(Query(limit=1000, **query)))]

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
