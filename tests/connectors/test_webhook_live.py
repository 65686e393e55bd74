"""The webhook actor against a real server on loopback, with the engine's own HTTP client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from orgloop.connectors.webhook.actor import WebhookActor
from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource
from orgloop.plugin import (
    Clock,
    Context,
    Delivered,
    DeliverOutcome,
    Http,
    Inbound,
    Rejected,
    Retry,
    Throttled,
    Unavailable,
)
from orgloop.plugin.settings import SecretStr
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, event, wake

SECRET = SecretStr("s3cret")


@dataclass(kw_only=True)
class Lent(FakeContext):
    """The engine's own clock and client."""

    clock: Clock = field(default_factory=SystemClock)  # type: ignore[assignment]
    http: Http = field(default_factory=HttpClient)  # type: ignore[assignment]


@dataclass
class Target:
    """A server whose paths say what it does."""

    url: str = ""
    received: list[Inbound] = field(default_factory=list)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.received.append(Inbound(method=request.method, headers=headers, body=body))
        match request.path:
            case "/moved":
                return web.Response(status=308, headers={"Location": "/ok?from=moved"})
            case "/hang":
                await self.leave.wait()
            case "/reset":
                assert request.transport is not None
                request.transport.abort()
            case "/busy":
                return web.Response(status=429, headers={"Retry-After": "60"})
            case "/gone":
                return web.Response(status=410, text="moved away")
            case _:
                pass
        return web.Response(text="thanks")


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    served = Target()
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


async def deliver(url: str, **config: Any) -> DeliverOutcome:
    client = HttpClient()
    context: Context = Lent(http=client)
    actor = WebhookActor("target", WebhookActorSettings.model_validate({"url": url, **config}))
    await actor.open(context)
    try:
        return await actor.deliver(wake())
    finally:
        await client.close()


async def test_what_arrives_is_verified_by_our_own_source(target: Target) -> None:
    assert await deliver(f"{target.url}/ok", secret="s3cret") == Delivered(detail="200 OK")
    source = WebhookSource("in", WebhookSourceSettings(secret=(SECRET,), event_type_field="event.type"))
    received = await source.receive(target.received[0])
    assert received.events[0].payload == {"event": event().document()}
    assert received.request == "dlv_0000000000000003.0"


async def test_a_moved_target_gets_the_same_request(target: Target) -> None:
    assert await deliver(f"{target.url}/moved", method="PUT") == Delivered(detail="200 OK")
    first, second = target.received
    assert (first.method, first.body) == (second.method, second.body)


async def test_a_target_that_hangs_is_left_with_an_unknown_outcome(target: Target) -> None:
    outcome = await asyncio.wait_for(deliver(f"{target.url}/hang", timeout="200ms"), 10)
    assert isinstance(outcome, Retry)
    assert not outcome.known


async def test_a_connection_that_breaks_is_an_unknown_outcome(target: Target) -> None:
    outcome = await deliver(f"{target.url}/reset")
    assert isinstance(outcome, Retry)
    assert not outcome.known


async def test_nobody_there_is_unavailable_and_keeps_the_path_to_itself() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        outcome = await deliver(f"http://127.0.0.1:{port}/s3cret-path")
    assert isinstance(outcome, Unavailable)
    assert "s3cret-path" not in outcome.reason


async def test_a_busy_target_is_left_alone_and_a_gone_one_for_good(target: Target) -> None:
    assert isinstance(await deliver(f"{target.url}/busy"), Throttled)
    assert await deliver(f"{target.url}/gone") == Rejected(reason="410 Gone: moved away")
