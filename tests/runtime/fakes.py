"""Plugins that do what a test says, and remember what was asked of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any

from orgloop.core.records.record import Record
from orgloop.plugin import (
    Abilities,
    Actor,
    ActorKind,
    Completion,
    Connector,
    Context,
    Delivered,
    DeliverOutcome,
    Draft,
    ExitInfo,
    Inbound,
    LoggerPlugin,
    NotBegun,
    Page,
    Pass,
    Progress,
    Received,
    Ref,
    RemoteEnd,
    RemoteRequest,
    RemoteRun,
    RunSpec,
    Scope,
    Settings,
    Source,
    SourceKind,
    TransformPlugin,
    TransformResult,
    Wake,
    WakeSession,
    Worktree,
)
from orgloop.plugin.registry import Registry
from orgloop.runtime.runs.completion import by_exit_status
from orgloop.transforms.dedup import transform as dedup
from orgloop.transforms.enrich import transform as enrich


class Note(Settings):
    """Settings of every fake."""

    note: str = ""
    """Says nothing; another one makes another part."""


class InTrees(Note):
    """Settings of an agent that has work trees."""

    cwd: str = ""
    """A repository."""
    worktree: Worktree | None = None
    """Which trees."""

    @property
    def directory(self) -> str:
        return self.cwd


@dataclass
class Stage:
    """What the fakes of one test do, by id, and what they have seen. Missing entries do the plain thing."""

    answers: dict[str, Callable[[Wake], Awaitable[DeliverOutcome]]] = field(default_factory=dict)
    opens: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    polls: dict[str, Callable[[str | None], Awaitable[Page]]] = field(default_factory=dict)
    listens: dict[str, Callable[[Context], Awaitable[None]]] = field(default_factory=dict)
    steps: dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = field(default_factory=dict)
    programs: dict[str, Callable[[Wake, WakeSession | None], RunSpec]] = field(default_factory=dict)
    finishes: dict[str, Callable[[ExitInfo], Any]] = field(default_factory=dict)
    directories: dict[str, str] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)
    """Agents whose words do not show that they work."""
    caps: dict[str, float] = field(default_factory=dict)
    elsewhere: Elsewhere = field(default_factory=lambda: Elsewhere())
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
    async def deliver(self, wake: Wake) -> DeliverOutcome:
        assert self.ctx.id == self.id, "it is open"
        self.stage.wakes[self.name].append(wake)
        answer = self.stage.answers.get(self.name)
        return await answer(wake) if answer else Delivered(detail="taken")


class FakeAgent(Part):
    harness = "fake"

    @property
    def cap_usd(self) -> float | None:
        return self.stage.caps.get(self.id)

    @property
    def directory(self) -> str | None:
        return self.stage.directories.get(self.id)

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        self.stage.wakes[self.name].append(wake)
        program = self.stage.programs.get(self.id)
        return program(wake, session) if program else RunSpec(argv=["true"], cwd="/")

    def read(self, line: str) -> Progress | None:
        return Progress(text=line, alive=self.id not in self.stage.mute)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        finish = self.stage.finishes.get(self.id)
        result: Completion | NotBegun = finish(exit) if finish else by_exit_status(exit)
        return result


@dataclass
class Elsewhere:
    """Another system: what it answers, and what it was asked. Without an answer it waits for ever."""

    idempotent: bool = True
    begins: Callable[[RemoteRun], Any] | None = None
    follows: Callable[[RemoteRun], Any] | None = None
    finds: Callable[[RemoteRun], Any] | None = None
    reads: Callable[[Inbound], Any] | None = None
    progress: Sequence[Progress] = ()
    timeout_s: float = 1800.0
    asked: list[str] = field(default_factory=list)
    callbacks: list[str | None] = field(default_factory=list)

    async def answer(self, what: str, run: RemoteRun) -> Any:
        self.asked.append(what)
        script = {"begin": self.begins, "follow": self.follows, "find": self.finds}[what]
        if script is None:
            await asyncio.Event().wait()
            raise AssertionError("it waits for ever")
        answer = script(run)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


class FakeRemote(Part):
    """A job of another system, named `job:` and the run's id."""

    harness = "elsewhere"

    @property
    def idempotent(self) -> bool:
        return self.stage.elsewhere.idempotent

    def request(self, wake: Wake) -> RemoteRequest:
        self.stage.wakes[self.name].append(wake)
        self.stage.elsewhere.callbacks.append(wake.callback)
        body = f"do {wake.event.payload}".encode()
        return RemoteRequest(body=body, timeout_s=self.stage.elsewhere.timeout_s)

    async def begin(self, run: RemoteRun) -> Ref | RemoteEnd:
        assert self.ctx.id == self.id, "it is open"
        answer: Ref | RemoteEnd = await self.stage.elsewhere.answer("begin", run)
        return answer

    async def follow(self, run: RemoteRun, note: Callable[[Progress], None]) -> RemoteEnd | None:
        for one in self.stage.elsewhere.progress:
            note(one)
        end: RemoteEnd | None = await self.stage.elsewhere.answer("follow", run)
        return end

    async def stop(self, run: RemoteRun) -> None:
        self.stage.elsewhere.asked.append("stop")


class FakeFindable(FakeRemote):
    async def find(self, run: RemoteRun) -> Ref | RemoteEnd | None:
        found: Ref | RemoteEnd | None = await self.stage.elsewhere.answer("find", run)
        return found


class FakeCalledBack(FakeRemote):
    def called(self, run: RemoteRun, request: Inbound) -> RemoteEnd | Progress:
        assert self.stage.elsewhere.reads is not None
        answer: RemoteEnd | Progress = self.stage.elsewhere.reads(request)
        return answer


class Either(FakeActor, FakeRemote):
    """Hands over, or has runs: its settings decide."""


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

    def actor(
        name: str,
        kind: Callable[[Stage, str, Note], Actor],
        settings: type[Settings] = Note,
        **more: Any,
    ) -> Connector:
        return Connector(
            name=name, title=name, actor=ActorKind(settings=settings, open=partial(kind, stage), **more)
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
        actor(
            "agent",
            FakeAgent,
            has_runs=lambda _: True,
            wakes_agent=True,
            abilities=lambda _: Abilities(resume=True, fork=True, context=True),
        ),
        actor("worker", FakeAgent, InTrees, has_runs=lambda _: True, wakes_agent=True),
        actor("handless", Part),
        actor("remote", FakeRemote, has_runs=lambda _: True, wakes_agent=True),
        actor("findable", FakeFindable, has_runs=lambda _: True, wakes_agent=True),
        actor("called", FakeCalledBack, has_runs=lambda _: True, wakes_agent=True),
        actor("either", Either, has_runs=lambda settings: settings.note == "runs"),
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
