"""A running daemon for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.web.daemon import Daemon, daemon


@pytest.fixture
async def acme(home: Path) -> AsyncGenerator[Daemon]:
    """The organization of `tests/web/daemon.py`, at work."""
    async with daemon(home) as running:
        yield running
