"""The HTTP server: started when it listens, stopped when the last request has its answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from orgloop.errors import NotFound, OrgLoopError
from orgloop.journal.protocols import Reader
from orgloop.runtime.engine import Runtime
from orgloop.web import metrics
from orgloop.web.answers import MethodRefused, error_answer
from orgloop.web.body import BODY_LIMIT, BodyBounds
from orgloop.web.connection import BoundedServer, Bounds, Handler
from orgloop.web.daemon_api import DaemonApi, ProcessControl
from orgloop.web.guards import require_operator
from orgloop.web.http_app import HttpApp
from orgloop.web.ports import take
from orgloop.web.reader_thread import Readings

GRACE: Final = 5.0
"""Seconds that requests in flight get at a stop."""

PARTING: Final = 0.25
"""Seconds after that for answers on their way, and for senders to stop sending."""


def serve(
    runtime: Runtime,
    reader: Reader,
    *,
    port: int,
    token: str,
    on_shutdown: Callable[[], None],
    on_reload: Callable[[], Awaitable[Mapping[str, int]]],
    doctor: Callable[[], Awaitable[Mapping[str, Any]]],
    host: str = "127.0.0.1",
    metrics_port: int | None = None,
    body_limit: int = BODY_LIMIT,
    bounds: Bounds | None = None,
) -> Server:
    """A server for this runtime, not started yet. Port 0 is any free one.

    `reader` must see the runtime's journal; it is not closed here. `token` opens /control. The three
    functions are those of `Hands`. `metrics_port` serves /metrics on a port of its own, too.
    """
    return Server(
        runtime,
        reader,
        process=ProcessControl(shutdown=on_shutdown, reload=on_reload, doctor=doctor),
        address=(host, port),
        metrics_port=metrics_port,
        token=token,
        body_limit=body_limit,
        bounds=bounds or Bounds(),
    )


class Server:
    """`start` returns when it listens, `stop` when all is closed; `stop` may come twice or before `start`."""

    def __init__(
        self,
        runtime: Runtime,
        reader: Reader,
        *,
        process: ProcessControl,
        address: tuple[str, int],
        metrics_port: int | None,
        token: str,
        body_limit: int,
        bounds: Bounds,
    ) -> None:
        self._runtime = runtime
        self._reader = reader
        self._process = process
        self._host, self._wanted = address
        self._metrics_wanted = metrics_port
        self._token = token
        self._bounds = bounds
        self._body = BodyBounds(limit=body_limit, seconds=bounds.body)
        self._listeners: list[BoundedServer] = []
        self._runners: list[web.ServerRunner] = []
        self._stopping = asyncio.Lock()
        self._app: HttpApp | None = None
        self._readings: Readings | None = None
        self.port = 0
        self.metrics_port: int | None = None

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return sum(listener.count for listener in self._listeners)

    async def start(self) -> int:
        """Listen. Returns the port. Raises DaemonError if a port is taken; then nothing listens."""
        taken = [take(self._host, self._wanted, "ORGLOOP_PORT")]
        if self._metrics_wanted is not None:
            try:
                taken.append(take(self._host, self._metrics_wanted, "ORGLOOP_METRICS_PORT"))
            except BaseException:
                taken[0].close()
                raise
            self.metrics_port = taken[1].getsockname()[1]
        self.port = self._runtime.port = taken[0].getsockname()[1]
        self._readings = Readings(self._reader)
        daemon = DaemonApi(
            runtime=self._runtime,
            readings=self._readings,
            process=self._process,
            port=self.port,
        )
        self._app = HttpApp(daemon, self._token, self._body)
        app = BoundedServer(self._app.answer, self._bounds, self._app.answer_whole, self._body.most_whole)
        await self._listen(app, taken[0])
        for listening in taken[1:]:
            await self._listen(BoundedServer(_metrics_of(daemon), self._bounds), listening)
        return self.port

    async def stop(self, grace: float = GRACE) -> None:
        """Refuse new requests at once, let those in flight finish for `grace` seconds, close everything."""
        async with self._stopping:
            if self._app is None or self._readings is None:
                return
            await self._app.close(grace)
            for runner in self._runners:
                await runner.cleanup()
            await self._readings.close()
            self._app = None

    async def _listen(self, listener: BoundedServer, listening: socket.socket) -> None:
        # Of aiohttp the low-level server, for two reasons. It lets us bound each connection: `python -m bench
        # attack` shows what that is worth. And as a route of an application, a bare handler takes 1.18 times
        # the CPU time (`python -m bench techniques`).
        runner = web.ServerRunner(listener, shutdown_timeout=PARTING)
        await runner.setup()
        self._listeners.append(listener)
        self._runners.append(runner)
        await web.SockSite(runner, listening).start()


def _metrics_of(daemon: DaemonApi) -> Handler:
    """An application that shows metrics and nothing else."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            require_operator(request.headers)
            if path != "/metrics":
                raise NotFound(f"Not found: {path}", hint="metrics are at /metrics")
            if request.method != "GET":
                raise MethodRefused(request.method, path, allow="GET")
            return await metrics.answer(daemon)
        except OrgLoopError as exc:
            return error_answer(exc)

    return answer
