"""A project from its directory, at work in this process: the real engine on a journal in memory."""

from __future__ import annotations

import asyncio
import hmac
import select
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from orgloop.config.load import load_or_raise
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import DeliveryRow, EventRow, Query
from orgloop.journal.sqlite import SqliteReader, memory_journal
from orgloop.plugin import Connector, Inbound
from orgloop.plugin.registry import Registry
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.runtime.support.clock import SystemClock
from orgloop.web.server import serve

T = TypeVar("T")

DEADLINE_S: Final = 30.0
TOKEN: Final = "the-token-of-this-home"
FINISHED: Final = frozenset({State.DELIVERED, State.DROPPED, State.DEAD, State.HELD, State.DISCARDED})


async def until(fact: Callable[[], T], what: str, seconds: float = DEADLINE_S) -> T:
    """The first value of `fact` that is true; fails, saying `what`, if none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := fact():
            return found
        await asyncio.to_thread(select.select, [], [], [], 0.01)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The header of a body that is signed with `secret`."""
    return {"x-hub-signature-256": f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"}


@dataclass(kw_only=True)
class Living:
    """What a test holds of a project at work."""

    runtime: Runtime
    reader: SqliteReader
    url: str

    async def send(
        self, source: str, body: Any, headers: Mapping[str, str] | None = None, secret: str = ""
    ) -> str:
        """A webhook; the id of the event that it became, or of the one that it repeats."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        given = {**(headers or {}), **(signed(content, secret) if secret else {})}
        request = Inbound(method="POST", headers=given, body=content, peer="127.0.0.1")
        _, accepted = await self.runtime.inbound.receive(source, request)
        return accepted[0].event_id if accepted else ""

    async def settled(self, event_id: str) -> dict[str, DeliveryRow]:
        """The deliveries of an event by route, once each of them is finished or held."""

        def finished() -> list[dict[str, DeliveryRow]]:
            rows = self.reader.deliveries(Query(event_id=event_id))
            return [{row.route: row for row in rows}] if all(row.state in FINISHED for row in rows) else []

        return (await until(finished, f"the deliveries of {event_id}"))[0]

    def events(self, source: str) -> Sequence[EventRow]:
        """All events of a source, oldest first."""
        return list(reversed(self.reader.events(Query(source=source))))

    async def ended(self, actor: str, count: int = 1, seconds: float = DEADLINE_S) -> list[dict[str, Any]]:
        """The `actor.stopped` events of an actor's runs, oldest first, once there are `count` of them."""

        def stopped() -> list[dict[str, Any]]:
            return [dict(row.document) for row in self.events(actor) if row.type == "actor.stopped"]

        return await until(
            lambda: ends if len(ends := stopped()) >= count else [], f"{count} ends of {actor}", seconds
        )


@asynccontextmanager
async def living(
    root: Path, environ: Mapping[str, str], home: Path, *more: Connector
) -> AsyncGenerator[Living]:
    """The project in `root`, loaded with the installed plugins and `more`, at work and served."""
    registry = Registry({**Registry.installed().points, **Registry.of(*more).points})
    organization = load_or_raise(root, registry, environ)
    clock = SystemClock()
    place = Home(home)
    place.ensure()
    journal = await memory_journal(project=organization.name, clock=clock.now)
    runtime = Runtime(journal, place, organization, journal.reader, clock=clock)
    reader = journal.reader()

    async def nothing() -> Mapping[str, Any]:
        return {}

    server = serve(
        runtime,
        reader,
        port=0,
        token=TOKEN,
        on_shutdown=lambda: None,
        on_reload=nothing,
        doctor=nothing,
    )
    runtime.port = port = await server.start()
    await runtime.start()
    try:
        yield Living(runtime=runtime, reader=reader, url=f"http://127.0.0.1:{port}")
    finally:
        await server.stop()
        reader.close()
        await runtime.stop()
