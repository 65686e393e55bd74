"""The HTTP application: every request enters here, and each one gets an answer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from orgloop.errors import NotFound, OrgLoopError, Refused
from orgloop.runtime.runs.remote.callbacks import PATH
from orgloop.web import callback, webhook
from orgloop.web.answers import MethodRefused, error_answer, json_answer
from orgloop.web.body import Bodies, BodyBounds, stopping
from orgloop.web.connection import Misdirected
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call
from orgloop.web.endpoints import table
from orgloop.web.guards import TokenGuard, require_operator
from orgloop.web.parameters import Parameters
from orgloop.web.whole import Whole

log = logging.getLogger(__name__)

PLACES: Final = "the paths are /webhook/<source>, /api/… and /control/…"


class HttpApp:
    """Answers requests. From `close` on, each new one hears 503."""

    def __init__(self, daemon: DaemonApi, token: str, bounds: BodyBounds) -> None:
        self._daemon = daemon
        self._token = TokenGuard(token)
        self._bodies = Bodies(bounds)
        self._table = table(daemon)
        self._closing = False
        self._in_flight = 0
        self._idle = asyncio.Event()

    async def close(self, grace: float) -> None:
        """Refuse what comes, and what has not come whole; the rest has `grace` seconds to be answered."""
        self._closing = True
        self._bodies.close()
        if self._in_flight:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._idle.wait()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to one request. Never raises but when it is cancelled."""
        if self._closing:
            return _closed()
        self._in_flight += 1
        try:
            return await self._answer(request)
        except Exception as exc:
            return _failed(exc, request.method, request.rel_url.raw_path)
        finally:
            self._leave()

    async def answer_whole(self, request: Whole) -> bytes | web.Response:
        """The same for a webhook that came as a whole."""
        if self._closing:
            return _closed()
        self._in_flight += 1
        try:
            return await webhook.receive_whole(self._daemon.runtime.inbound, request)
        except Exception as exc:
            return _failed(exc, "POST", f"/webhook/{request.source}")
        finally:
            self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._closing and not self._in_flight:
            self._idle.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path[:1] != "/" or isinstance(request, Misdirected):
            raise Refused("the request's target is not a path", hint="send `GET /api/status HTTP/1.1`")
        if path.startswith("/webhook/"):
            return await webhook.receive(self._daemon.runtime.inbound, request, path, self._bodies)
        if path.startswith(f"{PATH}/"):
            return await callback.receive(self._daemon.runtime.runs, request, path, self._bodies)
        if path.startswith(("/api/", "/control/")):
            return await self._operate(request, path)
        raise NotFound(f"Not found: {path}", hint=PLACES)

    async def _operate(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        require_operator(request.headers)
        if path.startswith("/control/"):
            self._token.require(request.headers)
        elif request.method != "GET":
            raise MethodRefused(request.method, path, allow="GET")
        endpoint, names = self._table.find(request.method, path)
        call = Call(
            request=request, names=names, parameters=Parameters(request.rel_url.query), bodies=self._bodies
        )
        content: Any = await endpoint.answer(call)
        return content if isinstance(content, web.StreamResponse) else json_answer(content)


def _failed(exc: Exception, method: str, path: str) -> web.Response:
    match exc:
        case OrgLoopError():
            return error_answer(exc)
        case ConnectionError():
            return error_answer(Refused("the request was cut off", hint="send it again"))
        case _:
            log.error("%s %s failed", method, path, exc_info=exc)
            return error_answer(
                OrgLoopError("internal error", hint="the daemon's log has the details: orgloop logs")
            )


def _closed() -> web.Response:
    answer = error_answer(stopping())
    answer.force_close()
    return answer
