"""Names and ids in a journal that begin with some letters: what a shell completes a word with, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import orjson

from orgloop.errors import OrgLoopError
from orgloop.journal.sqlite.connection import journal_of

MOST: Final = 50
"""Names of one kind, the newest first."""

_BUSY_MS: Final = 100
_READ: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_BEGINS: Final = "id >= ?1 AND id < ?1 || char(1114111)"
_APPLIED: Final = "SELECT root, snapshot FROM applied ORDER BY seq DESC LIMIT 1"
_DELIVERIES: Final = f"SELECT id, route || ', ' || state FROM deliveries WHERE {_BEGINS}"

_QUERIES: Final[Mapping[str, str]] = {
    "event": f"SELECT id, source || ', ' || platform_event FROM events WHERE {_BEGINS} ORDER BY id DESC",
    "delivery": f"{_DELIVERIES} ORDER BY id DESC",
    "held": f"{_DELIVERIES} AND state = 'held' ORDER BY changed_at DESC",
    "dead": f"{_DELIVERIES} AND state = 'dead' ORDER BY changed_at DESC",
    "run": f"SELECT id, actor || ', ' || route FROM runs WHERE {_BEGINS} ORDER BY id DESC",
    "open run": (
        f"SELECT id, actor || ', ' || route FROM runs WHERE ended_at IS NULL AND {_BEGINS} ORDER BY id DESC"
    ),
    "session": (
        f"SELECT id, actor || ', ' || key FROM agent_sessions WHERE {_BEGINS} ORDER BY changed_at DESC"
    ),
}


def ids(home: Path, kind: str, begin: str) -> Sequence[tuple[str, str]]:
    """Ids of this kind that begin so, newest first, each with a few words; none if they cannot be read."""
    try:
        with closing(_open(home)) as connection:
            rows = connection.execute(f"{_QUERIES[kind]} LIMIT {MOST}", (begin,)).fetchall()
        return [(str(id), str(words)) for id, words in rows]
    except (apsw.Error, OrgLoopError):
        return []


def applied(home: Path) -> tuple[str, Mapping[str, Any]]:
    """The directory of the project that was applied last, and its snapshot; empty if none can be read."""
    try:
        with closing(_open(home)) as connection:
            row = connection.execute(_APPLIED).fetchone()
        return (str(row[0]), orjson.loads(row[1])) if row is not None else ("", {})
    except (apsw.Error, OrgLoopError, orjson.JSONDecodeError):
        return "", {}


def _open(home: Path) -> apsw.Connection:
    connection = apsw.Connection(journal_of(home).uri, flags=_READ)
    connection.set_busy_timeout(_BUSY_MS)
    return connection
