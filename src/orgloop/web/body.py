"""Bodies of requests: how large one may be, how long it may take, and how much there may be at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import StreamReader, web

from orgloop.core.text.units import UnitError, parse_size
from orgloop.errors import OrgLoopError, Overloaded, Refused

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a body, unless the server is told otherwise."""

LEAST: Final = 1024
"""Bytes that a limit leaves at least: what a person types into a command."""

VARIABLE: Final = "ORGLOOP_BODY_LIMIT"


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyBounds:
    """How many bytes a body may have, and how many seconds it may take.

    From `grace` seconds on, a body must have come at `least` bytes a second on average. A body of more
    than `small` bytes is a large one. All large ones together may have `room` bytes, and so many
    `at_once` are worked on: as values they take twenty times their size, and time that everybody else
    waits. When the room is full, the sender with most bytes under way gives up its oldest body.
    """

    limit: int = BODY_LIMIT
    seconds: float = 30.0
    grace: float = 5.0
    least: int = 8 * 1024
    small: int = 16 * 1024
    room: int = 32 * 1024 * 1024
    at_once: int = 2

    @property
    def most_whole(self) -> int:
        """How large a body may be that comes in one packet with its head."""
        return min(self.small, self.limit)


def body_limit_of(environ: Mapping[str, str]) -> int:
    """`$ORGLOOP_BODY_LIMIT`, else `BODY_LIMIT`. Raises OrgLoopError if it is no size, or none that fits."""
    configured = environ.get(VARIABLE, "").strip()
    if not configured:
        return BODY_LIMIT
    most = BodyBounds().room
    hint = f"set it to a size from {LEAST // 1024}KB to {most // 1024**2}MB, such as 25MB, or unset it"
    try:
        limit = parse_size(configured)
    except UnitError as exc:
        raise OrgLoopError(f"{VARIABLE} is {configured!r}, not a size", hint=hint) from exc
    if not LEAST <= limit <= most:
        # A body that is larger than the room for all of them would never get in.
        raise OrgLoopError(f"{VARIABLE} is {configured!r}, out of bounds", hint=hint)
    return limit


@dataclass(eq=False, slots=True)
class Arrival:
    """A body on its way, and what it holds of the room for large ones."""

    peer: str
    patience: asyncio.Timeout
    body: bytearray = field(default_factory=bytearray)
    held: int = 0
    refusal: OrgLoopError | None = None
    """Why it is not waited for any longer."""

    def end(self, refusal: OrgLoopError) -> None:
        """Stop waiting for it."""
        self.refusal = self.refusal or refusal
        if not self.patience.expired():
            self.patience.reschedule(0)


class Bodies:
    """The bodies of all requests of a server. From `close` on, what has not arrived is not waited for."""

    def __init__(self, bounds: BodyBounds) -> None:
        self._bounds = bounds
        self._turns = asyncio.Semaphore(bounds.at_once)
        self._held = 0
        self._arriving: dict[Arrival, None] = {}  # the oldest first
        self._closed = False

    def close(self) -> None:
        """Whoever still sends hears that OrgLoop stops."""
        self._closed = True
        for arrival in self._arriving:
            arrival.end(stopping())

    @asynccontextmanager
    async def of(self, request: web.BaseRequest) -> AsyncGenerator[bytes]:
        """The body, to be worked on within.

        Raises Refused: too large (413), slow (408), packed (415), an unknown expectation (417);
        Overloaded if too much has come from others.
        """
        _require_readable(request, self._bounds.limit)
        content = request.content
        patience = asyncio.timeout(min(self._bounds.grace, self._bounds.seconds))
        arrival = Arrival(peer=request.remote or "", patience=patience)
        try:
            if content.is_eof():
                self._take(arrival, content.read_nowait())
            else:
                await _answer_expectation(request)
                await self._arrive(arrival, content)
            body = bytes(arrival.body)
            if arrival.held:
                async with self._turns:
                    yield body
            else:
                yield body
        finally:
            self._give_up(arrival)

    async def _arrive(self, arrival: Arrival, content: StreamReader) -> None:
        if self._closed:
            raise stopping()
        began = asyncio.get_running_loop().time()
        try:
            async with arrival.patience:
                self._arriving[arrival] = None
                while not content.at_eof():
                    self._take(arrival, await content.readany())
                    self._wait_on(arrival, began)
        except TimeoutError as exc:
            raise arrival.refusal or Refused(
                "the body did not arrive in time", hint="send it again over a faster connection", status=408
            ) from exc
        except web.RequestPayloadError as exc:
            raise Refused("the body does not match its headers", hint="send it again, whole") from exc
        finally:
            self._arriving.pop(arrival, None)

    def _wait_on(self, arrival: Arrival, began: float) -> None:
        """What has come buys time for the rest, up to the longest that any body may take."""
        if arrival.refusal is None and not arrival.patience.expired():
            earned = self._bounds.grace + len(arrival.body) / self._bounds.least
            arrival.patience.reschedule(began + min(earned, self._bounds.seconds))

    def _take(self, arrival: Arrival, more: bytes) -> None:
        if arrival.refusal is not None:
            raise arrival.refusal
        length = len(arrival.body) + len(more)
        if length > self._bounds.limit:
            raise _too_large(self._bounds.limit)
        if length > self._bounds.small:
            grown = length - arrival.held
            self._make_room(arrival, grown)
            self._held += grown
            arrival.held = length
        arrival.body += more

    def _make_room(self, arrival: Arrival, grown: int) -> None:
        """Room for so many bytes more. A body that is not whole has proven nothing, and goes first."""
        while self._held + grown > self._bounds.room:
            others = [one for one in self._arriving if one.held and one is not arrival]
            if not others:
                raise _full()
            held: Counter[str] = Counter()
            for one in others:
                held[one.peer] += one.held
            [(heaviest, _)] = held.most_common(1)
            oldest = next(one for one in others if one.peer == heaviest)
            oldest.end(_full())
            self._give_up(oldest)

    def _give_up(self, arrival: Arrival) -> None:
        """It holds nothing any longer."""
        self._held -= arrival.held
        arrival.held = 0
        arrival.body = bytearray()


def _full() -> Overloaded:
    return Overloaded("too many large requests arrive at once", hint="send it again after a moment")


def stopping() -> Overloaded:
    """What everybody hears from a stop on."""
    return Overloaded("OrgLoop is stopping", hint="send it again after the restart")


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
