"""The run directory that most tests of the runner use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """An empty run directory. What still lives of its run after the test is ended."""
    directory = RunDirectory(tmp_path / "run")
    yield directory
    directory.clean()
