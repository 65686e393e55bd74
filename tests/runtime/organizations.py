"""Small organizations that run in one process: who wakes whom, what their agents do, and what stops them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.core.deliveries.delivery import State
from orgloop.plugin import (
    Completion,
    Draft,
    Phase,
    RemoteRun,
    RunOutcome,
    Wake,
)
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Elsewhere, Stage

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
KEYED: Final = 'config: {session_key: "pr:{{payload.pr}}"}'
BATCHED: Final = "config: {session_key: team}, batch: {window: 1m}"

Does = Callable[["World", Wake], Awaitable[Any]]
"""What an actor does when it is woken: the end of its run, or the answer of an actor without runs."""


class World:
    """An organization that runs, and the platform that its agents and people write on."""

    def __init__(self, stage: Stage, does: Mapping[str, Does]) -> None:
        self.stage, self.does = stage, does
        self.woken = 0
        self.left: list[str] = []
        """Work that agents left for a timer."""
        self.it: Engine

    async def wake(self, run: RemoteRun) -> Any:
        (wake,) = (one for wakes in self.stage.wakes.values() for one in wakes if one.run_id == run.id)
        return await self.act(wake)

    async def act(self, wake: Wake) -> Any:
        self.woken += 1
        return await self.does[wake.actor](self, wake)

    async def comment(
        self, text: str, author: str = "team_member", *, edits: str = "", **payload: Any
    ) -> None:
        """Somebody writes a comment; the source of the platform knows the marks of our runs again."""
        number = len(self.it.events()) + 1
        mark = self.it.runtime._marker.find(text)
        told = {"platform": "github", "platform_event": "issue_comment", "native_event": "issue_comment"}
        comment = Draft(
            provenance={**told, "author_type": author, **(mark.provenance if mark else {})},
            payload={"comment": {"id": number, "body": text}, **payload},
            key=f"{edits or 'comment'}@{number}",
            entity=edits or None,
            cause=mark,
        )
        await self.it.runtime.intake.take("github", [comment])

    def open(self) -> list[str]:
        """What goes on, or can go on without time."""
        # A list ends with the newest row of its beginning, so it may lack what followed a run.
        live = list(self.it.runtime.runs.live)
        rows = self.it.rows(states=("preparing", "pending", "running", "started"))
        now = self.it.clock.now()
        waits = [row.waiting.until for row in self.it.reader.waits()]
        still = any(until > now for until in [*waits, *(row.until for row in self.it.reader.pauses())])
        return live + [
            row.id
            for row in rows
            if row.state is not State.PENDING or (row.head and row.due <= now and not still)
        ]

    async def quiet(self) -> None:
        await until(lambda: not self.open(), "nothing goes on without time")

    async def later(self, seconds: float) -> None:
        await self.it.pass_time(seconds)
        await self.quiet()

    def guards(self) -> set[str]:
        """What stopped something."""
        rows = self.it.rows()
        stopped = {row.reason for row in rows if row.state in (State.HELD, State.DROPPED)}
        dead = {row.state.value for row in rows if row.state is State.DEAD}
        waits = {row.waiting.setting for row in self.it.reader.waits()}
        return stopped | dead | waits | {pause.kind.value for pause in self.it.reader.pauses()}


def project(edges: str, then: str, defaults: str, connector: str) -> str:
    """Who wakes whom: `a>b` is a route from the end of a run of `a`, or from source `a`, to `b`."""
    pairs = [edge.split(">") for edge in edges.split()]
    actors = sorted({to for _, to in pairs})
    lines = [
        f"defaults: {{{defaults}}}",
        "sources: [{id: in, connector: receiver}, {id: github, connector: receiver}]",
        f"actors: [{', '.join(f'{{id: {actor}, connector: {connector}}}' for actor in actors)}]",
        "routes:",
    ]
    for origin, to in pairs:
        events = '["*"]' if origin in ("in", "github") else "[actor.stopped]"
        route = f"when: {{source: {origin}, events: {events}}}, then: {{actor: {to}{then and ', '}{then}}}"
        lines.append(f"  - {{name: {origin}-{to}, {route}}}")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An organization, what its actors do, and how people and time wake it."""

    edges: str
    does: Mapping[str, Does]
    then: str = ""
    defaults: str = ""
    connector: str = "remote"


@asynccontextmanager
async def running(case: Case, root: Path) -> AsyncGenerator[World]:
    stage = Stage(elsewhere=Elsewhere())
    world = World(stage, case.does)
    stage.elsewhere.begins = world.wake
    stage.answers = dict.fromkeys(case.does, world.act)
    text = project(case.edges, case.then, case.defaults, case.connector)
    async with engine(root, text, stage) as it:
        world.it = it
        yield world


def ended(text: str, outcome: RunOutcome = RunOutcome.SUCCESS, **more: Any) -> Completion:
    phase = Phase.COMPLETED if outcome is RunOutcome.SUCCESS else Phase.STOPPED
    return Completion(phase=phase, outcome=outcome, reason="it ended", text=text, **more)


def says(*texts: str, outcome: RunOutcome = RunOutcome.SUCCESS) -> Does:
    """Says these one after the other, again and again. `{n}` is a counter, `{run}` the run."""

    async def does(world: World, wake: Wake) -> Completion:
        turn = len(world.stage.wakes[wake.actor]) - 1
        return ended(texts[turn % len(texts)].format(n=world.woken, run=wake.run_id), outcome)

    return does


def counts(world: World, wake: Wake) -> Awaitable[Completion]:
    async def count() -> Completion:
        return ended("done", json={"step": world.woken})

    return count()


def comments(
    text: str, *, marked: bool = True, quotes: bool = False, end: Any = None, **payload: Any
) -> Does:
    """Writes a comment, with the mark of its run unless the agent forgets it. `quotes` what woke it."""

    async def does(world: World, wake: Wake) -> Any:
        before = wake.event.payload.get("comment", {}).get("body", "").partition("<!--")[0]
        body = text.format(n=world.woken) + (f"\n> {before}" if quotes else "")
        body += f"\n{wake.marker}" if marked else ""
        await world.comment(body, "self" if marked else "bot", **payload)
        return ended("commented") if end is None else end

    return does


def emits(**payload: Any) -> Does:
    """Hands an event in by itself, as a script does; values are templates."""

    async def does(world: World, wake: Wake) -> Completion:
        said = {name: value.format(n=world.woken, odd=world.woken % 2) for name, value in payload.items()}
        await world.it.emit(world.woken, **said)
        return ended("emitted")

    return does
