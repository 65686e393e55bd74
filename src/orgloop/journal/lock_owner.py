"""Which process holds a home's journal, whatever became of the file that names it."""

from __future__ import annotations

import os
from pathlib import Path


def lock_holder(home: Path) -> int | None:
    """The process that has locked this directory, as the system tells; None if none has, or nothing tells.

    Whoever writes the journal locks the directory itself. Only Linux tells who that is. To try for the lock
    instead would keep out a daemon that starts at that moment.
    """
    try:
        directory = home.stat()
        locks = Path("/proc/locks").read_bytes().splitlines()
    except OSError:
        return None
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


def _has_open(pid: int, directory: os.stat_result) -> bool:
    """Whether this process has that directory open: a number alone may be that of another file system's."""
    opened = Path(f"/proc/{pid}/fd")
    try:
        return any(_is_same(one, directory) for one in opened.iterdir())
    except OSError:
        return False


def _is_same(link: Path, directory: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), directory)
    except OSError:
        return False
