"""Named queries from `sqlite/sql/*.sql`: a name, a line of purpose, the query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROWS: Final = (64, 16, 4, 1)
_BLANKS: Final = re.compile(r"(?<=VALUES )(\([?, ]+\))")
_COMMENT: Final = re.compile(r"^\s*--.*$\n?", re.MULTILINE)


def read_sql(file: str) -> str:
    """The text of one file of `sql/`."""
    return (files("orgloop.journal") / "sqlite" / "sql" / file).read_text("utf-8")


def load(file: str) -> Mapping[str, str]:
    """The queries of one file by name, without comments. Raises ValueError if a name is there twice."""
    parts = _NAME.split(read_sql(file))
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file} gives one name to two queries")
    return MappingProxyType(
        {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}
    )


class Bulk:
    """A query about one row of values, for many rows in a few large statements.

    SQLite works on a statement without Python's lock, and must get it back behind each one. While the event
    loop is busy, that takes longer than the statement.
    """

    def __init__(self, query: str) -> None:
        """`query` has one row of blanks: `VALUES (?, ?, ...)`."""
        before, row, behind = _BLANKS.split(query)
        self._queries = {rows: before + ", ".join([row] * rows) + behind for rows in _ROWS}

    def run(self, execute: Callable[..., Any], rows: Sequence[tuple[Any, ...]]) -> int:
        """Run it for these rows, in this order. Returns how many rows of its table changed."""
        done = changed = 0
        for size, query in self._queries.items():
            while len(rows) - done >= size:
                values = tuple(chain.from_iterable(rows[done : done + size]))
                changed += execute(query, values).connection.changes()
                done += size
        return changed
