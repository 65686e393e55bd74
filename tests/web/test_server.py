"""The server's life, and how patient it is."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from orgloop.errors import DaemonError
from orgloop.journal.model import Acceptance, Accepted
from orgloop.journal.sqlite import memory_journal
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.web.connection import Bounds
from orgloop.web.ports import holder, take
from orgloop.web.server import Server, serve
from tests.web.daemon import PROJECT, TOKEN, Daemon, daemon, organization, until
from tests.web.raw import Wire, ask, post, wire


async def nothing() -> dict[str, Any]:
    return {}


def server_of(runtime: Runtime, reader: Any, port: int = 0, **more: Any) -> Server:
    return serve(
        runtime,
        reader,
        port=port,
        token=TOKEN,
        on_shutdown=lambda: None,
        on_reload=nothing,
        doctor=nothing,
        **more,
    )


async def test_start_returns_the_port_that_it_listens_on(acme: Daemon) -> None:
    assert acme.server.port > 0
    assert acme.runtime.life().port == acme.server.port
    assert (await acme.get("/api/status"))[1]["http_port"] == acme.server.port


async def test_stop_may_come_twice_or_before_start(home: Path) -> None:
    async with daemon(home) as acme:
        other = server_of(acme.runtime, acme.reader)
        await other.stop()
        await other.start()
        await asyncio.gather(other.stop(), other.stop())
        await other.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", other.port)


async def test_a_taken_port_names_who_has_it_and_what_to_type(acme: Daemon) -> None:
    port = acme.server.port
    second = server_of(acme.runtime, acme.reader, port)
    with pytest.raises(DaemonError) as caught:
        await second.start()
    assert f"port {port} on 127.0.0.1 is in use by {psutil.Process().name()} (process" in caught.value.message
    assert f"ORGLOOP_PORT={port + 1}" in caught.value.hint
    await second.stop()
    assert (await acme.get("/api/status"))[0] == 200


async def test_a_taken_metrics_port_leaves_nothing_listening(acme: Daemon) -> None:
    second = server_of(acme.runtime, acme.reader, metrics_port=acme.server.port)
    with pytest.raises(DaemonError, match="in use") as caught:
        await second.start()
    assert "ORGLOOP_METRICS_PORT" in caught.value.hint
    await second.stop()


def test_a_port_that_may_not_be_taken_says_so() -> None:
    with pytest.raises(DaemonError, match="cannot be used") as caught:
        take("203.0.113.1", 0, "ORGLOOP_PORT")
    assert "ORGLOOP_PORT" in caught.value.hint


def test_nobody_holds_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)), socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert holder(free.getsockname()[1]) == "another program"


async def test_a_stop_answers_what_is_in_flight_and_refuses_what_is_new_at_once(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = asyncio.Event(), asyncio.Event()
    accept = acme.journal.accept

    async def slow(acceptance: Acceptance) -> Any:
        if acceptance.source == "hooks":
            inside.set()
            await gate.wait()
        return await accept(acceptance)

    monkeypatch.setattr(acme.journal, "accept", slow)
    async with wire(acme.server.port) as idle:
        await idle.send(post(b"/webhook/nobody", b"{}"))
        assert (await idle.answer()).status == 404
        in_flight = asyncio.create_task(acme.post("/webhook/hooks", {"n": 1}))
        await inside.wait()
        stopping = asyncio.create_task(acme.server.stop())
        await idle.send(post(b"/webhook/hooks", b"{}"))
        refused = await idle.answer()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["connection"] == "close"
        fresh = await ask(acme.server.port, post(b"/webhook/hooks", b"{}"))
        assert (fresh.status, fresh.json["error"]) == (503, "OrgLoop is stopping")
        assert not stopping.done()
        gate.set()
        status, body = await in_flight
        assert (status, body["ok"]) == (200, True)
        await stopping
    assert len(acme.states()) == 1


async def test_a_stop_does_not_wait_for_ever(acme: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = asyncio.Event()

    async def never(acceptance: Acceptance) -> list[Accepted]:
        if acceptance.source == "hooks":
            inside.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(acme.journal, "accept", never)
    async with wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/hooks", b"{}"))
        await inside.wait()
        async with asyncio.timeout(10):
            await acme.server.stop(grace=0.05)
        assert await connection.closed() == b""
    monkeypatch.undo()


async def test_two_hundred_half_open_connections_stop_nobody(acme: Daemon) -> None:
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(wire(acme.server.port)) for _ in range(200)]
        for number, connection in enumerate(slow):
            await connection.send(b"POST /webhook/hooks HTTP/1.1\r\nHost: local"[: 1 + number % 40])
        answers = await asyncio.gather(*(acme.post("/webhook/hooks", {"n": n}) for n in range(100)))
        assert [status for status, _ in answers] == [200] * 100
        assert (await acme.get("/api/status"))[0] == 200


async def test_two_hundred_bodies_that_never_come_stop_nobody(acme: Daemon) -> None:
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(wire(acme.server.port)) for _ in range(200)]
        for connection in slow:
            await connection.send(
                b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
        assert (await acme.post("/webhook/hooks", {"n": 1}))[0] == 200


async def test_a_head_that_does_not_come_is_not_waited_for(home: Path) -> None:
    async with daemon(home, bounds=Bounds(idle=0.05)) as acme, wire(acme.server.port) as connection:
        await connection.send(b"POST /webhook/hooks HT")
        assert await connection.closed() == b""
        assert (await acme.get("/api/status"))[0] == 200


async def test_an_idle_connection_is_closed_after_a_while(home: Path) -> None:
    async with daemon(home, bounds=Bounds(idle=0.05)) as acme, wire(acme.server.port) as connection:
        await connection.send(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await connection.answer()).status == 200
        assert await connection.closed() == b""


async def test_a_body_that_does_not_come_hears_408(home: Path) -> None:
    async with daemon(home, bounds=Bounds(body=0.05)) as acme, wire(acme.server.port) as connection:
        await connection.send(
            b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        answer = await connection.answer()
        assert (answer.status, answer.json["error"]) == (408, "the body did not arrive in time")
        assert await connection.closed() == b""


async def test_a_client_that_reads_nothing_is_let_go(home: Path) -> None:
    async with daemon(home, bounds=Bounds(stall=0.05)) as acme:
        for n in range(20):
            await acme.webhook({"text": "a" * 100_000, "n": n})
        id = (await acme.get("/api/events?source=hooks&limit=1"))[1][0]["trace_id"]
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.connect(("127.0.0.1", acme.server.port))
            request = b"GET /api/trace/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % id.encode()
            others = acme.server.connections
            lazy.sendall(request * 30)
            await until(lambda: acme.server.connections > others, "its connection")
            async with asyncio.timeout(5):
                await until(lambda: acme.server.connections == others, "its connection is gone")
        assert (await acme.get("/api/status"))[0] == 200


async def test_one_connection_too_many_is_told_to_come_back_while_all_others_are_at_work(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daemon(home, bounds=Bounds(connections=3)) as acme:
        gate, inside, receive = asyncio.Event(), 0, acme.runtime.inbound.receive

        async def slow(source: str, request: Any) -> Any:
            nonlocal inside
            inside += 1
            await gate.wait()
            return await receive(source, request)

        monkeypatch.setattr(acme.runtime.inbound, "receive", slow)
        async with AsyncExitStack() as stack:
            held = [await stack.enter_async_context(wire(acme.server.port)) for _ in range(3)]
            for connection in held:
                await connection.send(post(b"/webhook/hooks", b"{}"))
            await until(lambda: inside == 3, "all at work")
            for _ in range(2):
                async with wire(acme.server.port) as late:
                    answer = await late.answer()
                    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                    assert answer.json["error"] == "too many connections"
                    assert await late.closed() == b""
            gate.set()
            assert [(await connection.answer()).status for connection in held] == [200] * 3
        await until(lambda: acme.server.connections == 0, "all gone")
        assert (await acme.get("/api/status"))[0] == 200
    assert [record.getMessage() for record in caplog.records if "connections" in record.getMessage()] == [
        "more than 3 HTTP connections at once"
    ]


BODY_TO_COME = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{"


async def test_those_that_we_only_wait_for_make_room_and_whoever_has_proven_least_goes_first(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon(home, bounds=Bounds(connections=3)) as acme, AsyncExitStack() as stack:
        held: list[Wire] = []
        for sent in (BODY_TO_COME, b"POST /web", b""):
            held.append(await stack.enter_async_context(wire(acme.server.port)))
            await held[-1].send(sent)
            await until(lambda: acme.server.connections == len(held), "the connection")
        for closed in (1, 2):
            fresh = await stack.enter_async_context(wire(acme.server.port))
            await fresh.send(post(b"/webhook/hooks", b"{}"))
            assert (await fresh.answer()).status == 200
            assert await held[closed].closed() == b""
        fresh = await stack.enter_async_context(wire(acme.server.port))
        await fresh.send(post(b"/webhook/hooks", b"{}"))
        assert (await fresh.answer()).status == 200
        assert (await held[0].answer()).status == 503
    assert caplog.text.count("connections at once") == 1


async def test_a_flood_is_answered_to_the_last_request(acme: Daemon) -> None:
    async def client(number: int) -> list[int]:
        async with wire(acme.server.port) as connection:
            statuses = []
            for n in range(20):
                await connection.send(post(b"/webhook/hooks", b'{"client": %d, "n": %d}' % (number, n)))
                statuses.append((await connection.answer()).status)
            return statuses

    answered = [status for some in await asyncio.gather(*(client(n) for n in range(64))) for status in some]
    assert set(answered) <= {200, 503}
    taken = answered.count(200)
    await until(lambda: acme.states().count("delivered") >= min(taken, 100), "deliveries")
    assert sum(row.events for row in acme.reader.sources() if row.source == "hooks") == taken


async def test_a_client_that_goes_away_leaves_no_trace_in_the_log(
    acme: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        async with wire(acme.server.port) as connection:
            await connection.send(
                b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
    await until(lambda: acme.server.connections == 0, "all gone")
    assert [
        record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")
    ] == []


async def test_the_port_of_metrics_shows_nothing_else(home: Path) -> None:
    async with daemon(home, metrics_port=0) as acme:
        port = acme.server.metrics_port
        assert port is not None
        shown = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (shown.status, shown.headers["content-type"]) == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        )
        assert b"orgloop_uptime_seconds" in shown.body
        for request, status in (
            (b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            (b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404),
            (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
            (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
            (b"GET // HTTP/1.1\r\nHost: [\r\n\r\n", 403),
        ):
            assert (await ask(port, request)).status == status, request
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_port_for_metrics_there_is_none(acme: Daemon) -> None:
    assert acme.server.metrics_port is None


async def test_the_reader_stays_open_for_its_owner(home: Path) -> None:
    journal = await memory_journal(project=PROJECT, clock=lambda: 0)
    runtime = Runtime(journal, Home(home), organization(home.parent), journal.reader)
    reader = journal.reader()
    server = server_of(runtime, reader)
    await server.start()
    await server.stop()
    assert reader.sources() == []
    reader.close()
    await runtime.stop()
