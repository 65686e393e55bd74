"""Webhooks that come in one packet take a short way. Both ways answer the same and keep the same."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgloop.journal.model import Acceptance, Query
from orgloop.web.connection import Bounds
from orgloop.web.whole import MOST_HEAD, read_whole
from tests.web.daemon import SECRET, Daemon, daemon, until
from tests.web.raw import Answer, post, wire

PLAIN: Final = b"GET /api/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""After this, aiohttp reads all that comes on a connection."""

BODIES: Final = (
    b'{"type":"push","n":1}',
    b'{"type":"push","n":2}',
    b"[]",
    b"{",
    b"\xff\xfe",
    b"type=push&n=1",
    b'payload={"type":"push"}',
    b'{"type":"url_verification","challenge":"say this"}',
    b'{"text":"' + b"x" * 3_000 + b'"}',
)
HEADERS: Final = (
    b"Host: localhost",
    b"host: 127.0.0.1:4800",
    b"Host: evil.example",
    b"Content-Type: application/json",
    b"content-type: application/x-www-form-urlencoded; charset=utf-8",
    b"Content-Type: multipart/form-data; boundary=b",
    b"Content-Type:application/json",
    b"Idempotency-Key: one",
    b"IDEMPOTENCY-KEY: one",
    b"Webhook-Id: two ",
    b"User-Agent: sender/1.0 (x; y)",
    b"X-Forwarded-For: 203.0.113.9",
    b"cf-ray: 1",
    b"Origin: http://evil.example",
    b"Sec-Fetch-Site: cross-site",
    b"Sec-Fetch-Site: none",
    b"X-Empty:",
    b"X-Latin: caf\xe9",
    b"X_Underscore: 1",
    b"X-Tab: a\tb",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Proxy-Connection: close",
    b"Content-Encoding: gzip",
    b"Content-Encoding: identity",
    b"Transfer-Encoding: identity",
    b"Accept: */*",
    b"X-Event: a: b",
    b" folded: 1",
    b"no colon",
)
PATHS: Final = (
    *[b"/webhook/hooks"] * 4,
    *[b"/webhook/signed"] * 4,
    b"/webhook/nobody",
    b"/webhook/polled",
    b"/webhook/",
    b"/webhook/hooks/",
    b"/webhook/%68ooks",
    b"/webhook/hooks?challenge=1",
    b"/webhook/hooks?validationToken=t",
    b"/webhook/ho.oks",
    b"http://localhost/webhook/hooks",
)


def signature(body: bytes) -> bytes:
    return (
        b"X-Hub-Signature-256: sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest().encode()
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that ends with its body. It may be refused in any way."""
    body = draw(st.sampled_from(BODIES))
    lines = draw(st.lists(st.sampled_from(HEADERS), max_size=4))
    if draw(st.booleans()):
        lines.append(signature(body if draw(st.booleans()) else b"other"))
    if draw(st.integers(0, 3)):
        lines.insert(0, b"Host: localhost")
    lines.append(
        draw(st.sampled_from((b"Content-Length: %d", b"content-length: %d", b"Content-Length: 0%d")))
        % len(body)
    )
    method = draw(st.sampled_from((b"POST", b"POST", b"POST", b"PUT", b"GET", b"DELETE", b"post")))
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0")))
    head = b"%s %s %s" % (method, draw(st.sampled_from(PATHS)), version)
    return b"\r\n".join([head, *lines]) + b"\r\n\r\n" + body


async def heard(acme: Daemon, request: bytes, *, first: bytes = b"") -> tuple[Answer | None, bool]:
    """The answer, and whether the connection stays. `first` is sent, and answered, before."""
    async with wire(acme.server.port) as connection:
        if first:
            await connection.send(first)
            await connection.answer()
        await connection.send(request)
        try:
            answer = await connection.answer()
        except EOFError:
            return None, False
        await connection.send(PLAIN)
        try:
            return answer, (await connection.answer()).status == 404
        except EOFError:
            return answer, False


def comparable(answer: Answer | None, ids: Mapping[str, str]) -> Any:
    if answer is None:
        return None
    body = answer.body.decode("utf-8", "replace")
    for id, name in ids.items():
        body = body.replace(id, name)
    headers = {
        name: value for name, value in answer.headers.items() if name not in ("date", "content-length")
    }
    return answer.status, headers, body


async def story(home: Path, sent: Sequence[bytes], first: bytes) -> Any:
    """What a daemon answers to these requests, and what is in its journal then."""
    home.mkdir()
    async with daemon(home) as acme:
        await until(lambda: acme.reader.events(Query()), "the first poll")
        heard_of = [await heard(acme, one, first=first) for one in sent]
        events = list(reversed(acme.reader.events(Query(limit=100))))
        ids = {event.id: f"event {number}" for number, event in enumerate(events)}
        kept = [
            (
                one.source,
                one.type,
                one.platform_event,
                one.hops,
                one.routes,
                one.entity,
                one.document["payload"],
            )
            for one in events
        ]
        rows = [
            (one.route, one.actor, ids[one.event_id], one.key)
            for one in acme.reader.deliveries(Query(limit=100))
        ]
        return [(comparable(answer, ids), stays) for answer, stays in heard_of], kept, rows


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests(), min_size=1, max_size=12))
def test_both_ways_answer_the_same_and_keep_the_same(sent: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        short = asyncio.run(story(Path(place) / "short", sent, b""))
        general = asyncio.run(story(Path(place) / "general", sent, PLAIN))
    assert short == general


@given(requests(), st.integers(0, 4_000))
def test_only_what_is_whole_is_read(request_: bytes, cut: int) -> None:
    found = read_whole(request_, 16_384, "127.0.0.1")
    if found is not None:
        assert request_.endswith(b"\r\n\r\n" + found.body)
        assert int(found.headers["Content-Length"]) == len(found.body)
    assert read_whole(request_[:-1], 16_384, "127.0.0.1") is None
    assert read_whole(request_ + b"x", 16_384, "127.0.0.1") is None
    assert read_whole(request_[:cut], 16_384, "127.0.0.1") is None or cut >= len(request_)


def test_a_usual_request_is_read() -> None:
    found = read_whole(post(b"/webhook/hooks", b"{}", b"X-Key: a b"), 16_384, "::1")
    assert found is not None
    assert (found.source, found.body, found.headers["x-key"], found.peer) == ("hooks", b"{}", "a b", "::1")


@pytest.mark.parametrize(
    "request_",
    [
        post(b"/webhook/hooks", b"x" * 101),
        post(b"/webhook/hooks", b"{}", b"X-Long: " + b"x" * MOST_HEAD),
        post(b"/webhook/hooks", b"{}", *[b"X-%d: 1" % number for number in range(100)]),
        post(b"/webhook/hooks", b"{}", b"A: 1", b"a: 2"),
        post(b"/webhook/hooks", b"{}", b"Content-Length: 2"),
    ],
)
def test_what_is_large_or_doubtful_is_left_to_the_general_way(request_: bytes) -> None:
    assert read_whole(request_, 100, "127.0.0.1") is None


def gated(acme: Daemon, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Commits wait until the first is set. The second is set while one does."""
    gate, inside = asyncio.Event(), asyncio.Event()
    accept = acme.journal.accept

    async def slow(acceptance: Acceptance) -> Any:
        inside.set()
        await gate.wait()
        return await accept(acceptance)

    monkeypatch.setattr(acme.journal, "accept", slow)
    return gate, inside


async def test_requests_that_come_while_one_is_at_work_are_answered_in_order(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = gated(acme, monkeypatch)
    async with wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/hooks", b'{"n":1}'))
        await inside.wait()
        await connection.send(post(b"/webhook/nobody", b"{}") + PLAIN)
        gate.set()
        assert [(await connection.answer()).status for _ in range(3)] == [200, 404, 404]


async def test_a_sender_that_sends_no_more_hears_its_answer_and_the_end(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = gated(acme, monkeypatch)
    async with wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/hooks", b'{"n":1}'))
        await inside.wait()
        connection.writer.write_eof()
        gate.set()
        assert (await connection.answer()).status == 200
        assert await connection.closed() == b""


async def test_one_at_work_is_not_idle_and_makes_no_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with daemon(home, bounds=Bounds(idle=0.2, connections=2)) as acme:
        gate, inside = gated(acme, monkeypatch)
        async with wire(acme.server.port) as busy, wire(acme.server.port) as idle:
            await busy.send(post(b"/webhook/hooks", b'{"n":1}'))
            await inside.wait()
            assert await idle.closed() == b""
            async with wire(acme.server.port), wire(acme.server.port):
                gate.set()
                assert (await busy.answer()).status == 200
            # And then it is idle, as any other.
            assert await busy.closed() == b""


async def test_a_sender_that_leaves_has_sent_its_event_all_the_same(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = gated(acme, monkeypatch)
    async with wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/hooks", b'{"n":1}'))
        await inside.wait()
        connection.writer.transport.abort()
    gate.set()
    await until(lambda: len(acme.reader.events(Query())) == 2, "the event")
    await until(lambda: acme.server.connections == 0, "the connection's end")
