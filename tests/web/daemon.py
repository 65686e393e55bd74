"""A daemon for tests: the real engine on a journal in memory, served on a free port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp

from orgloop.config.model import ActorSpec, Organization, RouteSpec, SourceSpec
from orgloop.connectors.webhook import connector as webhook
from orgloop.connectors.webhook.settings import WebhookSourceSettings
from orgloop.core.events.fields import Path as FieldPath
from orgloop.core.events.match import Condition, When
from orgloop.journal.model import Query
from orgloop.journal.sqlite import SqliteJournal, SqliteReader, memory_journal
from orgloop.plugin import (
    ActorKind,
    Context,
    Delivered,
    DeliverOutcome,
    Draft,
    Page,
    Settings,
    SourceKind,
    Wake,
)
from orgloop.plugin.settings import SecretStr
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.web.connection import Bounds
from orgloop.web.server import Server, serve

TOKEN: Final = "the-token-of-this-home"
SECRET: Final = "s3cret"
DEADLINE_S: Final = 20.0
PROJECT: Final = "acme"

T = TypeVar("T")


class NoSettings(Settings):
    """Nothing to set."""


class FakeActor:
    """Takes every wake and answers what its list says, then `Delivered`."""

    def __init__(self, id: str, settings: NoSettings) -> None:
        self.outcomes: list[DeliverOutcome | BaseException] = []
        self.wakes: list[Wake] = []
        self.gate: asyncio.Event | None = None

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        self.wakes.append(wake)
        if self.gate is not None:
            await self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered(detail="taken")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class FakePoller:
    """Gives its pages, then fails as often as it is told, then has nothing new."""

    def __init__(self, id: str, settings: NoSettings) -> None:
        self.failures = 0
        self.polls = 0

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        self.polls += 1
        if self.polls <= self.failures:
            raise ConnectionError("the other side is away")
        if checkpoint is None:
            return Page(events=[Draft(provenance={"platform": "fake"}, payload={"n": 1})], checkpoint="1")
        return Page()


ACTOR: Final = ActorKind(settings=NoSettings, open=FakeActor)
POLLER: Final = SourceKind(settings=NoSettings, open=FakePoller, polled=True)


def webhook_source(id: str, **settings: Any) -> SourceSpec:
    """A source that takes webhooks."""
    assert webhook.source is not None
    return SourceSpec(
        id=id,
        connector="webhook",
        kind=webhook.source,
        settings=WebhookSourceSettings(**settings),
        poll_interval_ms=None,
        fingerprint=f"{id} {sorted(settings)}",
    )


def route(name: str, source: str = "hooks", actor: str = "target", **more: Any) -> RouteSpec:
    """A route for all events of a source."""
    when = more.pop("when", None) or When(source=source, events=("*",))
    return RouteSpec(name=name, when=when, actor=actor, fingerprint=name, **more)


def organization(root: Path) -> Organization:
    """Three sources, one actor, two routes."""
    polled = SourceSpec(
        id="polled",
        connector="fake",
        kind=POLLER,
        settings=NoSettings(),
        poll_interval_ms=300_000,
        fingerprint="p",
    )
    sources = [webhook_source("hooks"), webhook_source("signed", secret=SecretStr(SECRET)), polled]
    target = ActorSpec(id="target", connector="fake", kind=ACTOR, settings=NoSettings(), fingerprint="t")
    only_main = Condition(path=FieldPath.parse("payload.branch"), values=("main",))
    return Organization(
        name=PROJECT,
        root=root,
        file=root / "orgloop.yaml",
        sources={one.id: one for one in sources},
        actors={"target": target},
        snapshot={
            "sources": {one.id: {"connector": one.connector} for one in sources},
            "actors": {"target": {"connector": "fake"}},
        },
        routes=[
            route("all-hooks"),
            route(
                "main-only",
                when=When(source="signed", events=("resource.changed",), filter=(only_main,)),
                description="Pushes to main",
            ),
        ],
    )


@dataclass(kw_only=True)
class Daemon:
    """What a test holds: the engine, its server, and what the server asked of the process."""

    runtime: Runtime
    journal: SqliteJournal
    reader: SqliteReader
    server: Server
    http: aiohttp.ClientSession
    shutdowns: list[bool] = field(default_factory=list)
    reload: Callable[[], Awaitable[Mapping[str, int]]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def actor(self) -> FakeActor:
        actor = self.runtime.wiring.actors["target"].actor
        assert isinstance(actor, FakeActor)
        return actor

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a GET. Header names with _ for -."""
        return await self.send("GET", path, **headers)

    async def post(self, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a POST with a JSON body."""
        return await self.send("POST", path, content, **headers)

    async def control(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """The same, with the token."""
        return await self.send(method, path, content, Authorization=f"Bearer {TOKEN}")

    async def send(self, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, body = await self.whole(method, path, content, **headers)
        return status, body

    async def whole(
        self, method: str, path: str, content: Any = None, **headers: str
    ) -> tuple[int, Mapping[str, str], Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = content if isinstance(content, bytes) else None
        json = content if data is None and content is not None else None
        async with self.http.request(method, self.url + path, json=json, data=data, headers=named) as answer:
            if answer.content_type == "application/json":
                return answer.status, answer.headers, await answer.json()
            return answer.status, answer.headers, await answer.text()

    async def webhook(self, payload: Any = None) -> str:
        """An event through the unsigned source; its id."""
        status, body = await self.post("/webhook/hooks", payload if payload is not None else {"type": "ping"})
        assert status == 200, body
        event_id: str = body["event_id"]
        return event_id

    def states(self) -> list[str]:
        """Every delivery's state, oldest first."""
        return [row.state.value for row in reversed(self.reader.deliveries(Query()))]

    async def settled(self, *states: str) -> None:
        """Return when the deliveries are in exactly these states."""
        await until(lambda: self.states() == list(states), f"deliveries {states}")


async def until(fact: Callable[[], T], what: str) -> T:
    """The first value of `fact` that is true. Fails, and says `what` was waited for, if it takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if value := fact():
            return value
        # The loop goes round, and other threads get their turn.
        await asyncio.to_thread(lambda: None)
    raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")


@asynccontextmanager
async def daemon(
    home: Path,
    change: Callable[[Organization], Organization] = lambda organization: organization,
    *,
    bounds: Bounds | None = None,
    prepare: Callable[[Runtime], None] = lambda _: None,
    **options: Any,
) -> AsyncGenerator[Daemon]:
    """A running daemon. `prepare` may touch the parts before they start."""
    journal = await memory_journal(project=PROJECT, clock=lambda: 0)
    runtime = Runtime(journal, Home(home), change(organization(home.parent)), journal.reader, version="1.2.3")
    prepare(runtime)
    reader = journal.reader()
    held: list[Daemon] = []

    async def reload() -> Mapping[str, int]:
        return await held[0].reload() if held[0].reload else {}

    async def doctor() -> Mapping[str, Any]:
        return {"status": "ok", "project": PROJECT, "checks": []}

    server = serve(
        runtime,
        reader,
        port=0,
        token=TOKEN,
        on_shutdown=lambda: held[0].shutdowns.append(True),
        on_reload=reload,
        doctor=doctor,
        bounds=bounds,
        **options,
    )
    await runtime.start()
    await server.start()
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        held.append(Daemon(runtime=runtime, journal=journal, reader=reader, server=server, http=http))
        try:
            yield held[0]
        finally:
            await server.stop()
            reader.close()
            await runtime.stop()


def with_routes(routes: Sequence[RouteSpec]) -> Callable[[Organization], Organization]:
    """The organization, but with these routes."""
    return lambda organization: replace(organization, routes=routes)
