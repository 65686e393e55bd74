"""What the other system of a connector may answer: every way in which an HTTP API misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from orgloop.plugin import Context, Draft, Http, HttpFailed, HttpReply, Mark
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient

Answer = HttpReply | HttpFailed


def _reply(status: int, reason: str, body: bytes = b"", **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, reason=reason, headers=named, body=body)


_JSON: Final = "application/json"
_SOON: Final = str(int(time.time()) + 3_600)

ANSWERS: Final[Mapping[str, Answer]] = {
    "no connection": HttpFailed("no connection", sent=False),
    "no answer": HttpFailed("no answer", sent=True, timeout=True),
    "nothing": _reply(200, "OK"),
    "no content": _reply(204, "No Content"),
    "a page instead of JSON": _reply(
        200, "OK", b"<html><body>Sign in</body></html>", content_type="text/html"
    ),
    "half a document": _reply(200, "OK", b'{"data": [{"id": 1', content_type=_JSON),
    "null": _reply(200, "OK", b"null", content_type=_JSON),
    "a list": _reply(200, "OK", b"[7, null, [], {}]", content_type=_JSON),
    "an empty object": _reply(200, "OK", b"{}", content_type=_JSON),
    "text where objects belong": _reply(
        200, "OK", b'{"data": "no", "items": 7, "id": {}}', content_type=_JSON
    ),
    "deep nesting": _reply(200, "OK", b'{"data":' * 5_000, content_type=_JSON),
    "too much": HttpReply(
        status=200,
        reason="OK",
        headers={"content-type": _JSON},
        body=b'{"data": "' + b"x" * 1_000_000,
        truncated=True,
    ),
    "not modified": _reply(304, "Not Modified"),
    "a redirect": _reply(302, "Found", location="http://127.0.0.1:9/elsewhere"),
    "a bad request": _reply(400, "Bad Request", b'{"message": "no"}', content_type=_JSON),
    "an expired credential": _reply(
        401, "Unauthorized", b'{"message": "Bad credentials"}', content_type=_JSON
    ),
    "a missing permission": _reply(403, "Forbidden"),
    "not there": _reply(404, "Not Found"),
    "a limit in seconds": _reply(429, "Too Many Requests", retry_after="30"),
    "a limit until a date": _reply(429, "Too Many Requests", retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
    "a limit that is no time": _reply(429, "Too Many Requests", retry_after="later"),
    "a limit in headers": _reply(403, "Forbidden", x_ratelimit_remaining="0", x_ratelimit_reset=_SOON),
    "an error": _reply(500, "Internal Server Error", b"\xff\xfe"),
    "out of service": _reply(503, "Service Unavailable", retry_after="999999999999"),
}
"""Answers that each connector lives with, by what they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Http:
    answer: Answer | None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,
        follow_redirects: bool = False,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> HttpReply:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, HttpFailed):
            raise HttpFailed(self.answer.reason, sent=self.answer.sent, timeout=self.answer.timeout)
        assert self.answer is not None
        return self.answer


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clock(SystemClock):
    """The system's time; nobody waits for long."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    id: str
    environment: Mapping[str, str]
    http: Http
    project: str = "under-test"
    clock: _Clock = field(default_factory=_Clock)

    def mark_in(self, text: str) -> Mark | None:
        return None

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        return [f"evt_{number:016x}" for number in range(len(events))]


class OtherSide:
    """Another system, by the client that asks it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    @classmethod
    def answering(cls, answer: Answer | None = ANSWERS["no connection"]) -> OtherSide:
        """A system that gives every request one answer; None: it never answers."""
        return cls(_Http(answer=answer))

    def context(self, id: str, environ: Mapping[str, str]) -> Context:
        """What a source or actor gets of the engine."""
        return _Context(id=id, environment=environ, http=self._http)


@asynccontextmanager
async def as_it_is() -> AsyncGenerator[OtherSide]:
    """The system that the settings name, asked as the engine asks it."""
    client = HttpClient()
    try:
        yield OtherSide(client)
    finally:
        await client.close()
