"""What every test can rely on: a home of its own, and no silent skip where skips are forbidden."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

NO_SKIP = os.environ.get("ORGLOOP_NO_SKIP") == "1"


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why. A test that is expected to fail is not a skip."""
    if not NO_SKIP or not report.skipped or hasattr(report, "wasxfail"):
        return
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    report.outcome = "failed"
    report.longrepr = f"{reason}\nSkips are forbidden here (ORGLOOP_NO_SKIP=1)."


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are cores: tests of processes wait much of their time."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips while it is set up or runs."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself as a whole."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home (mode 0700) that `ORGLOOP_HOME` names."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("ORGLOOP_HOME", str(path))
    return path
