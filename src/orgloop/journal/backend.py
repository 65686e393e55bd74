"""Which database the journal is on: the one place that chooses it. Whoever opens a journal asks here.

Nothing is imported before it is needed: a shell that completes a word asks here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from orgloop.journal.protocols import Journal, Reader


class Database(NamedTuple):
    """The database at hand. `fault`: why no journal can be on it, and what to do about that."""

    name: str
    version: str
    fault: str = ""
    hint: str = ""


async def open_journal(home: Path, *, project: str, clock: Callable[[], int], holder: str = "") -> Journal:
    """The home's journal, for writing: created or migrated, checked, and locked until it is closed.

    `holder` says to others what holds it, such as `the daemon on port 4800`. Raises JournalLocked,
    JournalTooNew, JournalDamaged or JournalUnavailable.
    """
    from orgloop.journal.sqlite import open_journal

    return await open_journal(home, project=project, clock=clock, holder=holder)


async def memory_journal(*, project: str, clock: Callable[[], int]) -> Journal:
    """A journal that is gone when it is closed."""
    from orgloop.journal.sqlite import memory_journal

    return await memory_journal(project=project, clock=clock)


def open_reader(home: Path) -> Reader:
    """The home's journal, for reading, whether or not anybody writes. Raises NotFound if it has none."""
    from orgloop.journal.sqlite import open_reader

    return open_reader(home)


def require_sound(home: Path) -> None:
    """Raise the JournalError with which a start would refuse the home's journal; change nothing."""
    from orgloop.journal.sqlite import require_sound

    require_sound(home)


def database() -> Database:
    """The database that is installed here."""
    from orgloop.journal.sqlite import MINIMUM, is_current, sqlite_version

    found = sqlite_version()
    if is_current(found):
        return Database("SQLite", found)
    oldest = ".".join(map(str, MINIMUM))
    hint = "update the package apsw, which carries SQLite"
    return Database("SQLite", found, f"{found} is older than {oldest}", hint)


def ids_beginning(home: Path, kind: str, begin: str) -> Sequence[tuple[str, str]]:
    """Ids of this kind that begin so, newest first, each with a few words; none if they cannot be read."""
    from orgloop.journal.sqlite.names import ids

    return ids(home, kind, begin)


def applied_project(home: Path) -> tuple[str, Mapping[str, Any]]:
    """The directory of the project that was applied last, and its snapshot; empty if none can be read."""
    from orgloop.journal.sqlite.names import applied

    return applied(home)
