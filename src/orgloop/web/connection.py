"""Connections: how many there may be, and how long each may keep us waiting."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from orgloop.web.answers import dump, json_answer
from orgloop.web.whole import Whole, read_whole, rendered

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
WholeHandler = Callable[[Whole], Coroutine[Any, Any, "bytes | web.Response"]]
"""Answers a webhook that came as a whole. Bytes are an answer that is ready to be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How patient the server is, in seconds, and how many it serves.

    `idle`: until a request's head is complete, also at the start of a connection. `body`: until its body
    is. `stall`: until a client that reads nothing is let go. `linger`: for the rest of a body that
    nobody wants. `connections`: at once, but never more than half of the files that this process may
    open. One more ends another that we wait for: see `Listener.has_room`.
    """

    idle: float = 60.0
    body: float = 30.0
    stall: float = 30.0
    linger: float = 1.0
    connections: int = 512


class Awaited(IntEnum):
    """What we wait for at a connection. Whoever has proven least makes room first."""

    NOTHING = 0
    FIRST_HEAD = 1
    BODY = 2
    NEXT_REQUEST = 3


class Misdirected(web.BaseRequest):
    """A request whose target is a whole URL, as for a proxy: its Host header says nothing then."""


class BoundedServer(web.Server):
    """Makes a connection for whoever comes, and knows those that are there."""

    def __init__(
        self, handler: Handler, bounds: Bounds, whole: WholeHandler | None = None, most: int = 0
    ) -> None:
        """`whole` answers webhooks that come as a whole, with bodies of at most `most` bytes."""
        super().__init__(handler, request_factory=self._request)
        self.bounds = bounds
        self.whole = whole
        self.most_whole = most
        # The journal, agents and outgoing requests need files, too.
        self.most = min(bounds.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._open: dict[web.RequestHandler, None] = {}  # the oldest first
        self._reported_full = False

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def has_room(self) -> bool:
        """Whether the connection that has just come may stay: one that we wait for makes room.

        They go in the order of `Awaited`. Among alike, the oldest of the peer that has most of them goes.
        """
        if self.count <= self.most:
            self._reported_full = self._reported_full and self.count > self.most // 2
            return True
        if not self._reported_full:
            log.warning("more than %d HTTP connections at once", self.most)
            self._reported_full = True
        awaited: dict[Awaited, list[Connection]] = {}
        for one in self._open:
            if isinstance(one, Connection) and one.awaited is not Awaited.NOTHING:
                awaited.setdefault(one.awaited, []).append(one)
        if not awaited:
            return False
        alike = awaited[min(awaited)]
        [(heaviest, _)] = Counter(one.peer for one in alike).most_common(1)
        next(one for one in alike if one.peer == heaviest).make_room()
        return True

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """A connection came."""
        self._open[handler] = None
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """A connection went."""
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.body = payload
        kind = Misdirected if message.url.absolute else web.BaseRequest
        return kind(message, payload, protocol, writer, task, self._loop)

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return Connection(self)


class Connection(web.RequestHandler):
    """One connection. What cannot be read as HTTP is answered 400, and is no matter for the log."""

    __slots__ = ("_at_work", "_general", "_half_closed", "_held", "_listener", "_stalled", "body", "peer")

    def __init__(self, listener: BoundedServer) -> None:
        bounds = listener.bounds
        super().__init__(
            listener,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none is kept
            keepalive_timeout=bounds.idle,
            lingering_time=bounds.linger,
            # A few bytes could unpack into gigabytes; compressed bodies are refused.
            auto_decompress=False,
        )
        self._listener = listener
        self._stalled: asyncio.TimerHandle | None = None
        self._half_closed = False
        self._general = listener.whole is None
        """Whether aiohttp reads what comes: from the first request on that is not whole."""
        self._at_work: asyncio.Task[None] | None = None
        self._held = b""
        """What came while a whole request was at work."""
        self.peer = ""
        self.body: StreamReader | None = None
        """That of the request at work, or of the last one."""

    @property
    def awaited(self) -> Awaited:
        """What of it we wait for."""
        if self._at_work is not None:
            return Awaited.NOTHING
        if self._waiter is not None and not self._waiter.done():
            return Awaited.NEXT_REQUEST if self._request_count else Awaited.FIRST_HEAD
        request = self._current_request
        return Awaited.BODY if request is not None and not request.content.is_eof() else Awaited.NOTHING

    def make_room(self) -> None:
        """End it. A sender that has begun a request hears why."""
        if self.awaited is Awaited.BODY and self.transport is not None:
            self.transport.write(_FULL)
        self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve it, or say that there are too many."""
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        super().connection_made(transport)
        if not self._listener.has_room() and isinstance(transport, asyncio.Transport):
            transport.write(_FULL)
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it. A request at work goes on."""
        self._held = b""
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer a whole request the short way. Anything else, and all that follows it, goes to aiohttp."""
        if self._at_work is not None:
            self._held += data
            if self.transport is not None:
                self.transport.pause_reading()
            return
        if not self._general and not (self._close or self._force_close or self._paused):
            listener = self._listener
            request = read_whole(data, listener.most_whole, self.peer)
            if request is not None and listener.whole is not None:
                self._request_count += 1
                self._at_work = self._loop.create_task(self._answer(listener.whole(request)))
                return
        self._general = True
        super().data_received(data)

    async def _answer(self, coming: Coroutine[Any, Any, bytes | web.Response]) -> None:
        try:
            answer = await coming
        finally:
            self._at_work = None
        transport = self.transport
        if transport is None:
            return
        keep = isinstance(answer, bytes) or answer.keep_alive is not False
        try:
            transport.write(answer if isinstance(answer, bytes) else rendered(answer))
        except ValueError:
            log.exception("an answer to %s cannot be sent", self.peer)
            keep = False
        self._next_keepalive_close_time = self._loop.time() + self._listener.bounds.idle
        held, self._held = self._held, b""
        if not keep or (self._half_closed and not held):
            self.force_close()
        elif held:
            transport.resume_reading()
            self.data_received(held)

    def _process_keepalive(self) -> None:
        if self._at_work is not None:
            self._next_keepalive_close_time = self._loop.time() + self._listener.bounds.idle
        super()._process_keepalive()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """End it. A request at work has so long to be answered."""
        if self._at_work is not None:
            work = self._at_work
            await asyncio.wait({work}, timeout=timeout)
            work.cancel()
        await super().shutdown(timeout)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own type
        """The client has sent all that it will. What has come whole gets its answer."""
        half_there = self.body is not None and not self.body.is_eof()
        if half_there or not self._request_count or self.awaited is not Awaited.NOTHING:
            return None
        for _, payload in self._messages:
            if not payload.is_eof():
                payload.set_exception(web.RequestPayloadError("the connection was closed"))
        self._half_closed = True
        # It may have had its last answer in this very turn of the loop.
        self._loop.call_later(_TURN, self._end_if_idle)
        return True

    def _end_if_idle(self) -> None:
        if self.awaited is Awaited.NEXT_REQUEST:
            self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. After the last one to a client that sends no more, the connection ends."""
        done = await super().finish_response(request, resp, start_time)
        if self._half_closed and not self._messages:
            self.close()
        return done

    def pause_writing(self) -> None:
        """The client reads slower than we write: it may do so for a while."""
        super().pause_writing()
        if isinstance(self.transport, asyncio.Transport):
            self._stalled = self._loop.call_later(self._listener.bounds.stall, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._cancel_timer()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, or broke us; the connection is closed behind it."""
        if status == 400:
            log.debug("a request from %s cannot be read: %s", request.remote, message or exc)
        else:
            log.error("a request from %s failed: %s", request.remote, message or exc, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        answer = json_answer(_UNREADABLE if status == 400 else _BROKEN, status)
        answer.force_close()
        return answer

    def _cancel_timer(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


_TURN: Final = 0.05
"""Seconds in which the loop has turned."""

_UNREADABLE: Final[dict[str, Any]] = {
    "ok": False,
    "error": "this is not a request that can be read",
    "hint": "send plain HTTP/1.1; a header line is at most 8 kB",
}
_BROKEN: Final[dict[str, Any]] = {"ok": False, "error": "internal error; the daemon's log has the details"}
_BODY: Final = (
    dump({"ok": False, "error": "too many connections", "hint": "send it again after a moment"}) + b"\n"
)
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
