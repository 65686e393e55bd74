"""Baselines over HTTP, processes of their own, with the same libraries and nothing around them.

`python -m bench.bare accept` reads a body, parses it and answers JSON. `python -m bench.bare relay URL`
posts it on to URL before it answers. `application` is `accept` as a route of an application.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import aiohttp
import orjson
from aiohttp import web

from bench.children import announce, asked_to_end
from orgloop.runtime.support.http import CONNECTIONS_PER_HOST

_HEADERS = {"Content-Type": "application/json"}


async def accept(request: web.BaseRequest) -> web.StreamResponse:
    """Read, parse, answer."""
    orjson.loads(await request.read())
    return web.Response(body=orjson.dumps({"ok": True, "event_id": "evt_0"}), headers=_HEADERS)


class Relay:
    """Read, parse, post on, answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST),
            headers={"User-Agent": "relay"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        content = orjson.loads(await request.read())
        async with self.session.post(self._url, data=orjson.dumps(content), headers=_HEADERS) as answer:
            await answer.read()
        return web.Response(status=answer.status, body=b'{"ok":true}', headers=_HEADERS)


async def application() -> web.Server:
    """`accept` as a route of an application."""
    app = web.Application()
    app.router.add_post("/webhook/{source}", accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    return runner.server


async def main(what: str, url: str = "") -> None:
    """Serve until told to end."""
    relay = Relay(url) if what == "relay" else None
    server = await application() if what == "application" else web.Server(relay or accept, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, backlog=256)
    announce(listening.sockets[0].getsockname()[1])
    try:
        await asked_to_end()
    finally:
        listening.close()
        await server.shutdown(1.0)
        if relay is not None:
            with contextlib.suppress(aiohttp.ClientError):
                await relay.session.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
