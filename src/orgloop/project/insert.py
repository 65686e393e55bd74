"""One more item in a list of orgloop.yaml. Every other byte of the file stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.config.reading.positions import Place, Places, line_and_column, place_of
from orgloop.config.reading.yaml import ParsedFile, parse
from orgloop.errors import ConfigError
from orgloop.project.yaml_text import block

ORDER: Final = (
    "apiVersion",
    "kind",
    "metadata",
    "defaults",
    "accounts",
    "connectors",
    "sources",
    "actors",
    "transforms",
    "routes",
    "loggers",
)
"""The order in which a file's sections read best."""

_EMPTY: Final = re.compile(r"(:)[ \t]*+(?:(?:~|null|\[[ \t]*+\])[ \t]*+)?(#.*)?$")


def insert(text: str, section: str, entry: Mapping[str, Any]) -> str:
    """`text` with `entry` as the last item of `section`, which is created if need be.

    Raises ConfigError if the file, or the section, is written in a way that cannot be extended.
    """
    parsed = parse(text.encode())
    if parsed.problems or not isinstance(parsed.data, dict | None):
        raise ConfigError(
            "orgloop.yaml cannot be read", hint="`orgloop validate` shows what is wrong with it"
        )
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    if parsed.data is not None and _char(lines, parsed.places) == "{":
        raise ConfigError(
            "orgloop.yaml is written in braces, which `add` cannot extend",
            hint="write it as `key: value` lines first",
        )
    if parsed.data and section in parsed.data:
        at, new = _into(lines, parsed, section, entry)
    else:
        at = _behind(lines, parsed, section)
        separator = [""] if at and lines[at - 1].strip() else []
        new = [*separator, f"{section}:", *block([entry], 2)]
        if at < len(lines) and lines[at].strip():
            new.append("")
    return newline.join([*lines[:at], *new, *lines[at:]]) + newline


def _into(
    lines: list[str], parsed: ParsedFile, section: str, entry: Mapping[str, Any]
) -> tuple[int, list[str]]:
    """Where the new lines go, and what they are. An empty section's own line may change."""
    value = parsed.data[section]
    row = _row(parsed.places.keys[section])
    places = parsed.places.items[section]
    if not value:
        head, found = lines[row], _EMPTY.search(lines[row])
        if found is None:
            raise _unreadable(section)
        lines[row] = f"{head[: found.end(1)]}{f'  {found[2]}' if found[2] else ''}"
        return row + 1, block([entry], 2)
    if not isinstance(value, list) or not isinstance(places, Places):
        raise _unreadable(section)
    if _char(lines, places) != "-":
        raise _unreadable(section)
    _, column = line_and_column(places.at)
    gap = [""] if _spaced(lines, places) else []
    return _end(lines, parsed, section), [*gap, *block([entry], column - 1)]


def _row(at: Places | Place) -> int:
    """The number of its line, from 0."""
    return line_and_column(place_of(at))[0] - 1


def _char(lines: Sequence[str], at: Places) -> str:
    line, column = line_and_column(at.at)
    return lines[line - 1][column - 1]


def _unreadable(section: str) -> ConfigError:
    return ConfigError(
        f"`{section}:` is not written as a list with dashes, which `add` could extend",
        hint=f"write each item of `{section}:` on lines of its own, beginning with `- `",
    )


def _spaced(lines: Sequence[str], places: Places) -> bool:
    """Whether empty lines stand between the items."""
    return len(places.items) > 1 and not lines[_row(places.items[-1]) - 1].strip()


def _behind(lines: Sequence[str], parsed: ParsedFile, section: str) -> int:
    """Where a new section goes: behind the last one that should stand before it."""
    before = ORDER[: ORDER.index(section)]
    present = [name for name in (parsed.data or {}) if name in before]
    return _end(lines, parsed, present[-1]) if present else _trimmed(lines, 0, len(lines))


def _end(lines: Sequence[str], parsed: ParsedFile, section: str) -> int:
    """The number of the line behind a section's last one; comments before the next key belong to that."""
    row = _row(parsed.places.keys[section])
    later = [_row(key) for key in parsed.places.keys.values() if _row(key) > row]
    return _trimmed(lines, row + 1, min(later, default=len(lines)))


def _trimmed(lines: Sequence[str], first: int, end: int) -> int:
    while end > first and (not lines[end - 1].strip() or lines[end - 1].startswith(("#", "..."))):
        end -= 1
    return end
