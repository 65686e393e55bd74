"""Which process holds a home's journal, whatever became of the file that names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")
"""Where Linux tells of processes."""

LOCKS: Final = Path("/proc/locks")
"""Where it tells of locks."""


def lock_holder(home: Path) -> int | None:
    """The process that has locked this directory, as the system tells; None if none has, or nothing tells.

    Whoever writes the journal locks the directory itself. Only Linux tells who that is. To try for the lock
    instead would keep out a daemon that starts at that moment. Where locks are not listed, as in some
    containers, it is the process that has both the directory and the journal open: who only reads the
    journal does not keep the directory open.
    """
    try:
        directory = home.stat()
    except OSError:
        return None
    try:
        locks = LOCKS.read_bytes().splitlines()
    except OSError:
        return _who_has_open(home, directory)
    number = str(directory.st_ino).encode()
    for lock in locks:
        # `7: FLOCK  ADVISORY  WRITE 4711 08:01:2621441 0 EOF`; who waits for one has an arrow in it.
        match lock.split():
            case [_, b"FLOCK", _, b"WRITE", pid, place, *_] if place.rpartition(b":")[2] == number:
                if _has_open(int(pid), directory):
                    return int(pid)
            case _:
                pass
    return None


def _who_has_open(home: Path, directory: os.stat_result) -> int | None:
    journal = os.path.realpath(home / "journal.db")
    try:
        pids = [int(one.name) for one in PROCESSES.iterdir() if one.name.isdigit()]
    except OSError:
        return None
    others = (pid for pid in pids if pid != os.getpid())
    return next((pid for pid in others if _has_open(pid, directory) and _has_journal(pid, journal)), None)


def _has_journal(pid: int, journal: str) -> bool:
    """Whether it has the journal open; a deleted file keeps its name there, with a remark."""
    try:
        names = [str(one.readlink()) for one in (PROCESSES / str(pid) / "fd").iterdir()]
    except OSError:
        return False
    return not {journal, f"{journal} (deleted)"}.isdisjoint(names)


def _has_open(pid: int, directory: os.stat_result) -> bool:
    """Whether this process has that directory open: a number alone may be that of another file system's."""
    opened = PROCESSES / str(pid) / "fd"
    try:
        return any(_is_same(one, directory) for one in opened.iterdir())
    except OSError:
        return False


def _is_same(link: Path, directory: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), directory)
    except OSError:
        return False
