"""Faults that daemons of this kind are known for, each as a test that ours does not have it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import time
import tracemalloc
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from orgloop.core.deliveries.transition import Rejected
from orgloop.journal.sqlite import open_journal, open_reader
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.web.endpoints import ENDPOINTS
from orgloop.web.server import serve
from tests.web.daemon import PROJECT, SECRET, TOKEN, Daemon, daemon, organization, with_routes
from tests.web.raw import ask, post, wire

MB: Final = 1024 * 1024


async def lives(acme: Daemon) -> bool:
    return (await acme.post("/webhook/hooks", {"still": "here"}))[0] == 200


@pytest.mark.parametrize(
    "request_line", [b"GET // HTTP/1.1\r\nHost: localhost", b"GET / HTTP/1.1\r\nHost: ["]
)
async def test_a_target_of_two_slashes_or_half_a_Host_does_not_end_the_daemon(
    request_line: bytes, acme: Daemon
) -> None:
    for _ in range(3):
        assert 400 <= (await ask(acme.server.port, request_line + b"\r\n\r\n")).status < 500
    assert await lives(acme)


@pytest.mark.parametrize(
    "head", [b"Content-Length: %d" % (100 * MB), b"Transfer-Encoding: chunked"], ids=["length", "chunks"]
)
async def test_a_body_of_100_MB_is_refused_and_costs_neither_memory_nor_time(
    head: bytes, acme: Daemon
) -> None:
    piece = b"a" * MB
    framed = b"%x\r\n%s\r\n" % (MB, piece) if b"chunked" in head else piece
    process = psutil.Process()
    before, slowest = process.memory_info().rss, 0.0
    async with wire(acme.server.port) as connection:
        await connection.send(b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")

        async def pour() -> None:
            for _ in range(100):
                await connection.send(framed)

        pouring = asyncio.create_task(pour())
        answer = await connection.answer()
        assert answer.status == 413
        while not pouring.done():
            began = time.monotonic()
            assert await lives(acme)
            slowest = max(slowest, time.monotonic() - began)
        await connection.closed()
    assert process.memory_info().rss - before < 40 * MB
    assert slowest < 3.0


POST: Final = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"

ENDLESS: Final[dict[str, tuple[bytes, bytes]]] = {
    "empty lines": (b"", b"\r\n" * 30_000),
    "a method": (b"", b"A" * 60_000),
    "a target": (b"GET /", b"a" * 60_000),
    "a header": (POST + b"X-A: ", b"a" * 60_000),
    "headers": (POST, b"X-A: aaaa\r\n" * 5_000),
    "a chunk's size": (CHUNKED, b"0" * 60_000),
    "a chunk's extension": (CHUNKED + b"1;", b"a" * 60_000),
    "chunks of one byte": (CHUNKED, b"1\r\na\r\n" * 10_000),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", b"a" * 60_000),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: aaaa\r\n" * 5_000),
    "what follows an upgrade": (POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"a" * 60_000),
    "requests": (b"", b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100),
}
"""What can go on for ever, and how it begins."""


@pytest.mark.parametrize("what", ENDLESS)
async def test_what_never_ends_is_not_kept(what: str, acme: Daemon) -> None:
    head, more = ENDLESS[what]
    process = psutil.Process()
    async with wire(acme.server.port) as connection:
        await connection.send(head + more)
        assert await lives(acme)
        before = process.memory_info().rss

        async def pour() -> None:
            for _ in range(30 * MB // len(more)):
                await connection.send(more)

        pouring = asyncio.create_task(pour())
        for _ in range(10):
            assert await lives(acme)
        pouring.cancel()
        assert process.memory_info().rss - before < 20 * MB


async def test_many_values_at_once_hold_nobody_up_nor_fill_the_memory(home: Path) -> None:
    """A body of 1 MB can hold 340,000 lists, which take 25 MB and some time."""
    body = b'{"many": [' + b",".join([b"[]"] * 340_000) + b"]}"
    process = psutil.Process()
    async with daemon(home, with_routes([])) as acme:
        before, others = process.memory_info().rss, 0
        sending = asyncio.gather(*(acme.post("/webhook/hooks", body) for _ in range(9)))
        while not sending.done():
            assert await lives(acme)
            others += 1
        assert {status for status, _ in await sending} == {200}
        assert process.memory_info().rss - before < 110 * MB, "two at once, not all"
        assert others > 2, "others are served between them"


async def test_a_page_of_another_site_cannot_stop_the_daemon_nor_load_a_project(acme: Daemon) -> None:
    for path in ("/control/shutdown", "/control/module/load-project", "/control/emit", "/control/apply"):
        for token in ({}, {"Authorization": f"Bearer {TOKEN}"}):
            status, _ = await acme.post(
                path,
                b'{"configPath": "/tmp/evil.yaml", "projectDir": "/tmp"}',
                Origin="https://evil.example",
                Content_Type="text/plain",
                **token,
            )
            assert status == 403
    assert acme.shutdowns == []


async def test_nothing_that_reads_changes_anything(acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    await acme.webhook()
    await acme.settled("dead")
    for method, path, _ in ENDPOINTS:
        if method == "GET":
            await acme.control("GET", path.replace("{", "").replace("}", ""))
    assert acme.states() == ["dead"]


async def test_JSON_nested_20_000_deep_is_refused_not_lost(acme: Daemon) -> None:
    status, body = await acme.post("/webhook/hooks", b"[" * 20_000 + b"]" * 20_000)
    assert (status, "nests deeper" in body["error"]) == (400, True)
    assert acme.states() == []
    assert await lives(acme)


async def test_a_true_signature_counts_over_any_bytes_and_in_any_case(acme: Daemon) -> None:
    body = b'{"text": "\xff\xfe"}'
    digits = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    for signature in (f"sha256={digits}", f"sha256={digits.upper()}"):
        status, answer = await acme.post("/webhook/signed", body, X_Hub_Signature_256=signature)
        assert (status, "not UTF-8" in answer["error"]) == (400, True), (
            "the signature held; the body is no text"
        )
    good = b'{"n": 1}'
    digits = hmac.new(SECRET.encode(), good, hashlib.sha256).hexdigest().upper()
    assert (await acme.post("/webhook/signed", good, X_Hub_Signature_256=f"sha256={digits}"))[0] == 200


async def test_what_got_its_200_while_the_daemon_stopped_is_in_the_journal(home: Path) -> None:
    clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
    journal = await open_journal(home, project=PROJECT, clock=clock)
    runtime = Runtime(journal, Home(home), organization(home.parent), lambda: open_reader(home))
    reader = open_reader(home)
    server = serve(
        runtime,
        reader,
        port=0,
        token=TOKEN,
        on_shutdown=lambda: None,
        on_reload=no_answer,
        doctor=no_answer,
    )
    await runtime.start()
    port = await server.start()
    taken: list[str] = []
    enough = asyncio.Event()

    async def client() -> None:
        try:
            async with wire(port) as connection:
                while True:
                    await connection.send(post(b"/webhook/hooks", b"{}"))
                    answer = await connection.answer()
                    if answer.status != 200:
                        assert answer.status == 503
                        return
                    taken.append(answer.json["event_id"])
                    if len(taken) == 100:
                        enough.set()
        except (OSError, EOFError):
            return

    clients = [asyncio.create_task(client()) for _ in range(16)]
    async with asyncio.timeout(20):
        await enough.wait()
        await server.stop()
        await runtime.stop()
    await asyncio.gather(*clients)
    assert [id for id in taken if reader.event(id) is None] == []
    reader.close()


async def no_answer() -> dict[str, Any]:
    return {}


async def test_a_stop_with_idle_connections_is_quick(acme: Daemon) -> None:
    async with wire(acme.server.port) as idle, wire(acme.server.port) as half:
        await idle.send(post(b"/webhook/hooks", b"{}"))
        await idle.answer()
        await half.send(b"POST /web")
        began = time.monotonic()
        await acme.server.stop()
        assert time.monotonic() - began < 3.0


async def test_events_are_not_kept_in_memory(home: Path) -> None:
    journal = await open_journal(home, project=PROJECT, clock=lambda: 0)
    runtime = Runtime(journal, Home(home), organization(home.parent), lambda: open_reader(home))
    reader = open_reader(home)
    server = serve(
        runtime,
        reader,
        port=0,
        token=TOKEN,
        on_shutdown=lambda: None,
        on_reload=no_answer,
        doctor=no_answer,
    )
    await runtime.start()
    port = await server.start()
    request = post(b"/webhook/hooks", b'{"text": "' + b"a" * 20_000 + b'"}')

    async def send(count: int) -> None:
        async with wire(port) as connection:
            for _ in range(count):
                await connection.send(request)
                assert (await connection.answer()).status == 200

    # The actor keeps its wakes, as a test's double does; here nobody may.
    actor: Any = runtime.wiring.actors["target"].actor
    actor.wakes = Forgetful()
    try:
        await send(50)
        gc.collect()
        tracemalloc.start()
        await send(300)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        assert grown < 2 * MB, "300 events of 20 kB are 6 MB"
    finally:
        tracemalloc.stop()
        await server.stop()
        reader.close()
        await runtime.stop()


class Forgetful(list[Any]):
    """Keeps nothing."""

    def append(self, item: Any) -> None:
        """Drop it."""


async def test_no_answer_holds_a_secret(acme: Daemon) -> None:
    event_id = await acme.webhook()
    await acme.settled("delivered")
    told = []
    for method, path, _ in ENDPOINTS:
        if method == "GET":
            known = path.replace("{name}", PROJECT).replace("{id}", event_id)
            _, headers, body = await acme.whole("GET", known, Authorization=f"Bearer {TOKEN}")
            told.append(str(headers) + str(body))
    _, refused = await acme.post("/webhook/signed", b"{}", X_Hub_Signature_256="sha256=00")
    told.append(str(refused))
    assert len(told) > 12
    assert [text for text in told if SECRET in text or TOKEN in text] == []


async def test_no_answer_says_which_software_this_is(acme: Daemon) -> None:
    for path in ("/api/status", "/nothing", "/webhook/hooks"):
        _, headers, _ = await acme.whole("GET", path)
        assert headers["Server"] == "orgloop"
    unreadable = await ask(acme.server.port, b"\0\0\0\r\n\r\n")
    assert unreadable.headers["server"] == "orgloop"
