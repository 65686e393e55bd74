"""A polled list on a real server on loopback, with the engine's own HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from orgloop.connectors.http.settings import HttpSettings
from orgloop.connectors.http.source import HttpSource
from orgloop.plugin import Page, PluginError
from orgloop.runtime.support.http import HttpClient
from tests.connectors.test_webhook_live import Lent


@dataclass
class Api:
    """A server whose paths say what it does."""

    url: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        match request.path:
            case "/hang":
                await self.leave.wait()
            case "/reset":
                assert request.transport is not None
                request.transport.abort()
            case "/huge":
                return web.Response(body=b"[" + b" " * 3_000_000 + b"]")
            case "/packed":
                packed = web.Response(body=b"[" + b" " * 30_000_000 + b"]")
                packed.enable_compression(web.ContentCoding.gzip)
                return packed
            case "/moved":
                raise web.HTTPFound("/list")
            case _:
                pass
        response = web.json_response([{"id": 1}])
        response.etag = "one"
        return response


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    served = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = site.name
    yield served
    served.leave.set()
    await runner.cleanup()


async def poll(url: str, checkpoint: str | None = None, **config: Any) -> Page:
    client = HttpClient()
    source = HttpSource("api", HttpSettings.model_validate({"url": url, **config}))
    await source.open(Lent(http=client))
    try:
        return await source.poll(checkpoint)
    finally:
        await client.close()


async def test_a_list_is_read_and_asked_for_again_with_a_condition(api: Api) -> None:
    first = await poll(f"{api.url}/moved")
    assert first.checkpoint is not None
    assert '"one"' in first.checkpoint.replace('\\"', '"')
    assert (await poll(f"{api.url}/moved", first.checkpoint)).checkpoint is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/huge", "larger than 1 MB"),
        ("/packed", "larger than 1 MB"),
        ("/hang", "within 0.2 s"),
        ("/reset", "closed the connection"),
    ],
)
async def test_an_answer_has_a_size_and_a_time(api: Api, path: str, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        await poll(api.url + path, max_bytes="1MB", timeout="200ms" if path == "/hang" else "30s")


async def test_a_poll_can_be_cancelled(api: Api) -> None:
    task = asyncio.create_task(poll(f"{api.url}/hang"))
    await asyncio.wait_for(api.asked.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
