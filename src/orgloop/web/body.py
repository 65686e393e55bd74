"""Bodies of requests, read within their bounds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from aiohttp import StreamReader, web

from orgloop.errors import Refused

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a body, unless the server is told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyBounds:
    """How many bytes a body may have, and how many seconds it may take."""

    limit: int = BODY_LIMIT
    seconds: float = 30.0


async def read_body(request: web.BaseRequest, bounds: BodyBounds) -> bytes:
    """The body. Raises Refused: too large (413), slow (408), packed (415), an unknown expectation (417)."""
    headers, content = request.headers, request.content
    length = request.content_length
    if length is not None and length > bounds.limit:
        raise _too_large(bounds.limit)
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
    if content.is_eof():
        body = content.read_nowait()
        if len(body) > bounds.limit:
            raise _too_large(bounds.limit)
        return body
    await _answer_expectation(request)
    try:
        async with asyncio.timeout(bounds.seconds):
            return await _collect(content, bounds.limit)
    except TimeoutError as exc:
        raise Refused("the body did not arrive in time", hint="send it again", status=408) from exc
    except web.RequestPayloadError as exc:
        raise Refused("the body is not what its headers say", hint="send it again, whole") from exc


async def _collect(content: StreamReader, limit: int) -> bytes:
    body = bytearray()
    while not content.at_eof():
        body += await content.readany()
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


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
    return Refused(f"the body is larger than {limit} bytes", hint="send less in one request", status=413)
