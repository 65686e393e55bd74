"""Nothing that arrives at the port ends the daemon: each gets its answer, and the next one is served."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pytest

from orgloop.web.connection import Bounds
from tests.web.daemon import Daemon, daemon
from tests.web.raw import ask, post, wire

HOST: Final = b"Host: 127.0.0.1\r\n"

CASES: Final[dict[str, tuple[bytes, set[int]]]] = {
    "a target of two slashes": (b"GET // HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a target of two slashes under /api": (b"GET //api/status HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a Host that is half an address": (b"GET /api/status HTTP/1.1\r\nHost: [\r\n\r\n", {400, 403}),
    "an empty Host": (b"GET /api/status HTTP/1.1\r\nHost:\r\n\r\n", {400, 403}),
    "no Host": (b"GET /api/status HTTP/1.1\r\n\r\n", {400, 403}),
    "two Hosts": (b"GET /api/status HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n", {400, 403}),
    "a Host whose port is none": (b"GET /api/status HTTP/1.1\r\nHost: localhost:x\r\n\r\n", {400, 403}),
    "a whole URL as target": (b"GET http://evil.example/api/status HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "our own URL as target": (b"GET http://127.0.0.1/api/status HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a target without a slash": (b"GET api/status HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "an asterisk as target": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a NUL in the target": (b"GET /api/\0status HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a NUL in a header": (b"GET /api/status HTTP/1.1\r\n" + HOST + b"X-A: a\0b\r\n\r\n", {400}),
    "an escaped NUL in the target": (b"GET /api/%00 HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a broken escape": (b"GET /api/events/%zz%ff%c3 HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a source in no encoding": (
        b"POST /webhook/%ff\xfe HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "a header of 20 kB": (
        b"GET /api/status HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n",
        {400},
    ),
    "a target of 20 kB": (b"GET /api/" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a thousand headers": (b"GET /api/status HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" * 1_000 + b"\r\n", {400}),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "HTTP/9.9": (b"GET /api/status HTTP/9.9\r\n" + HOST + b"\r\n", {400}),
    "a line of blanks": (b"   \r\n\r\n", {400}),
    "two Content-Lengths": (
        b"POST /webhook/hooks HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        {400},
    ),
    "length and chunks at once": (
        b"POST /webhook/hooks HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        {400},
    ),
    "a negative Content-Length": (
        b"POST /webhook/hooks HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n{}",
        {400},
    ),
    "a Content-Length that is no number": (
        b"POST /webhook/hooks HTTP/1.1\r\n" + HOST + b"Content-Length: 0x2\r\n\r\n{}",
        {400},
    ),
    "a Content-Length beyond all measure": (
        b"POST /webhook/hooks HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
        {400, 413},
    ),
    "chunks that are none": (
        b"POST /webhook/hooks HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        {400},
    ),
    "a chunk that lies about its size": (
        b"POST /webhook/hooks HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}{}\r\n0\r\n\r\n",
        {400},
    ),
    "an encoding of the transfer that is unknown": (
        b"POST /webhook/hooks HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        {400, 415, 501},
    ),
    "a header folded over two lines": (
        b"GET /api/status HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
        {200, 400},
    ),
    "a header without a colon": (b"GET /api/status HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", {400}),
    "an upgrade to a websocket": (
        b"GET /api/status HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        {200, 400},
    ),
    "an expectation that is unknown": (post(b"/webhook/hooks", b"{}", b"Expect: the-impossible"), {200, 417}),
    "a body packed with gzip": (
        post(b"/webhook/hooks", gzip.compress(b'{"type": "ping"}'), b"Content-Encoding: gzip"),
        {415},
    ),
    "a body packed twice": (post(b"/webhook/hooks", b"{}", b"Content-Encoding: gzip, br"), {415}),
    "JSON nested 20,000 deep": (post(b"/webhook/hooks", b"[" * 20_000 + b"]" * 20_000), {400}),
    "JSON nested 20,000 deep in objects": (
        post(b"/webhook/hooks", b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
        {400},
    ),
    "JSON that ends too soon": (post(b"/webhook/hooks", b'{"a":'), {400}),
    "an empty body": (post(b"/webhook/hooks", b""), {400}),
    "bytes that are no text": (post(b"/webhook/hooks", b'{"a":"\xff\xfe"}'), {400}),
    "a surrogate alone": (post(b"/webhook/hooks", b'{"a":"\\ud800"}'), {200}),
    "a number beyond all measure": (post(b"/webhook/hooks", b'{"a":' + b"9" * 5_000 + b"}"), {200, 400}),
    "HTTP/1.0": (b"GET /api/status HTTP/1.0\r\n" + HOST + b"\r\n", {200}),
    "HTTP/1.0 without a Host": (b"GET /api/status HTTP/1.0\r\n\r\n", {403}),
    "a method that nobody knows": (b"BREW /api/status HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405}),
    "TRACE": (b"TRACE /webhook/hooks HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405}),
}


@pytest.mark.parametrize("case", CASES)
async def test_an_answer_comes_and_the_daemon_lives_on_after(case: str, acme: Daemon) -> None:
    request, statuses = CASES[case]
    answer = await ask(acme.server.port, request)
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/json"
    if answer.status >= 400:
        assert answer.json["ok"] is False
        assert answer.json["error"]
    status, body = await acme.get("/api/status")
    assert (status, body["running"]) == (200, True)


async def test_garbage_is_no_matter_for_the_log(acme: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    for request, _ in CASES.values():
        await ask(acme.server.port, request)
    assert [
        record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")
    ] == []


async def test_a_packed_body_is_not_unpacked_to_be_thrown_away(home: Path) -> None:
    packed = gzip.compress(b"\0" * 40_000_000)
    async with daemon(home, bounds=Bounds(linger=0.0)) as acme, wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/hooks", packed, b"Content-Encoding: gzip"))
        assert (await connection.answer()).status == 415
        await connection.send(post(b"/webhook/hooks", b"{}"))
        assert (await connection.answer()).status == 200, "there was nothing left to wait for"


async def test_a_request_that_never_ends_in_its_head_is_refused_early(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(b"GET /api/status HTTP/1.1\r\n" + HOST)
        for _ in range(1_000):
            await connection.send(b"X-A: " + b"a" * 1_000 + b"\r\n")
        answer = await connection.answer()
        assert answer.status == 400


async def test_a_connection_serves_one_request_after_the_other(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        for number in range(3):
            await connection.send(post(b"/webhook/hooks", b'{"n": %d}' % number))
            answer = await connection.answer()
            assert (answer.status, answer.json["ok"]) == (200, True)


async def test_pipelined_requests_are_answered_in_their_order(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(post(b"/webhook/nobody", b"{}") + post(b"/webhook/hooks", b"{}"))
        assert [(await connection.answer()).status, (await connection.answer()).status] == [404, 200]
