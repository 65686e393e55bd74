"""Named queries from `sql/*.sql`: a name, a line of purpose, the query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*--.*$\n?", re.MULTILINE)


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
