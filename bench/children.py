"""Processes of a measurement: started, told to end, and waited for by their own pid."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orgloop.project.home import Home
from tests.e2e.organization import Organization

PATIENCE = 20.0
"""Seconds in which a process must have ended."""


@dataclass(frozen=True, slots=True)
class Child:
    """A server of the bench that runs, and its port."""

    pid: int
    port: int


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """`python -m module`, from the line that names its port until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Child(process.pid, int(process.stdout.readline()))
    finally:
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def announce(port: int) -> None:
    """In a child: say that it listens."""
    print(port, flush=True)


async def asked_to_end() -> None:
    """In a child: return when whoever started it closes its standard input, or is gone."""
    await asyncio.to_thread(os.read, 0, 1)


@contextmanager
def organization(
    project: str, files: Mapping[str, str] | None = None, **environ: str
) -> Iterator[Organization]:
    """A project and an empty home in a temporary directory. What daemon still runs at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="orgloop-bench-") as place:
        made = Organization(Path(place) / "project", Home(Path(place) / "home"), environ=environ)
        made.write({"orgloop.yaml": project, **(files or {})})
        try:
            yield made
        finally:
            made.kill()


@contextmanager
def daemon(project: str, files: Mapping[str, str] | None = None, **environ: str) -> Iterator[Organization]:
    """The same with a daemon that runs."""
    with organization(project, files, **environ) as made:
        made.start()
        yield made
        if made.stop() != 0:
            raise RuntimeError(f"the daemon did not end well:\n{made.log[-2000:]}")
