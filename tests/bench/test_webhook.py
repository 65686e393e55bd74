"""How fast events are taken over HTTP, against a bare handler that reads, parses and answers."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from aiohttp import web

from orgloop.config.model import RouteSpec
from orgloop.journal.sqlite import open_journal, open_reader
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.web.server import serve
from tests.web.daemon import PROJECT, TOKEN, organization, route

pytestmark = pytest.mark.bench

CLIENTS: Final = 64
REQUESTS: Final = 60
ROUNDS: Final = 10
FLOOR: Final = 0.3
DELIVERING_FLOOR: Final = 0.15
"""Deliveries share the processor with what takes events in, and are in nobody's answer."""

LOAD: Final = """
import asyncio, sys, time
port, path, clients, requests = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
body = b'{"type": "deploy.finished", "service": "billing", "version": "1.4.2", "ok": true}'
head = f"POST {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
request = head.encode() + body

async def client():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        writer.write(request)
        head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = head.partition(b"content-length:")[2].partition(b"\\r\\n")[0]
        await reader.readexactly(int(length))
    writer.close()

async def main():
    await asyncio.gather(*(client() for _ in range(clients)))

began = time.perf_counter()
asyncio.run(main())
print(clients * requests / (time.perf_counter() - began))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """Requests a second, and microseconds of our processor time for one."""

    rate: float
    cost: float


async def burst(port: int, path: str) -> Burst:
    """One round of load, from a process of its own."""
    before = time.process_time()
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LOAD,
        str(port),
        path,
        str(CLIENTS),
        str(REQUESTS),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await load.communicate()
    assert load.returncode == 0
    cost = (time.process_time() - before) / (CLIENTS * REQUESTS) * 1e6
    return Burst(rate=float(out), cost=cost)


@asynccontextmanager
async def bare() -> AsyncGenerator[int]:
    """The handler to compare with."""

    async def handle(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return web.Response(body=b'{"ok":true}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/webhook/{source}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.port
    await runner.cleanup()


async def nothing() -> dict[str, Any]:
    return {}


@asynccontextmanager
async def orgloop(home: Path, routes: list[RouteSpec]) -> AsyncGenerator[int]:
    """The daemon with its journal on the disk."""
    journal = await open_journal(home, project=PROJECT, clock=lambda: time.time_ns() // 1_000_000)
    acme = replace(organization(home.parent), routes=routes)
    runtime = Runtime(journal, Home(home), acme, lambda: open_reader(home))
    reader = open_reader(home)
    server = serve(
        runtime,
        reader,
        port=0,
        token=TOKEN,
        on_shutdown=lambda: None,
        on_reload=nothing,
        doctor=nothing,
    )
    await runtime.start()
    yield await server.start()
    await server.stop()
    reader.close()
    await runtime.stop()


@pytest.mark.parametrize(
    ("routes", "floor"),
    [([], FLOOR), ([route("all-hooks")], DELIVERING_FLOOR)],
    ids=["accept", "accept and deliver"],
)
async def test_an_event_is_taken_nearly_as_fast_as_a_body_is_read(
    routes: list[RouteSpec], floor: float, home: Path
) -> None:
    async with bare() as simple, orgloop(home, routes) as ours:
        pairs = [
            (await burst(simple, "/webhook/hooks"), await burst(ours, "/webhook/hooks"))
            for _ in range(ROUNDS)
        ]
    rates = statistics.median(one.rate / other.rate for other, one in pairs)
    costs = statistics.median(other.cost / one.cost for other, one in pairs)
    print(
        f"\n{CLIENTS} connections, medians of {ROUNDS} rounds: "
        f"bare {statistics.median(one.rate for one, _ in pairs):,.0f}/s, "
        f"ours {statistics.median(one.rate for _, one in pairs):,.0f}/s, ratio {rates:.2f}; "
        f"processor time {statistics.median(one.cost for one, _ in pairs):.0f} against "
        f"{statistics.median(one.cost for _, one in pairs):.0f} microseconds, ratio {costs:.2f}"
    )
    assert rates >= floor
