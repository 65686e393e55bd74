"""A mark beside the database: which journal this home wrote last, and how far.

A database cannot say that something of it is missing: without its log, or as an older copy, it is sound.
So each commit's highest number is also noted here, after the commit. The note costs no wait for the disk:
it is whole after a death of this process, and at most as old as the system's cache after a power cut. It
goes to the disk itself with each checkpoint of the log and at the end. It is never ahead of the database.
"""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop.errors import JournalDamaged, JournalUnavailable

_LINE: Final = re.compile(rb"([0-9a-f]{32}) ([0-9]{20})\n")
_DIGITS_AT: Final = 33


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """The journal's own name, and the highest number that it has committed."""

    epoch: str
    last: int


class MarkFile:
    """The file. One process writes it."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.path = journal.with_suffix(".mark")
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether this process writes it."""
        return self._descriptor >= 0

    def read(self) -> Noted | None:
        """What it says, None if there is none. Raises JournalDamaged if it says nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                found = _LINE.fullmatch(os.read(descriptor, 100))
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self.unusable(f"cannot be read: {exc.strerror}") from exc
        if found is None:
            raise self.unusable("is damaged")
        return Noted(epoch=found[1].decode(), last=int(found[2]))

    def begin(self, noted: Noted) -> None:
        """Write it as a whole, on the disk when this returns. Raises JournalUnavailable."""
        temporary = self.path.with_name(f"{self.path.name}.new")
        try:
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{noted.epoch} {noted.last:020d}\n".encode())
                os.fsync(descriptor)
                temporary.replace(self.path)
                _sync_directory(self.path.parent)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as exc:
            raise JournalUnavailable(
                f"{self.path} cannot be written: {exc.strerror}",
                hint="Check that there is space and that this user may write there.",
            ) from exc
        self.close()
        self._descriptor = descriptor

    def note(self, last: int) -> None:
        """So far is committed. What cannot be written leaves it where it was."""
        with suppress(OSError):
            os.pwrite(self._descriptor, b"%020d" % last, _DIGITS_AT)

    def sync(self) -> None:
        """Have it on the disk."""
        with suppress(OSError):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Have it on the disk, and let it go. Idempotent."""
        if self.is_open:
            self.sync()
            os.close(self._descriptor)
            self._descriptor = -1

    def compare(self, noted: Noted, found: Noted | None) -> None:
        """Raise JournalDamaged if the database is not at least what was noted. `found` None: it is empty."""
        if found is None:
            raise self.lacking(f"{self.journal} is empty or missing, but this home has had a journal")
        if found.epoch != noted.epoch:
            raise self.lacking(f"{self.journal} is not the journal that was written last in this home")
        if found.last < noted.last:
            raise self.lacking(
                f"{self.journal} lacks its newest entries: number {noted.last} was committed, and it ends "
                f"with {found.last}. Its log ({self.journal.name}-wal) was lost, or it is an older copy"
            )

    def lacking(self, message: str) -> JournalDamaged:
        """Something is missing, as `message` says; with the ways out."""
        return JournalDamaged(
            message,
            hint=f"Put back the whole home from a backup, or {self.journal.name} with its -wal and -shm. "
            f"To go on with what is there, type `rm {shlex.quote(str(self.path))}` and start again.",
        )

    def unusable(self, why: str) -> JournalDamaged:
        """The mark itself is no help."""
        return JournalDamaged(
            f"{self.path} {why}, so it is unknown whether the journal is complete",
            hint="If nothing happened to the journal itself, "
            f"type `rm {shlex.quote(str(self.path))}` and start again.",
        )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
