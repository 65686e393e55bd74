"""Every bench runs: with next to no events, and no word on how fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import NAMES

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_runs_and_names_its_figures(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--short", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(("  ok", "  MISS"))], done.stdout
