"""Fixtures for public projects: those of the end-to-end tests, and a home directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import organization, sink

__all__ = ["organization", "own_home", "sink"]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own: files under `~` go there."""
    path = tmp_path / "user"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("ORGLOOP_HOME", str(path / ".orgloop"))
    return path
