"""Fixtures for whole organizations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orgloop.project.home import Home
from tests.e2e.organization import Organization
from tests.e2e.sink import Sink


@pytest.fixture
def organization(tmp_path: Path) -> Iterator[Organization]:
    """An empty project with a home of its own; its daemon is ended with the test."""
    root = tmp_path / "org"
    root.mkdir()
    made = Organization(root=root, home=Home(tmp_path / "home"))
    yield made
    made.kill()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An HTTP server that takes deliveries and remembers them."""
    with Sink() as server:
        yield server
