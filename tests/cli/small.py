"""A small project for real daemons, and what can be seen of them from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from orgloop.project.home import DaemonInfo, running_daemon
from tests.e2e.organization import Organization, wait_for

PROJECT: Final = """
metadata: {name: acme}
sources: [{id: hook, connector: webhook, config: {}}]
actors: [{id: agent, connector: process, config: {command: [./bin/agent]}}]
routes:
  - {name: work, when: {source: hook, events: [work]}, then: {actor: agent}}
"""

AGENT: Final = "#!/bin/sh\ncat > /dev/null\necho done\n"

FILES: Final = {"orgloop.yaml": PROJECT, "bin/agent": AGENT}


def daemon_of(organization: Organization) -> DaemonInfo:
    info = running_daemon(organization.home)
    assert info is not None, "no daemon runs"
    return info


def supervisor_of(info: DaemonInfo) -> int:
    """The pid of whoever started it."""
    return psutil.Process(info.pid).ppid()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def in_foreground(organization: Organization, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`orgloop start` as in a terminal of its own, once its daemon answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orgloop", "start", *options],
        cwd=organization.root,
        env=organization.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        home = organization.home
        # A daemon is found by its lock before it has written its file.
        wait_for(
            "the daemon",
            lambda: process.poll() is not None or (home.daemon_file.exists() and running_daemon(home)),
        )
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said_by(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    return out
