"""What `doctor` finds out about webhook sources and actors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from orgloop.connectors.webhook import connector
from orgloop.connectors.webhook.doctor import reach
from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.plugin import CheckResult, CheckStatus, Settings
from tests.connectors.doubles import FakeContext, as_context


class Listening:
    """A server that keeps the bytes it is sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0
        self.hung_up = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read())
        writer.close()
        self.hung_up.set()


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    target = Listening()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    target.port = server.sockets[0].getsockname()[1]
    async with server:
        yield target


async def check(settings: Settings) -> CheckResult:
    assert connector.setup.check is not None
    (result,) = await connector.setup.check(settings, as_context(FakeContext()))
    return result


async def test_a_source_says_who_can_send() -> None:
    result = await check(WebhookSourceSettings())
    assert (result.status, result.detail) == (
        CheckStatus.OK,
        "no secret: only this machine can send requests",
    )
    assert result.hint == "set `secret` here and at the sender"
    signed = await check(WebhookSourceSettings.model_validate({"secret": "s"}))
    assert (signed.status, signed.detail) == (CheckStatus.OK, "requests are verified")


async def test_a_target_that_listens_sees_no_request(listening: Listening) -> None:
    url = f"http://127.0.0.1:{listening.port}/s3cret"
    result = await check(WebhookActorSettings(url=url))
    assert (result.status, result.detail) == (
        CheckStatus.OK,
        f"http://127.0.0.1:{listening.port} takes connections",
    )
    await asyncio.wait_for(listening.hung_up.wait(), 10)
    assert listening.heard == [b""]


async def test_a_target_that_does_not_listen_is_a_warning(listening: Listening) -> None:
    server = await asyncio.start_server(listening.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    result = await check(WebhookActorSettings(url=f"http://127.0.0.1:{port}/s3cret"))
    assert result.status is CheckStatus.WARNING
    assert f"http://127.0.0.1:{port} cannot be reached" in result.detail
    assert "s3cret" not in result.detail


async def test_a_target_that_speaks_no_tls_is_an_error(listening: Listening) -> None:
    result = await reach(f"https://127.0.0.1:{listening.port}/", seconds=0.5)
    assert result.status is CheckStatus.ERROR


async def test_a_name_that_does_not_exist_is_an_error() -> None:
    result = await reach("http://target.invalid/", seconds=5)
    assert result.status is CheckStatus.ERROR
