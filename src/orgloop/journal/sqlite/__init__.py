"""The journal on SQLite. Nothing else in this program knows that database.

Each name is imported when it is first asked for: a shell that completes a word needs `names` alone, at once.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from orgloop.journal.sqlite.connection import MINIMUM, is_current, sqlite_version
    from orgloop.journal.sqlite.journal import (
        SqliteJournal,
        memory_journal,
        open_journal,
        open_reader,
        require_sound,
    )
    from orgloop.journal.sqlite.reader import SqliteReader
else:
    _PLACES = {
        "MINIMUM": "connection",
        "SqliteJournal": "journal",
        "SqliteReader": "reader",
        "is_current": "connection",
        "memory_journal": "journal",
        "open_journal": "journal",
        "open_reader": "journal",
        "require_sound": "journal",
        "sqlite_version": "connection",
    }

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value


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
