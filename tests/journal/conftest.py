"""One suite for every store: each test runs on all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from orgloop.journal.protocols import Journal, Reader
from tests.journal.stores import STORES, Opened, Store


@pytest.fixture(params=STORES, ids=lambda store: store.name)
def store(request: pytest.FixtureRequest) -> Store:
    """The store that a test is about."""
    found: Store = request.param
    return found


@pytest.fixture
async def opened(store: Store, home: Path) -> AsyncGenerator[Opened]:
    """An empty journal of that store. Its clock stands still at 0: every verb is told the time."""
    async with store.open(home) as found:
        yield found
        assert found.faults() == []


@pytest.fixture
def journal(opened: Opened) -> Journal:
    """The same, as its first worker has it."""
    return opened.journal


@pytest.fixture
def reader(opened: Opened) -> Generator[Reader]:
    """What can be seen of `journal` by others."""
    found = opened.reader()
    yield found
    found.close()
