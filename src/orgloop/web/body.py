"""Bodies of requests: how large one may be, how long it may take, and how much there may be at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import StreamReader, web

from orgloop.core.units import UnitError, parse_size
from orgloop.errors import OrgLoopError, Overloaded, Refused

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a body, unless the server is told otherwise."""

LEAST: Final = 1024
"""Bytes that a limit leaves at least: what a person types into a command."""

VARIABLE: Final = "ORGLOOP_BODY_LIMIT"


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyBounds:
    """How many bytes a body may have, and how many seconds it may take.

    A body of more than `small` bytes is a large one. All large ones together may have `room` bytes,
    and so many `at_once` are worked on: as values they take twenty times their size, and time that
    everybody else waits.
    """

    limit: int = BODY_LIMIT
    seconds: float = 30.0
    small: int = 16 * 1024
    room: int = 32 * 1024 * 1024
    at_once: int = 2


def body_limit_of(environ: Mapping[str, str]) -> int:
    """`$ORGLOOP_BODY_LIMIT`, else `BODY_LIMIT`. Raises OrgLoopError if it is no size, or none that fits."""
    said = environ.get(VARIABLE, "").strip()
    if not said:
        return BODY_LIMIT
    most = BodyBounds().room
    hint = f"set it to a size from {LEAST // 1024}KB to {most // 1024**2}MB, such as 25MB, or unset it"
    try:
        limit = parse_size(said)
    except UnitError as exc:
        raise OrgLoopError(f"{VARIABLE} is {said!r}, not a size", hint=hint) from exc
    if not LEAST <= limit <= most:
        # A body that is larger than the room for all of them would never get in.
        raise OrgLoopError(f"{VARIABLE} is {said!r}, out of bounds", hint=hint)
    return limit


class Bodies:
    """The bodies of all requests of a server. From `close` on, what has not arrived is not waited for."""

    def __init__(self, bounds: BodyBounds) -> None:
        self._bounds = bounds
        self._turns = asyncio.Semaphore(bounds.at_once)
        self._held = 0
        self._arriving: set[asyncio.Timeout] = set()
        self._closed = False

    def close(self) -> None:
        """Whoever still sends hears that OrgLoop stops."""
        self._closed = True
        for patience in self._arriving:
            if not patience.expired():
                patience.reschedule(0)

    def at_once(self, request: web.BaseRequest) -> bytes | None:
        """A small body that has come with its head, as nearly all do. Raises as `of` does."""
        length = request.content_length
        if length is None or length > self._bounds.small or not request.content.is_eof():
            return None
        _require_readable(request, self._bounds.limit)
        return request.content.read_nowait()

    @asynccontextmanager
    async def of(self, request: web.BaseRequest) -> AsyncGenerator[bytes]:
        """The body, to be worked on within.

        Raises Refused: too large (413), slow (408), packed (415), an unknown expectation (417);
        Overloaded if too much has come from others.
        """
        _require_readable(request, self._bounds.limit)
        content = request.content
        body = bytearray()
        try:
            if content.is_eof():
                self._take(body, content.read_nowait())
            else:
                await _answer_expectation(request)
                await self._arrival(body, content)
            if self._large(len(body)):
                async with self._turns:
                    yield bytes(body)
            else:
                yield bytes(body)
        finally:
            self._held -= self._large(len(body))

    async def _arrival(self, body: bytearray, content: StreamReader) -> None:
        patience = asyncio.timeout(0 if self._closed else self._bounds.seconds)
        try:
            async with patience:
                self._arriving.add(patience)
                while not content.at_eof():
                    self._take(body, await content.readany())
        except TimeoutError as exc:
            if self._closed:
                raise stopping() from exc
            raise Refused("the body did not arrive in time", hint="send it again", status=408) from exc
        except web.RequestPayloadError as exc:
            raise Refused("the body is not what its headers say", hint="send it again, whole") from exc
        finally:
            self._arriving.discard(patience)

    def _take(self, body: bytearray, more: bytes) -> None:
        length = len(body) + len(more)
        if length > self._bounds.limit:
            raise _too_large(self._bounds.limit)
        grown = self._large(length) - self._large(len(body))
        if self._held + grown > self._bounds.room:
            raise Overloaded(
                f"large requests that are not answered yet fill {self._bounds.room} bytes",
                hint="send it again after a moment",
            )
        self._held += grown
        body += more

    def _large(self, length: int) -> int:
        """The length, if that makes a body a large one; else 0."""
        return length if length > self._bounds.small else 0


def stopping() -> Overloaded:
    """What everybody hears from a stop on."""
    return Overloaded("OrgLoop is stopping", hint="send it again once it is back")


def _require_readable(request: web.BaseRequest, limit: int) -> None:
    """Refuse by its head what will be too large, and what is packed."""
    headers, length = request.headers, request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    encoding = headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise Refused(
            f"the body's Content-Encoding is {encoding!r}",
            hint="send it as it is, not compressed",
            status=415,
        )
    if length is None and headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise Refused(
            f"the Transfer-Encoding is {headers['Transfer-Encoding']!r}",
            hint="send it as it is, not compressed",
            status=501,
        )


async def _answer_expectation(request: web.BaseRequest) -> None:
    """The sender may wait for our word before it sends the body."""
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.strip().lower() != "100-continue":
        raise Refused(
            f"the expectation {expected!r} is unknown", hint="leave out the header Expect", status=417
        )
    if request.version >= (1, 1) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(limit: int) -> Refused:
    return Refused(
        f"the body is larger than {limit} bytes", hint=f"send less, or raise {VARIABLE}", status=413
    )
