"""Where things stand in a file: a line and a column for every key and value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

Place = int
"""A line and a column, both from 0, in one number: there are tens of thousands of them."""

_COLUMNS: Final = 1 << 32

LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML."""


def place(line: int, column: int) -> Place:
    """The place at a line and a column that count from 0."""
    return line * _COLUMNS + column


def line_and_column(at: Place) -> tuple[int, int]:
    """Line and column as people count them, from 1."""
    line, column = divmod(at, _COLUMNS)
    return line + 1, column + 1


def end_of(text: str) -> Place:
    """Where a text ends."""
    lines = LINE_BREAK.split(text)
    return place(len(lines) - 1, len(lines[-1]))


@dataclass(slots=True)
class Places:
    """Where a map or a list and its members stand. `keys` is empty, `items` a list if it is a list."""

    at: Place
    keys: dict[str, Place]
    items: Any
    size: int = 1
    """How many values it holds, itself included, with aliases written out."""

    def find(self, path: Iterable[str | int], *, key: bool = False) -> Place:
        """The place of the value at `path`, or of its key; of the nearest thing around it that exists."""
        here: Places | Place = self
        at = self.at
        for step in path:
            if isinstance(here, Place):
                break
            key_at, inner = here._member(step)
            if inner is None:
                break
            here = inner
            at = key_at if key and key_at is not None else place_of(here)
        return at

    def _member(self, step: str | int) -> tuple[Place | None, Places | Place | None]:
        if isinstance(self.items, dict):
            name = str(step)
            return self.keys.get(name), self.items.get(name)
        if isinstance(step, int) and 0 <= step < len(self.items):
            return None, self.items[step]
        return None, None


def place_of(places: Places | Place) -> Place:
    """Where it begins."""
    return places if isinstance(places, Place) else places.at
