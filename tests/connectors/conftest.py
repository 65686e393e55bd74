"""What tests of connectors share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from orgloop.runtime.support.http import HttpClient


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """The engine's client, for servers of the tests."""
    client = HttpClient()
    yield client
    await client.close()
