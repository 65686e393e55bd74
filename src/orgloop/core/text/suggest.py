"""Which known name a wrong one almost certainly means. No suggestion is better than a far one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 64
"""Characters of a name up to which slips are looked for."""

_SEPARATORS: Final = re.compile(r"[\s._-]+")
_DIGITS: Final = re.compile(r"[0-9]+")
_SHORT: Final = 5
_LONG: Final = 8


def nearest_name(
    name: str, known: Iterable[str], *, careful: bool = False, short: bool = False
) -> str | None:
    """The known name that `name` is, but for a slip; None if there is none, or more than one.

    A slip is another way to write capitals and separators, one letter too many, too few or in the
    wrong place, a wrong letter in a name of more than five, two slips in one of eight, or up to two
    letters that are missing at the end. The first letter, or the first two together, and all numbers
    are right. `careful`: no wrong letter, for names of which some differ in one letter, such as those
    of files. `short`: a wrong letter in a name of four or five, too, where other words are not expected.
    """
    plain = _plain(name)
    best: list[str] = []
    least, strict = _allowance(plain, careful=careful), careful or len(plain) <= (3 if short else _SHORT)
    for other in known:
        if not other or other == name:
            continue
        theirs = _plain(other)
        if theirs == plain:
            return other
        if plain[:1] != theirs[:1] and plain[1::-1] != theirs[:2]:
            continue
        if _DIGITS.findall(plain) != _DIGITS.findall(theirs):
            continue
        if len(plain) >= _SHORT - 1 and theirs[:-2] == plain:
            best.append(other)
        slips = _slips(plain, theirs, least, strict=strict)
        if slips < least:
            best, least = [other], slips
        elif slips == least and least:
            best.append(other)
    return best[0] if len(set(best)) == 1 else None


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())


def _allowance(plain: str, *, careful: bool) -> int:
    if not 2 < len(plain) <= LONGEST:
        return 0
    return 2 if len(plain) >= _LONG and not careful else 1


def _slips(one: str, other: str, most: int, *, strict: bool) -> int:
    """How many slips lie between two names, at most one more than `most`. `strict`: a wrong letter is two."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    wrong = 2 if strict else 1
    before: list[int] = []
    line = list(range(len(other) + 1))
    for row, char in enumerate(one, 1):
        earlier, before, line = before, line, [row]
        for column, theirs in enumerate(other, 1):
            cost = min(
                before[column] + 1, line[-1] + 1, before[column - 1] + (0 if char == theirs else wrong)
            )
            if row > 1 and column > 1 and char == other[column - 2] and theirs == one[row - 2]:
                cost = min(cost, earlier[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
    return min(line[-1], most + 1)
