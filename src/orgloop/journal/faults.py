"""SQLite's errors in the journal's words."""

from __future__ import annotations

from typing import Final

import apsw

from orgloop.errors import JournalDamaged, JournalError, JournalUnavailable

_ROW: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
    apsw.BindingsError,
    apsw.SQLError,
)
"""What is wrong with one row or one query; everything else is wrong with the store."""

_HINTS: Final[tuple[tuple[type[apsw.Error], str], ...]] = (
    (apsw.FullError, "Free some space on that disk; writing goes on by itself."),
    (apsw.ReadOnlyError, "Make the home and its files writable for this user; writing goes on by itself."),
    (apsw.CantOpenError, "Check that the home exists and that this user may write to it."),
    (apsw.BusyError, "Another program keeps the file locked: close whatever else has it open."),
    (apsw.IOError, "Check the disk that holds the home; writing goes on by itself once it works again."),
)


def is_store_fault(exc: BaseException) -> bool:
    """Whether the store failed, not one row: the transaction is gone and the connection is suspect."""
    return isinstance(exc, apsw.Error) and not isinstance(exc, _ROW)


def translated(exc: Exception, where: str) -> JournalError:
    """What callers get instead of `exc`. `where` names the journal."""
    if isinstance(exc, JournalError):
        return exc
    if isinstance(exc, (apsw.CorruptError, apsw.NotADBError)):
        return JournalDamaged(
            f"{where} is damaged: {exc}",
            hint="Stop OrgLoop, move the file away with its -wal and -shm, and restore a copy or start anew.",
        )
    if not is_store_fault(exc):
        return JournalError(
            f"{where} refused a row: {exc}",
            hint="Nothing of it was written. The caller sent something that cannot be stored.",
        )
    hint = next((text for kind, text in _HINTS if isinstance(exc, kind)), "Writing is tried again by itself.")
    return JournalUnavailable(f"{where} cannot be used: {exc}", hint=hint)
