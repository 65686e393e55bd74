"""The engine for a connector under test: started, killed at any commit, and started again on what is left."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from orgloop.config.load import load_or_raise
from orgloop.core.deliveries.delivery import State
from orgloop.errors import JournalError, JournalUnavailable
from orgloop.journal.backend import open_journal, open_reader
from orgloop.journal.model import DeliveryRow, EventRow, Query
from orgloop.journal.protocols import Journal, Reader
from orgloop.plugin import (
    ActorKind,
    Connector,
    Context,
    Delivered,
    DeliverOutcome,
    Draft,
    Inbound,
    Received,
    Settings,
    SourceKind,
    Wake,
)
from orgloop.plugin.registry import Registry
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds after which a fact that has not come is a failure."""

COMMITS: Final = ("accept", "claim", "start_run", "run_begun", "end_run", "settle")
"""What the engine commits on the way of an event, in this order."""

_TICK: Final = 0.01


async def until(look: Callable[[], T], what: str) -> T:
    """The first value of `look` that is true. Fails with `what` if none comes in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        await asyncio.sleep(_TICK)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for: {what}")


class Mortal:
    """A journal whose daemon is killed before, or right after, the first commit of one kind.

    From then on nothing is written, and nobody hears of what was: as if the process were gone.
    """

    def __init__(self, journal: Journal, commit: str = "", *, after: bool = False) -> None:
        self._journal = journal
        self._commit = commit
        self._after = after
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._journal, name)
        if not callable(value) or name == "close":
            return value

        async def verb(*given: Any, **named: Any) -> Any:
            deadly = name == self._commit
            self.dead = self.dead or (deadly and not self._after)
            self._live()
            answer = await value(*given, **named)
            self.dead = self.dead or deadly
            self._live()
            return answer

        return verb

    def _live(self) -> None:
        if self.dead:
            raise JournalUnavailable("the daemon was killed here")


class _Nothing(Settings):
    """Nothing to set."""


class _Silent:
    """A source into which a test puts events."""

    signed = False

    def __init__(self, id: str, settings: _Nothing) -> None:
        """Nothing to keep."""

    async def open(self, ctx: Context) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def receive(self, request: Inbound) -> Received:
        return Received()


class _Taker(_Silent):
    """An actor that takes everything."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        return Delivered()


PROBE: Final = Connector(
    name="orgloop-testing",
    title="The other side of a connector under test",
    source=SourceKind(settings=_Nothing, open=_Silent),
    actor=ActorKind(settings=_Nothing, open=_Taker),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Where one connector is tried: `root` holds its project, `home` the journal."""

    root: Path
    connector: Connector
    environ: Mapping[str, str] = field(default_factory=dict)

    def write(self, project: Mapping[str, Any]) -> None:
        """The project's file."""
        self.root.mkdir(parents=True, exist_ok=True)
        whole = {"metadata": {"name": "under-test"}, **project}
        (self.root / "orgloop.yaml").write_text(json.dumps(whole), "utf-8")

    @asynccontextmanager
    async def running(self, commit: str = "", *, after: bool = False) -> AsyncGenerator[Running]:
        """The engine at work, on the journal that an earlier one left. `commit`: where it is killed."""
        home = Home(self.root.parent / f"{self.root.name}-home")
        home.ensure()
        organization = load_or_raise(self.root, Registry.of(self.connector, PROBE), self.environ)
        clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
        journal = await open_journal(home.path, project=organization.name, clock=clock)
        mortal = Mortal(journal, commit, after=after)
        runtime = Runtime(cast(Journal, mortal), home, organization, lambda: open_reader(home.path))
        reader = open_reader(home.path)
        try:
            await _unless_dead(runtime.start())
            yield Running(runtime=runtime, reader=reader, mortal=mortal)
        finally:
            reader.close()
            await runtime.stop(grace=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """One life of the engine, and what can be seen of it."""

    runtime: Runtime
    reader: Reader
    mortal: Mortal

    @property
    def dead(self) -> bool:
        """Whether it was killed."""
        return self.mortal.dead

    async def put(self, key: str, payload: Any) -> bool:
        """An event for the actor; whether its sender heard that it was taken."""
        draft = Draft(
            provenance={"platform": "test", "platform_event": "work", "author_type": "team_member"},
            payload=payload,
            key=key,
        )
        return await _unless_dead(self.runtime.intake.take("in", [draft]))

    async def receive(self, source: str, request: Inbound) -> bool:
        """A request to a source; whether its sender heard that it was taken."""
        return await _unless_dead(self.runtime.inbound.receive(source, request))

    def events(self, source: str) -> Sequence[EventRow]:
        """What came from a source, oldest first."""
        return list(reversed(self.reader.events(Query(limit=1_000, source=source))))

    def deliveries(self, route: str) -> Sequence[DeliveryRow]:
        """The deliveries of a route, oldest first."""
        return list(reversed(self.reader.deliveries(Query(limit=1_000, route=route))))

    async def finished(self, route: str, count: int) -> None:
        """Wait until so many deliveries of a route are at their end, or until the daemon is killed."""

        def rows() -> bool:
            states = [row.state for row in self.deliveries(route)]
            return self.dead or (
                len(states) >= count
                and not set(states) & {State.PREPARING, State.PENDING, State.RUNNING, State.STARTED}
            )

        try:
            await until(rows, "")
        except AssertionError:
            states = ", ".join(row.state for row in self.deliveries(route)) or "there are none"
            raise AssertionError(
                f"{count} deliveries of {route} did not come to their end: {states}"
            ) from None


async def _unless_dead(work: Any) -> bool:
    try:
        await work
    except JournalError:
        return False
    return True
