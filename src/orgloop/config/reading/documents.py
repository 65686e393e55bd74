"""Files and the things in them: data as written, data with its variables, and where each stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from orgloop.config.findings import Report, Where
from orgloop.config.reading.env import DataPath, Variables
from orgloop.config.reading.paths import read_file
from orgloop.config.reading.positions import LINE_BREAK, line_and_column
from orgloop.config.reading.yaml import MAX_BYTES, ParsedFile, parse

_MOST_LINES: Final = 1_000
"""Lines of one value in which a part of it is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One YAML file. `raw` is as written, `data` has its variables; `shown` is its name for people.

    A file without content is an empty map.
    """

    file: Path
    shown: str
    raw: Any
    data: Any
    content: bytes
    parsed: ParsedFile
    unresolved: frozenset[DataPath]

    def where(self, path: Iterable[str | int] = (), *, key: bool = False, within: str = "") -> Where:
        """The place of the value at `path`, of its key, or of some text `within` the value."""
        steps = tuple(path)
        line, column = line_and_column(self.parsed.find(steps, key=key))
        if within:
            line, column = _place_of(within, self.content, line, column)
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

    def where(self, *path: str | int, key: bool = False, within: str = "") -> Where:
        """The place of a value, of its key, or of some text `within` the value, inside it."""
        return self.document.where((*self.at, *path), key=key, within=within)

    def lacks_variable(self, *path: str | int) -> bool:
        """Whether a variable is missing at, in or around `path`."""
        return self.document.lacks_variable((*self.at, *path))


@lru_cache(maxsize=8)
def _lines(content: bytes) -> Sequence[str]:
    return LINE_BREAK.split(content.decode("utf-8-sig", "replace"))


def _place_of(text: str, content: bytes, line: int, column: int) -> tuple[int, int]:
    """Where a text first is from a line and column on, all from 1; these if it is written in another way."""
    lines = _lines(content)
    for number in range(line - 1, min(line - 1 + _MOST_LINES, len(lines))):
        found = lines[number].find(text, column - 1 if number == line - 1 else 0)
        if found >= 0:
            return number + 1, found + 1
    return line, column


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


def texts(node: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
    """The texts in a tree."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from texts(value, (*path, number))
    elif isinstance(node, str):
        yield path, node


def placeholder_texts(node: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
    """The texts with placeholders in a tree."""
    return ((at, text) for at, text in texts(node, path) if "{{" in text)


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
    document = Document(
        file=file, shown=shown, raw=raw, data=raw, content=content, parsed=parsed, unresolved=frozenset()
    )
    if b"${" not in content:
        return document
    filled = variables.fill(raw, document.where)
    return replace(document, data=filled.data, unresolved=filled.unresolved)
