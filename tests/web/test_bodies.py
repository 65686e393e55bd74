"""Large bodies, and bodies that do not come: they cost little, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from orgloop.errors import OrgLoopError
from orgloop.web.body import BODY_LIMIT, BodyBounds, body_limit_of
from tests.web.daemon import Daemon, daemon, until
from tests.web.raw import post, wire

LARGE = BodyBounds().small + 1
HEAD = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


async def test_few_large_bodies_are_worked_on_at_once_and_small_ones_pass_them(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = asyncio.Event(), 0
    receive = acme.runtime.inbound.receive

    async def slow(source: str, request: Any) -> Any:
        nonlocal inside
        if len(request.body) >= LARGE:
            inside += 1
            await gate.wait()
        return await receive(source, request)

    monkeypatch.setattr(acme.runtime.inbound, "receive", slow)
    large = [asyncio.create_task(acme.post("/webhook/hooks", {"text": "a" * LARGE})) for _ in range(12)]
    await until(lambda: inside == BodyBounds().at_once, "as many as may be")
    await until(lambda: acme.server.connections >= len(large), "all of them")
    assert (await acme.post("/webhook/hooks", {"n": 1}))[0] == 200
    assert inside == BodyBounds().at_once
    gate.set()
    assert [status for status, _ in await asyncio.gather(*large)] == [200] * 12


async def test_stalled_bodies_fill_no_more_than_their_room_and_the_oldest_makes_room(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.web.server.BodyBounds", lambda **given: BodyBounds(**given, room=100_000))
    async with daemon(home) as acme, AsyncExitStack() as stack:
        stalled = [await stack.enter_async_context(wire(acme.server.port)) for _ in range(3)]
        for connection in stalled:
            await connection.send(HEAD % 50_001 + b"a" * 45_000)
        refused = await stalled[0].answer()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        for n in range(5):
            assert (await acme.post("/webhook/hooks", {"n": n, "text": "a" * 90_000}))[0] == 200
        assert [(await connection.answer()).status for connection in stalled[1:]] == [503, 503]


async def test_a_peer_that_fills_the_room_gives_up_its_own_bodies_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.web.server.BodyBounds", lambda **given: BodyBounds(**given, room=100_000))
    async with daemon(home) as acme, AsyncExitStack() as stack:
        modest = await stack.enter_async_context(wire(acme.server.port, peer="127.0.0.2"))
        await modest.send(HEAD % 20_000 + b'{"a":"' + b"a" * 18_000)
        greedy = [await stack.enter_async_context(wire(acme.server.port)) for _ in range(3)]
        for connection in greedy:
            await connection.send(HEAD % 50_001 + b"a" * 38_000)
        assert (await greedy[0].answer()).status == 503
        await modest.send(b"a" * (20_000 - 18_000 - 8) + b'"}')
        assert (await modest.answer()).status == 200


@pytest.mark.parametrize("steady", [True, False])
async def test_a_body_must_come_at_a_least_rate(
    steady: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = BodyBounds(grace=0.2, least=1_000)
    monkeypatch.setattr("orgloop.web.server.BodyBounds", lambda **_: bounds)
    body = b'{"a":"' + b"a" * 4_000 + b'"}'
    async with daemon(home) as acme, wire(acme.server.port) as connection:
        began = time.monotonic()
        await connection.send(HEAD % len(body) + body[: 3_000 if steady else 1])
        if steady:
            # What has come buys three seconds; less than that passes until the rest is sent.
            await until(lambda: time.monotonic() - began > 3 * bounds.grace, "longer than the grace")
            await connection.send(body[3_000:])
        assert (await connection.answer()).status == (200 if steady else 408)


async def test_a_stop_does_not_wait_for_a_body_that_does_not_come(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(HEAD % 9 + b"{")
        others = acme.server.connections
        await until(lambda: others == acme.server.connections, "its connection")
        began = time.monotonic()
        stopping = asyncio.create_task(acme.server.stop())
        answer = await connection.answer()
        assert (answer.status, answer.json["error"]) == (503, "OrgLoop is stopping")
        await stopping
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("more", [b"", b"1"], ids=["at the limit", "one byte more"])
@pytest.mark.parametrize("at_once", [True, False], ids=["with its head", "in pieces"])
async def test_the_limit_holds_however_a_body_comes(more: bytes, at_once: bool, home: Path) -> None:
    body = b'{"a":"' + b"a" * (1_000 - 8) + b'"}' + more
    async with daemon(home, body_limit=1_000) as acme, wire(acme.server.port) as connection:
        request = post(b"/webhook/hooks", body)
        for piece in [request] if at_once else [request[:500], request[500:]]:
            await connection.send(piece)
        assert (await connection.answer()).status == (413 if more else 200)


@pytest.mark.parametrize(
    ("said", "limit"),
    [(None, BODY_LIMIT), ("", BODY_LIMIT), ("25MB", 25 * 1024**2), (" 1 KB ", 1024), ("32mb", 32 * 1024**2)],
)
def test_the_environment_says_how_large_a_body_may_be(said: str | None, limit: int) -> None:
    assert body_limit_of({} if said is None else {"ORGLOOP_BODY_LIMIT": said}) == limit


@pytest.mark.parametrize("said", ["25", "much", "-1MB", "0B", "33MB"])
def test_a_limit_that_is_none_or_does_not_fit_says_what_does(said: str) -> None:
    with pytest.raises(OrgLoopError, match="ORGLOOP_BODY_LIMIT is ") as caught:
        body_limit_of({"ORGLOOP_BODY_LIMIT": said})
    assert "from 1KB to 32MB" in caught.value.hint
