"""The home's journal files, and the locks that make one process their owner."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

import orjson

from orgloop.errors import JournalLocked, JournalUnavailable
from orgloop.journal.sqlite.mark_file import MarkFile

JOURNAL: Final = "journal.db"
LOCK: Final = "journal.lock"

_NEW: Final = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def make_home(home: Path) -> None:
    """Create the home (0700) if it is missing. Raises JournalUnavailable, also if it is somebody else's."""
    try:
        if not home.exists():
            home.mkdir(parents=True)
            home.chmod(0o700)
        owner = home.stat().st_uid
    except OSError as exc:
        raise _unusable(home, exc) from exc
    if owner != os.geteuid():
        raise JournalUnavailable(
            f"the home {home} belongs to another user (uid {owner}; this process runs as {os.geteuid()})",
            hint="Run OrgLoop as that user, or set ORGLOOP_HOME to a directory of this one.",
        )


def make_journal(home: Path) -> Path:
    """Create an empty journal (0600) if there is none; its path. Whoever calls holds the home's lock.

    Raises JournalUnavailable if it is no plain file, JournalDamaged if there was one and it is gone.
    """
    path = home / JOURNAL
    require_plain(path)
    mark = MarkFile(path)
    if not path.exists() and mark.read() is not None:
        raise mark.lacking(f"{path} is empty or missing, but this home has had a journal")
    try:
        os.close(os.open(path, _NEW, 0o600))
    except OSError as exc:
        raise _unusable(home, exc) from exc
    return path


def require_plain(path: Path) -> None:
    """Raise JournalUnavailable if this is there and no plain file of its own.

    A directory or a pipe would hang whoever opens it. Through a link, two homes could share a journal and
    not its log.
    """
    try:
        found = path.lstat()
    except OSError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return
    is_link = stat.S_ISLNK(found.st_mode) or stat.S_ISREG(found.st_mode)
    kind = "shared through a link" if is_link else "not a file"
    raise JournalUnavailable(
        f"{path} is {kind}",
        hint="Move it away and put the journal itself in its place. A home as a whole may be a link.",
    )


def _unusable(home: Path, exc: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"the home {home} cannot hold a journal: {exc.strerror or exc}",
        hint="Check that there is space and this user may write there, or set ORGLOOP_HOME to another one.",
    )


class HomeLock:
    """Held by the one process that may write. A file names its holder for whoever comes second.

    That file may be deleted, and then it keeps nobody out. So the directory is locked, too.
    """

    def __init__(self, home: Path, *, holder: str, at: int) -> None:
        """Take the lock. Raises JournalLocked, which names the holder, if another process has it."""
        self._held: list[int] = []
        require_plain(home / LOCK)
        try:
            self._descriptor = self._open(home / LOCK, _NEW)
            directory = self._open(home, os.O_RDONLY | os.O_CLOEXEC)
            for descriptor in (self._descriptor, directory):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(orjson.dumps({"pid": os.getpid(), "what": holder or "orgloop", "since": at}))
        except BlockingIOError as exc:
            who = _holder(os.pread(self._descriptor, 4096, 0))
            self._let_go()
            raise JournalLocked(
                f"the journal of {home} is in use by {who}",
                hint="Stop that process first, or set ORGLOOP_HOME to another directory.",
            ) from exc
        except OSError as exc:
            self._let_go()
            raise _unusable(home, exc) from exc

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._held:
            self._write(b"")
            self._let_go()

    def _open(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags, 0o600)
        self._held.append(descriptor)
        return descriptor

    def _let_go(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)


def _holder(content: bytes) -> str:
    try:
        says = orjson.loads(content)
        return f"{says['what']} (process {says['pid']})"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "another process"
