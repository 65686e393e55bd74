"""Waiting for facts, never for time."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

DEADLINE_S = 20.0

T = TypeVar("T")


def until(fact: Callable[[], T | None], what: str, seconds: float = DEADLINE_S) -> T:
    """The first value of `fact` that is true. Fails, and says `what` was waited for, if it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = fact()
        if value:
            return value
        select.select([], [], [], 0.005)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def alive(pid: int) -> bool:
    """Whether a process runs. What has ended and only waits for its parent to ask does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def at_end(pipe: int) -> bool:
    """Whether a pipe has come to its end: nobody holds the other side, and nothing is left to read."""
    readable, _, _ = select.select([pipe], [], [], DEADLINE_S)
    return bool(readable) and os.read(pipe, 1) == b""


def session(leader: int) -> list[int]:
    """What lives in a session."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader and alive(pid):
                members.append(pid)
    return members
