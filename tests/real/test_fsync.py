"""No 200 leaves before the disk has what it promises: told by the daemon's own system calls."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgloop.project.home import Home, running_daemon
from tests.e2e.organization import Organization, wait_for

pytestmark = pytest.mark.real

PROJECT = """
metadata: {name: durable}
sources:
  - {id: hook, connector: webhook, config: {}}
"""
REQUESTS = 25


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[Organization, Path]]:
    """A daemon whose system calls are written to a file."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: apt-get install strace")
    root = tmp_path / "org"
    root.mkdir()
    organization = Organization(root=root, home=Home(tmp_path / "home"))
    organization.write({"orgloop.yaml": PROJECT})
    calls = tmp_path / "calls"
    process = subprocess.Popen(
        [
            strace,
            "-f",
            "-y",
            "-s",
            "5000",
            "-e",
            "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg",
            "-o",
            str(calls),
            sys.executable,
            "-m",
            "orgloop",
            "start",
            "--quiet",
        ],
        cwd=root,
        env=organization.environment,
    )
    info = wait_for("the daemon", lambda: running_daemon(organization.home))
    yield organization, calls
    os.kill(info.pid, signal.SIGTERM)
    process.wait(30)


def test_no_200_is_written_before_the_sync_that_covers_its_row(traced: tuple[Organization, Path]) -> None:
    organization, calls = traced
    ids = []
    for number in range(REQUESTS):
        status, answer = organization.post("hook", {"type": "test", "n": number})
        assert status == 200
        ids.append(answer["event_id"])
    lines = wait_for("the calls", lambda: _complete(calls, ids[-1]))
    for event_id in ids:
        row = _first(
            lines, lambda call, id=event_id: "journal.db-wal" in call and "pwrite64" in call and id in call
        )
        answer_at = _first(lines, lambda call, id=event_id: "200 OK" in call and id in call)
        synced = [at for at, call in enumerate(lines) if row < at < answer_at and _is_finished_sync(call)]
        assert row < answer_at
        assert synced, f"{event_id} was answered before its row was on disk"


def _complete(calls: Path, last_id: str) -> list[str] | None:
    lines = calls.read_text(errors="replace").splitlines()
    return lines if any("200 OK" in line and last_id in line for line in lines) else None


def _first(lines: list[str], wanted: object) -> int:
    assert callable(wanted)
    return next(at for at, line in enumerate(lines) if wanted(line))


def _is_finished_sync(call: str) -> bool:
    """A sync of the journal that returned: on one line, or resumed after another thread's call."""
    if "fdatasync" not in call and "fsync" not in call:
        return False
    return call.rstrip().endswith("= 0") and ("journal.db-wal" in call or "resumed" in call)
