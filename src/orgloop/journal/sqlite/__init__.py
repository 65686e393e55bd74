"""The journal on SQLite. Nothing else in this program knows that database."""

from __future__ import annotations

from orgloop.journal.sqlite.connection import MINIMUM, is_current, sqlite_version
from orgloop.journal.sqlite.journal import (
    SqliteJournal,
    memory_journal,
    open_journal,
    open_reader,
    require_sound,
)
from orgloop.journal.sqlite.reader import SqliteReader

__all__ = [
    "MINIMUM",
    "SqliteJournal",
    "SqliteReader",
    "is_current",
    "memory_journal",
    "open_journal",
    "open_reader",
    "require_sound",
    "sqlite_version",
]
