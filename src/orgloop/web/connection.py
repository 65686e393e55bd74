"""Connections: how many there may be, and how long each may keep us waiting."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from orgloop.web.answers import dump, json_answer

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How patient the server is, in seconds, and how many it serves.

    `idle`: until a request's head is complete, also at the start of a connection. `body`: until its body
    is. `stall`: until a client that reads nothing is let go. `linger`: for the rest of a body that
    nobody wants. `connections`: at once, but never more than half of the files that this process may
    open. One more ends the oldest that waits for a request; if none does, it is told to come back.
    """

    idle: float = 60.0
    body: float = 30.0
    stall: float = 30.0
    linger: float = 1.0
    connections: int = 512


class Misdirected(web.BaseRequest):
    """A request whose target is a whole URL, as for a proxy: its Host header says nothing then."""


class Listener(web.Server):
    """Makes a connection for whoever comes, and knows those that are there."""

    def __init__(self, handler: Handler, bounds: Bounds) -> None:
        super().__init__(handler, request_factory=self._request)
        self.bounds = bounds
        # The journal, agents and outgoing requests need files, too.
        self.most = min(bounds.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._open: dict[web.RequestHandler, None] = {}  # the oldest first
        self._said_full = False

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def has_room(self) -> bool:
        """Whether the connection that has just come may stay. An older one that only waits makes room."""
        if self.count <= self.most:
            self._said_full = self._said_full and self.count > self.most // 2
            return True
        if not self._said_full:
            log.warning("more than %d HTTP connections at once", self.most)
            self._said_full = True
        waiting = next((one for one in self._open if isinstance(one, Connection) and one.is_waiting), None)
        if waiting is not None:
            waiting.force_close()
        return waiting is not None

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
        kind = Misdirected if message.url.absolute else web.BaseRequest
        return kind(message, payload, protocol, writer, task, self._loop)

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return Connection(self)


class Connection(web.RequestHandler):
    """One connection. What cannot be read as HTTP is answered 400, and is no matter for the log."""

    __slots__ = ("_listener", "_stalled")

    def __init__(self, listener: Listener) -> None:
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

    @property
    def is_waiting(self) -> bool:
        """Whether it has no whole head of a request yet."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve it, or say that there are too many."""
        super().connection_made(transport)
        if not self._listener.has_room() and isinstance(transport, asyncio.Transport):
            transport.write(_FULL)
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._cancel_timer()
        super().connection_lost(exc)

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
            log.error("a request from %s broke: %s", request.remote, message or exc, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        answer = json_answer(_UNREADABLE if status == 400 else _BROKEN, status)
        answer.force_close()
        return answer

    def _cancel_timer(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


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
