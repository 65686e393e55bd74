"""Text in a terminal: how many columns it takes, how it is folded, how it is cut."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_WORD: Final = re.compile(r"\s*+(?:\S+|\Z)")
_CHARACTER: Final = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)


def columns(text: str) -> int:
    """How many columns `text` takes. Colours take none, wide characters two."""
    text = _STYLE.sub("", text)
    return len(text) if text.isascii() else sum(_width(char) for char in text)


def folded(text: str, width: int, indent: int = 0) -> list[str]:
    """One line as several of at most `width` columns; all but the first begin with `indent` blanks.

    It is broken between words, a word that is too long wherever it must. Nothing but the blanks at
    a break is lost. `text` may have colours.
    """
    if columns(text) <= width:
        return [text]
    width = max(width, indent + 2)
    lines, line, used = [], "", 0
    for word in _WORD.findall(text.rstrip()):
        if used and used + columns(word) > width:
            lines.append(line)
            line, used, word = " " * indent, indent, word.lstrip()
        *whole, word = _broken(word, width - used, width - indent)
        for part in whole:
            lines.append(line + part)
            line, used = " " * indent, indent
        line, used = line + word, used + columns(word)
    return [*lines, line]


def elided(text: str, width: int) -> str:
    """At most `width` columns of a name: its begin and its end, with … between them."""
    if columns(text) <= width:
        return text
    front, back = (width + 1) // 2, width // 2
    begin = _broken(text, front - 1, front - 1)[0] if front > 1 else ""
    end = _broken(text[::-1], back, back)[0][::-1] if back else ""
    return f"{begin}…{end}"


def _broken(word: str, first: int, others: int) -> list[str]:
    """A word in parts: one of at most `first` columns, then ones of at most `others`."""
    if columns(word) <= first:
        return [word]
    parts, part, used, room = [], "", 0, max(first, 1)
    for char in _CHARACTER.findall(word):
        width = columns(char)
        if used + width > room:
            parts.append(part)
            part, used, room = "", 0, max(others, 1)
        part, used = part + char, used + width
    return [*parts, part]


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
