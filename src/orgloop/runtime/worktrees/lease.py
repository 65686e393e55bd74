"""A work tree is one run's at a time, also among daemons of several homes: a lock in its git directory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import Callable
from typing import Final

from orgloop.config.git_files import git_directory, root_of
from orgloop.plugin.starting import started

LOCK: Final = "orgloop.lock"


class TreeBusy(Exception):
    """A run of another home works in this tree."""


def hold(directory: str) -> int | None:
    """Lock the work tree that a directory belongs to. Raises TreeBusy.

    Returns a descriptor: the tree is held as long as any process has it, and no longer. None outside of
    git, and where the file system does not let us: there, only runs of one home keep out of each other's way.
    """
    root = root_of(directory)
    place = git_directory(root)
    if place is None:
        return None
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        lock = os.open(place / LOCK, flags, 0o644)
    except OSError:
        return None
    try:
        if stat.S_ISREG(os.fstat(lock).st_mode):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except BlockingIOError as exc:
        os.close(lock)
        raise TreeBusy(f"a run of another home works in {root}") from exc
    except OSError:
        pass
    os.close(lock)
    return None


async def taken(take: Callable[[], int | None]) -> int | None:
    """A lock that a file system may be slow to give. A caller that is cancelled meanwhile has none."""
    return await started(asyncio.to_thread(take), _give_back)


async def _give_back(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
