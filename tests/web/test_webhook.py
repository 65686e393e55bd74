"""/webhook/{source}: who may send, what may be sent, and what the sender hears."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from orgloop.config.model import Organization, SourceSpec
from orgloop.core.text.json_text import dump_json
from orgloop.errors import JournalUnavailable, Overloaded
from orgloop.journal.model import Acceptance, Accepted
from orgloop.plugin import Context, Draft, Inbound, Received, Reply, Settings, SourceKind
from orgloop.runtime.dispatch.prompt import as_data
from orgloop.web.webhook import Headers
from tests.web.daemon import SECRET, Daemon, NoSettings, daemon
from tests.web.raw import ask, post, wire

LIMIT: Final = 1024 * 1024


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


async def test_the_answer_names_the_event_that_was_committed(acme: Daemon) -> None:
    status, body = await acme.post("/webhook/hooks", {"type": "ping", "n": 1})
    event_id = body["event_id"]
    assert status == 200
    assert body == {
        "ok": True,
        "event_id": event_id,
        "duplicate": False,
        "events_created": 1,
        "event_ids": [event_id],
    }
    row = acme.reader.event(event_id)
    assert row is not None
    assert (row.source, row.document["payload"]) == ("hooks", {"type": "ping", "n": 1})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'{"type":"ping","id":1180591620717411303425}', b'{"type":"ping","id":1180591620717411303425}'),
        (b'{"type":"ping","id":12345678901234567890.5}', b'{"type":"ping","id":12345678901234567890.5}'),
        (rb'{"type":"ping","title":"cut \ud83d"}', b'{"type":"ping","title":"cut \xef\xbf\xbd"}'),
    ],
)
async def test_numbers_and_text_come_out_as_they_came_in(sent: bytes, kept: bytes, acme: Daemon) -> None:
    answer = await ask(acme.server.port, post(b"/webhook/hooks", sent))
    assert answer.status == 200
    await acme.settled("delivered")
    [wake] = acme.actor.wakes
    row = acme.reader.event(wake.event.id)
    assert row is not None
    assert dump_json(row.document["payload"]) == dump_json(wake.event.payload) == kept
    question = f"GET /api/events/{row.id} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    said = await ask(acme.server.port, question.encode())
    assert kept in said.body
    assert kept.decode().split('":')[-1].rstrip("}") in as_data(wake.event)


async def test_the_same_request_again_hears_the_first_event(acme: Daemon) -> None:
    _, first = await acme.post("/webhook/hooks", {"n": 1}, Idempotency_Key="abc")
    status, again = await acme.post("/webhook/hooks", {"n": 1}, Idempotency_Key="abc")
    assert status == 200
    assert again == {
        "ok": True,
        "event_id": first["event_id"],
        "duplicate": True,
        "events_created": 0,
        "event_ids": [first["event_id"]],
    }


async def test_an_event_wakes_its_actor(acme: Daemon) -> None:
    await acme.webhook({"type": "ping"})
    await acme.settled("delivered")
    assert [wake.route for wake in acme.actor.wakes] == ["all-hooks"]


async def test_an_unknown_source_is_not_found_and_those_that_take_webhooks_are_named(acme: Daemon) -> None:
    status, body = await acme.post("/webhook/nobody", {})
    assert (status, body["error"]) == (404, "unknown source 'nobody'")
    assert "hooks, signed" in body["hint"]


async def test_a_source_that_only_polls_takes_no_webhooks(acme: Daemon) -> None:
    status, body = await acme.post("/webhook/polled", {})
    assert (status, body["error"]) == (404, "source 'polled' accepts no webhooks")


@pytest.mark.parametrize("path", ["/webhook", "/webhook/", "/webhook/hooks/more"])
async def test_other_paths_are_not_found(path: str, acme: Daemon) -> None:
    status, body = await acme.post(path, {})
    assert (status, body["ok"]) == (404, False)
    assert acme.states() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused_with_the_one_that_is_allowed(method: str, acme: Daemon) -> None:
    status, headers, body = await acme.whole(method, "/webhook/hooks", b"{}")
    assert (status, headers["Allow"]) == (405, "POST")
    assert body["error"].startswith("Method not allowed")


async def test_a_slash_at_the_end_is_the_same_address(acme: Daemon) -> None:
    status, body = await acme.post("/webhook/hooks/", {"type": "ping"})
    assert (status, body["ok"]) == (200, True)


async def test_HEAD_finds_that_somebody_is_there(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(b"HEAD /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await connection.closed()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "acme.ngrok.app"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"x-forwarded-anything": "1"},
        {"CF-Connecting-IP": "203.0.113.9"},
        {"Via": "1.1 proxy.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_a_source_without_a_secret_takes_nothing_from_beyond_this_machine(
    headers: dict[str, str], acme: Daemon
) -> None:
    status, body = await acme.post("/webhook/hooks", {"n": 1}, **headers)
    assert status == 403
    assert body["hint"]
    assert acme.states() == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4800", "127.0.0.1", "[::1]", "[::1]:4800"])
async def test_a_source_without_a_secret_takes_what_names_this_machine(host: str, acme: Daemon) -> None:
    status, _ = await acme.post("/webhook/hooks", {"n": 1}, Host=host)
    assert status == 200


async def test_a_signed_request_is_taken_through_any_tunnel(acme: Daemon) -> None:
    body = orjson.dumps({"n": 1})
    status, answer = await acme.post(
        "/webhook/signed",
        body,
        Host="acme.ngrok.app",
        Origin="https://example.com",
        X_Forwarded_For="203.0.113.9",
        X_Hub_Signature_256=signature(body),
    )
    assert (status, answer["ok"]) == (200, True)


@pytest.mark.parametrize(
    "given", [None, "", "sha256=", "sha256=" + "0" * 64, "sha1=abc", "é", "\udcff"], ids=ascii
)
async def test_a_wrong_signature_is_refused_and_nothing_is_taken(given: str | None, acme: Daemon) -> None:
    lines = [] if given is None else [b"X-Hub-Signature-256: " + given.encode("utf-8", "surrogateescape")]
    answer = await ask(acme.server.port, post(b"/webhook/signed", b'{"n": 1}', *lines))
    assert answer.status == 401
    assert answer.json["ok"] is False
    assert "www-authenticate" not in answer.headers
    assert answer.body.endswith(b"}\n")
    assert acme.states() == []


async def test_a_signature_over_bytes_that_are_no_text_holds_and_the_body_is_refused(acme: Daemon) -> None:
    body = b'{"n": "\xff"}'
    status, answer = await acme.post("/webhook/signed", body, X_Hub_Signature_256=signature(body))
    assert (status, answer["error"]) == (400, "Invalid JSON payload: not UTF-8 at line 1, column 8")


async def test_a_signature_in_upper_case_hex_holds(acme: Daemon) -> None:
    body = b'{"n": 1}'
    digits = signature(body).removeprefix("sha256=").upper()
    status, _ = await acme.post("/webhook/signed", body, X_Hub_Signature_256=f"sha256={digits}")
    assert status == 200


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(acme: Daemon) -> None:
    fits = b'"' + b"a" * (LIMIT - 2) + b'"'
    assert (await ask(acme.server.port, post(b"/webhook/hooks", fits))).status == 200
    answer = await ask(acme.server.port, post(b"/webhook/hooks", fits + b" "))
    assert (answer.status, answer.json["error"]) == (413, f"the body is larger than {LIMIT} bytes")


async def test_a_small_body_in_chunks_is_measured_too(home: Path) -> None:
    async with daemon(home, body_limit=10) as acme:
        for body, status in ((b'"12345678"', 200), (b'"123456789"', 413)):
            request = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            answer = await ask(acme.server.port, request + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert answer.status == status


async def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_comes(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(
            b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n"
        )
        answer = await connection.answer()
        assert answer.status == 413
        assert await connection.closed() == b""


async def test_chunks_beyond_the_limit_are_refused_while_they_come(acme: Daemon) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    async with wire(acme.server.port) as connection:
        await connection.send(
            b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sending = asyncio.create_task(connection.send(chunk * 200))
        answer = await connection.answer()
        assert answer.status == 413
        await connection.closed()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_body_in_chunks_is_one_body(acme: Daemon) -> None:
    request = (
        b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'4\r\n{"n"\r\n4\r\n: 1}\r\n0\r\n\r\n'
    )
    answer = await ask(acme.server.port, request)
    row = acme.reader.event(answer.json["event_id"])
    assert row is not None
    assert row.document["payload"] == {"n": 1}


async def test_a_sender_that_asks_first_is_told_to_go_on(acme: Daemon) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(
            b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 8\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await connection.answer()).status == 100
        await connection.send(b'{"n": 1}')
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 99999999\r\nExpect: 100-continue", 413),
        (b"Content-Length: 8\r\nExpect: a miracle", 417),
        (b"Content-Length: 8\r\nExpect: 100-continue\r\nContent-Encoding: gzip", 415),
    ],
)
async def test_a_sender_that_asks_first_hears_at_once_that_it_need_not_send(
    head: bytes, status: int, acme: Daemon
) -> None:
    async with wire(acme.server.port) as connection:
        await connection.send(b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert (await connection.answer()).status == status


class FailingJournal:
    """Refuses what comes in, as a full disk or a long queue does."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def accept(self, acceptance: Acceptance) -> Sequence[Accepted]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Overloaded("20000 events wait", hint="later", retry_after=7), "7"),
        (JournalUnavailable("the disk is full", hint="make room"), "1"),
    ],
)
async def test_what_could_not_be_committed_hears_503_and_when_to_come_again(
    error: Exception, wait: str, acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme.journal, "accept", FailingJournal(error).accept)
    status, headers, body = await acme.whole("POST", "/webhook/hooks", {"n": 1})
    assert (status, headers["Retry-After"]) == (503, wait)
    assert (body["ok"], body["error"]) == (False, str(error).split("\n")[0])


class Translator:
    """A source whose answer is up to the test."""

    signed = True
    answer = Received()
    seen: Inbound | None = None

    def __init__(self, id: str, settings: Settings) -> None:
        """Nothing to keep."""

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def receive(self, request: Inbound) -> Received:
        type(self).seen = request
        if request.body == b"break":
            raise RuntimeError("secret details")
        return type(self).answer


def with_translator(organization: Organization) -> Organization:
    kind = SourceKind(settings=NoSettings, open=Translator)
    spec = SourceSpec(id="odd", connector="fake", kind=kind, settings=NoSettings(), poll_interval_ms=None)
    return replace(organization, sources={"odd": spec}, routes=())


def draft(n: int) -> Draft:
    return Draft(provenance={"platform": "fake"}, payload={"n": n}, key=f"fact-{n}")


@pytest.mark.parametrize(
    ("received", "status", "expected"),
    [
        (Received(), 200, {"event_id": None, "duplicate": False, "events_created": 0}),
        (Received(events=(draft(1), draft(2))), 200, {"duplicate": False, "events_created": 2}),
        (Received(events=(draft(1), draft(1))), 200, {"duplicate": False, "events_created": 1}),
        (Received(events=(draft(1),), reply=Reply(status=202)), 202, {"ok": True, "events_created": 1}),
        (Received(reply=Reply(body={"challenge": "x"})), 200, {"challenge": "x"}),
    ],
)
async def test_the_source_decides_what_the_sender_hears(
    received: Received, status: int, expected: Mapping[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translator, "answer", received)
    async with daemon(home, with_translator) as odd:
        got, body = await odd.post("/webhook/odd?a=1&b=%20", b"raw \xff bytes", X_Custom="Yes")
    assert (got, {key: body[key] for key in expected}) == (status, expected)
    seen = Translator.seen
    assert seen is not None
    assert (seen.method, seen.body, seen.query, seen.peer) == (
        "POST",
        b"raw \xff bytes",
        "a=1&b=%20",
        "127.0.0.1",
    )
    assert seen.headers["x-custom"] == seen.headers.get("x-custom") == "Yes"
    assert "x-custom" in dict(seen.headers)


async def test_a_source_never_sees_a_method_that_no_sender_needs(home: Path) -> None:
    async with daemon(home, with_translator) as odd:
        for method, status in (("GET", 200), ("PUT", 200), ("DELETE", 405), ("OPTIONS", 405)):
            assert (await odd.send(method, "/webhook/odd"))[0] == status, method


async def test_headers_of_the_reply_are_sent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Translator, "answer", Received(reply=Reply(headers={"X-Seen": "1"})))
    async with daemon(home, with_translator) as odd:
        _, headers, _ = await odd.whole("POST", "/webhook/odd", b"")
    assert (headers["X-Seen"], headers["Content-Type"]) == ("1", "application/json")


async def test_a_source_that_breaks_tells_the_sender_nothing_of_why(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon(home, with_translator) as odd:
        status, body = await odd.post("/webhook/odd", b"break")
        assert (status, body["ok"], body["error"]) == (500, False, "internal error")
        assert "secret" not in orjson.dumps(body).decode()
        assert (await odd.get("/api/status"))[0] == 200
    assert "secret details" in caplog.text


def test_headers_are_found_in_any_case_and_listed_in_lower_case() -> None:
    from multidict import CIMultiDict, CIMultiDictProxy

    given = CIMultiDictProxy(CIMultiDict([("X-A", "1"), ("Host", "h"), ("x-a", "2")]))
    headers = Headers(given)
    assert dict(headers) == {"x-a": "1", "host": "h"}
    assert (headers["X-A"], headers.get("nothing"), headers.get("nothing", ""), len(headers)) == (
        "1",
        None,
        "",
        2,
    )
    assert "HOST" in headers
