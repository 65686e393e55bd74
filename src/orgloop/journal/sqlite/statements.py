"""Named queries from `sql/*.sql`: a name, a line of purpose, the query; and how verbs reach them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import apsw

from orgloop.journal.verbs.transaction import Values

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROWS: Final = (64, 16, 4, 1)
_BLANKS: Final = re.compile(r"(?<=VALUES )(\([?, ]+\))")
_COMMENT: Final = re.compile(r"^[ \t]*+--.*$\n?", re.MULTILINE)


def read_sql(file: str) -> str:
    """The text of one file of `sql/`."""
    return (files(__package__) / "sql" / file).read_text("utf-8")


def load(file: str) -> Mapping[str, str]:
    """The queries of one file by name, without comments. Raises ValueError if a name is there twice."""
    parts = _NAME.split(read_sql(file))
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file} gives one name to two queries")
    return MappingProxyType(
        {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}
    )


VERBS: Final = MappingProxyType(
    {
        name: query
        for file in (
            "accept.sql",
            "accounts.sql",
            "batches.sql",
            "claim.sql",
            "ledger.sql",
            "members.sql",
            "moves.sql",
            "operate.sql",
            "runs.sql",
            "remote_runs.sql",
            "sessions.sql",
            "loops.sql",
            "on_busy.sql",
            "queues.sql",
        )
        for name, query in load(file).items()
    }
)
"""The queries of all verbs."""


class SqliteTx:
    """`Tx` on one connection, for one transaction after the other."""

    __slots__ = ("_changes", "_execute", "connection", "last", "project")

    def __init__(self, connection: apsw.Connection, project: str, last: int) -> None:
        """`last` is the highest number in the database. Numbers of what is rolled back are drawn again."""
        self.connection = connection
        self._execute: Callable[..., Any] = connection.execute
        self._changes = connection.changes
        self.last = last
        self.project = project

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See `Tx`."""
        found: list[Any] = self._execute(VERBS[name], values).fetchall()
        return found

    def one(self, name: str, values: Values = ()) -> Any:
        """See `Tx`."""
        return self._execute(VERBS[name], values).fetchone()

    def value(self, name: str, values: Values = ()) -> Any:
        """See `Tx`."""
        return self._execute(VERBS[name], values).get

    def change(self, name: str, values: Values = ()) -> int:
        """See `Tx`."""
        self._execute(VERBS[name], values)
        return self._changes()

    def change_each(self, name: str, rows: Sequence[Values]) -> int:
        """See `Tx`. Rows of `VALUES` travel many in one statement.

        SQLite works on a statement without Python's lock, and must get it back behind each one. While
        the event loop is busy, that takes longer than the statement: row by row, one event's accept, claim
        and settle take 1.22 times the CPU time (`python -m bench techniques`).
        """
        done = changed = 0
        for size, query in _bulk(name) if len(rows) > 1 else ((1, VERBS[name]),):
            while len(rows) - done >= size:
                self._execute(query, tuple(chain.from_iterable(rows[done : done + size])))
                changed += self._changes()
                done += size
        return changed

    def next(self, count: int = 1) -> int:
        """See `Tx`."""
        first = self.last + 1
        self.last += count
        return first


@cache
def _bulk(name: str) -> Sequence[tuple[int, str]]:
    """The query for many rows at once and for one, most rows first."""
    query = VERBS[name]
    parts = _BLANKS.split(query)
    if len(parts) == 1:
        return ((1, query),)
    before, row, behind = parts
    return [(size, before + ", ".join([row] * size) + behind) for size in _ROWS]
