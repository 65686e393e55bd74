"""Senders that are slow, half there, or many: everybody else still gets an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from orgloop.web.body import BodyBounds
from orgloop.web.connection import Bounds
from tests.web.daemon import Daemon, daemon, until
from tests.web.raw import Wire, post, wire

HEAD = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"

Sending = Callable[[Wire], Awaitable[None]]


async def one_byte_of_a_body(connection: Wire) -> None:
    await connection.send(HEAD % 1_000 + b"{")


async def half_a_large_body(connection: Wire) -> None:
    await connection.send(HEAD % 1_000_000 + b"a" * 500_000)


async def a_body_in_chunks_without_an_end(connection: Wire) -> None:
    await connection.send(
        b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    )


async def half_a_head(connection: Wire) -> None:
    await connection.send(b"POST /webhook/hooks HTTP/1.1\r\nHost: loc")


async def nothing(connection: Wire) -> None:
    pass


async def an_expectation_without_a_body(connection: Wire) -> None:
    await connection.send((HEAD % 900)[:-2] + b"Expect: 100-continue\r\n\r\n")


async def a_request_and_half_of_the_next(connection: Wire) -> None:
    await connection.send(post(b"/webhook/hooks", b"{}") + HEAD % 9 + b"{")


ATTACKS: list[Sending] = [
    one_byte_of_a_body,
    half_a_large_body,
    a_body_in_chunks_without_an_end,
    half_a_head,
    nothing,
    an_expectation_without_a_body,
    a_request_and_half_of_the_next,
]


@pytest.mark.parametrize("sending", ATTACKS, ids=lambda sending: sending.__name__)
async def test_whoever_holds_all_connections_keeps_nobody_out(sending: Sending, home: Path) -> None:
    async with daemon(home, bounds=Bounds(connections=48)) as acme, AsyncExitStack() as stack:
        for _ in range(60):
            connection = await stack.enter_async_context(wire(acme.server.port))
            await sending(connection)
        await until(lambda: acme.server.connections >= 48, "all connections are taken")
        for n in range(30):
            async with wire(acme.server.port) as good:
                await good.send(post(b"/webhook/hooks", b'{"n": %d}' % n))
                assert (await good.answer()).status == 200
        large = b'{"text": "' + b"a" * 200_000 + b'"}'
        async with wire(acme.server.port) as good:
            await good.send(post(b"/webhook/hooks", large))
            assert (await good.answer()).status == 200
        assert acme.server.connections <= 48 + 1


async def test_half_sent_bodies_do_not_keep_large_ones_out(home: Path) -> None:
    async with daemon(home) as acme, AsyncExitStack() as stack:
        room = BodyBounds().room
        for _ in range(room // 1_000_000 + 2):
            connection = await stack.enter_async_context(wire(acme.server.port))
            await connection.send(HEAD % 1_000_001 + b"a" * 1_000_000)
        for n in range(5):
            assert (await acme.post("/webhook/hooks", {"n": n, "text": "a" * 500_000}))[0] == 200


async def half_closed(connection: Wire, data: bytes) -> None:
    await connection.send(data)
    connection.writer.write_eof()


async def test_a_client_that_closes_its_half_gets_its_answer(acme: Daemon) -> None:
    for body in (b'{"n": 1}', b'{"text": "' + b"a" * 100_000 + b'"}'):
        async with wire(acme.server.port) as connection:
            await half_closed(connection, post(b"/webhook/hooks", body))
            assert (await connection.answer()).status == 200
            assert await connection.closed() == b""


async def test_a_client_that_closes_its_half_gets_all_its_answers(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, receive = asyncio.Event(), acme.runtime.inbound.receive

    async def slow(source: str, request: Any) -> Any:
        await gate.wait()
        return await receive(source, request)

    monkeypatch.setattr(acme.runtime.inbound, "receive", slow)
    async with wire(acme.server.port) as connection:
        await half_closed(
            connection, b"".join(post(b"/webhook/hooks", b'{"n": %d}' % n) for n in range(3)) + HEAD % 9
        )
        gate.set()
        assert [(await connection.answer()).status for _ in range(3)] == [200] * 3
        rest = await connection.closed()
        assert b" 200 " not in rest
    await until(lambda: acme.server.connections == 0, "it is gone")


@pytest.mark.parametrize("sent", [b"", b"POST /web", HEAD % 9 + b"{"], ids=["nothing", "head", "body"])
async def test_half_a_request_whose_sender_closes_its_half_is_let_go_at_once(
    sent: bytes, acme: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire(acme.server.port) as connection:
        await half_closed(connection, sent)
        assert b" 200 " not in await connection.closed()
    await until(lambda: acme.server.connections == 0, "it is gone")
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_body_that_nobody_signed_is_not_waited_for(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(HEAD.replace(b"/hooks", b"/signed") % 900_000 + b"a")
        answer = await connection.answer()
        assert (answer.status, answer.json["error"]) == (401, "Missing signature")
