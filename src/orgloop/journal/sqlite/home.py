"""The home's journal files, and the lock that makes one process their owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

import orjson

from orgloop.errors import JournalLocked, JournalUnavailable

JOURNAL: Final = "journal.db"
LOCK: Final = "journal.lock"


def make_home(home: Path) -> Path:
    """Create the home (0700) and an empty journal (0600) if they are missing. The journal's path."""
    path = home / JOURNAL
    try:
        if not home.exists():
            home.mkdir(parents=True)
            home.chmod(0o700)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
    except OSError as exc:
        raise _unusable(home, exc) from exc
    return path


def _unusable(home: Path, exc: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"the home {home} cannot hold a journal: {exc.strerror or exc}",
        hint="Check that there is space and this user may write there, or set ORGLOOP_HOME to another one.",
    )


class HomeLock:
    """Held by the one process that may write. The file names its holder for whoever comes second."""

    def __init__(self, home: Path, *, holder: str, at: int) -> None:
        """Take the lock. Raises JournalLocked, which names the holder, if another process has it."""
        try:
            self._descriptor = os.open(home / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _unusable(home, exc) from exc
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            who = _holder(os.pread(self._descriptor, 4096, 0))
            os.close(self._descriptor)
            raise JournalLocked(
                f"the journal of {home} is in use by {who}",
                hint="Stop that process first, or set ORGLOOP_HOME to another directory.",
            ) from exc
        try:
            self._write(orjson.dumps({"pid": os.getpid(), "what": holder or "orgloop", "since": at}))
        except OSError as exc:
            os.close(self._descriptor)
            raise _unusable(home, exc) from exc

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._descriptor < 0:
            return
        self._write(b"")
        os.close(self._descriptor)
        self._descriptor = -1

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)


def _holder(content: bytes) -> str:
    try:
        says = orjson.loads(content)
        return f"{says['what']} (process {says['pid']})"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "another process"
