"""Connections to the journal's database: where it is, how it is opened, and its errors in our words.

`synchronous=FULL` in WAL mode: every commit is on the disk before it counts. Checkpoints are the
store's own affair, after it has answered.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

import apsw

from orgloop.errors import JournalDamaged, JournalError, JournalUnavailable, NotFound
from orgloop.journal.sqlite.home import JOURNAL, require_plain

MINIMUM: Final = (3, 51, 3)
"""Older SQLite can lose committed transactions when it resets its write-ahead log."""

_WRITE: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_READ: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
BUSY_MS: Final = 5_000
"""Milliseconds in which another program must have let go of its lock."""

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
    (apsw.FullError, "Free some space on that disk; writing continues by itself."),
    (apsw.ReadOnlyError, "Make the home and its files writable for this user; writing continues by itself."),
    (apsw.CantOpenError, "Check that the home exists and that this user may write to it."),
    (apsw.BusyError, "Another program keeps the file locked: close the other program."),
    (apsw.IOError, "Check the disk that holds the home; writing continues once it works again."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Where a journal is: in a file, or without a `path` in memory. `name` is for messages.

    `vfs` is SQLite's own word for how files are reached.
    """

    uri: str
    name: str
    path: Path | None = None
    vfs: str | None = None


def file_place(path: Path, *, vfs: str | None = None) -> Location:
    """A journal in a file."""
    return Location(uri=f"file://{quote(os.fsencode(path.absolute()))}", name=str(path), path=path, vfs=vfs)


def memory_place(token: int) -> Location:
    """A journal that lives as long as a connection to it. `token` tells two of one process apart."""
    return Location(uri=f"file:/orgloop-{token:x}?vfs=memdb", name="the journal in memory")


def sqlite_version() -> str:
    """The version of the SQLite at hand."""
    return apsw.sqlite_lib_version()


def is_current(version: str) -> bool:
    """Whether this version of SQLite can be trusted with a write-ahead log."""
    return tuple(int(part) for part in version.split(".")[:3]) >= MINIMUM


def require_sqlite(version: str = "") -> None:
    """Raise JournalError if the SQLite at hand is too old to be trusted with a write-ahead log."""
    found = version or sqlite_version()
    if not is_current(found):
        raise JournalError(
            f"SQLite {found} is too old for the journal; {'.'.join(map(str, MINIMUM))} or newer is needed",
            hint="Install the apsw package from a wheel: it carries a current SQLite.",
        )


def open_writing(place: Location) -> apsw.Connection:
    """The one writable connection. Raises JournalUnavailable, JournalDamaged or JournalError."""
    require_sqlite()
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(place.uri, flags=_WRITE, vfs=place.vfs)
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("auto_vacuum", "incremental")
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", True)
        connection.pragma("checkpoint_fullfsync", True)
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("journal_size_limit", 64 * 1024 * 1024)
        connection.pragma("cache_size", -16_384)
        connection.pragma("temp_store", "memory")
    except apsw.Error as exc:
        if connection is not None:
            shut(connection)
        raise translated(exc, place.name) from exc
    if mode != "wal" and place.path is not None:
        connection.close()
        raise JournalError(
            f"{place.name} lies on a file system that cannot hold a write-ahead log",
            hint="Set ORGLOOP_HOME to a directory on a local disk.",
        )
    return connection


def shut(connection: apsw.Connection) -> None:
    """Close a connection, also on a disk that fails: a log that cannot be emptied stays as it is."""
    with contextlib.suppress(apsw.Error):
        connection.close(True)


def open_reading(place: Location) -> apsw.Connection:
    """A read-only connection. Raises NotFound if there is no journal."""
    require_sqlite()
    try:
        connection = apsw.Connection(place.uri, flags=_READ, vfs=place.vfs)
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("cache_size", -4_096)
        tables = cast("int", connection.execute("SELECT count(*) FROM sqlite_schema").get)
    except apsw.Error as exc:
        if isinstance(exc, apsw.CantOpenError) and place.path is not None and not place.path.exists():
            raise _no_journal(place) from exc
        raise translated(exc, place.name) from exc
    if not tables:
        connection.close()
        raise _no_journal(place)
    return connection


def journal_of(home: Path) -> Location:
    """The journal of a home. Raises NotFound if it has none."""
    path = home / JOURNAL
    require_plain(path)
    if not path.exists():
        raise _no_journal(file_place(path))
    return file_place(path)


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
            hint="Stop OrgLoop, move the file with its -wal and -shm away, restore a copy or start empty.",
        )
    if not is_store_fault(exc):
        return JournalError(
            f"{where} refused a row: {exc}",
            hint="Nothing of it was written. The caller sent something that cannot be stored.",
        )
    hint = next((text for kind, text in _HINTS if isinstance(exc, kind)), "Writing is tried again by itself.")
    return JournalUnavailable(f"{where} cannot be used: {exc}", hint=hint)


def _no_journal(place: Location) -> NotFound:
    return NotFound(
        f"there is no journal at {place.name}",
        hint="Nothing has run in this home yet: start OrgLoop first, or check ORGLOOP_HOME.",
    )
