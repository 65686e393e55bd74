"""Files and the things in them: data as written, data with its variables, and where each stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orgloop.config.env import DataPath, Variables
from orgloop.config.findings import Report, Where
from orgloop.config.paths import read_file
from orgloop.config.places import line_and_column
from orgloop.config.yaml import MAX_BYTES, ParsedFile, parse


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One YAML file. `raw` is as written, `data` has its variables; `shown` is its name for people.

    A file without content is an empty map.
    """

    file: Path
    shown: str
    raw: Any
    data: Any
    parsed: ParsedFile
    unresolved: frozenset[DataPath]

    def where(self, path: Iterable[str | int] = (), *, key: bool = False) -> Where:
        """The place of the value at `path`, or of its key."""
        steps = tuple(path)
        line, column = line_and_column(self.parsed.find(steps, key=key))
        return Where(file=self.shown, line=line, column=column, path=dotted(steps))

    def lacks_variable(self, path: DataPath) -> bool:
        """Whether what stands at `path` is, contains or lies in a value whose variable is not set."""
        return any(one[: len(path)] == path or path[: len(one)] == one for one in self.unresolved)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """One thing in a file, such as a route. `label` names it in messages: `route 'pr-review'`."""

    document: Document
    at: DataPath
    label: str

    @property
    def data(self) -> Any:
        """It, with its variables filled in."""
        return at_path(self.document.data, self.at)

    @property
    def raw(self) -> Any:
        """It, as written."""
        return at_path(self.document.raw, self.at)

    @property
    def folder(self) -> Path:
        """The directory of its file, against which its paths are resolved first."""
        return self.document.file.parent

    def get(self, *path: str | int) -> Any:
        """The value at `path` inside it, variables filled in; None if nothing is there."""
        return at_path(self.data, path)

    def where(self, *path: str | int, key: bool = False) -> Where:
        """The place of a value, or of its key, inside it."""
        return self.document.where((*self.at, *path), key=key)

    def lacks_variable(self, *path: str | int) -> bool:
        """Whether a variable is missing at, in or around `path`."""
        return self.document.lacks_variable((*self.at, *path))


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: `routes.0.when.source`."""
    return ".".join(str(step) for step in path)


def at_path(data: Any, path: Iterable[str | int]) -> Any:
    """The value at `path`, or None."""
    for step in path:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
            data = data[step]
        else:
            return None
    return data


def read_document(file: Path, shown: str, variables: Variables, report: Report) -> Document | None:
    """One file. Raises OSError. None if its content cannot be read; then the report says why."""
    content = read_file(file, MAX_BYTES + 1)
    parsed: ParsedFile = parse(content)
    for problem in parsed.problems:
        line, column = line_and_column(problem.place)
        where = Where(file=shown, line=line, column=column)
        report.error(problem.code, where, problem.message, problem.hint)
    if parsed.data is None and parsed.problems:
        return None
    raw = {} if parsed.data is None else parsed.data
    document = Document(file=file, shown=shown, raw=raw, data=raw, parsed=parsed, unresolved=frozenset())
    if b"${" not in content:
        return document
    filled = variables.fill(raw, document.where)
    return replace(document, data=filled.data, unresolved=filled.unresolved)
