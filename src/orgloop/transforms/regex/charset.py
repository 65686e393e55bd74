"""Sets of characters as a regular expression of JavaScript means them: by code, with its ideas of case."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import re2

LAST: Final = 0x10FFFF
LAST_UNIT: Final = 0xFFFF
"""JavaScript's text consists of 16-bit units, unless a regular expression has the flag u."""

_CASED: Final = (
    range(0x80, 0x10000),
    range(0x10400, 0x11000),
    range(0x16E40, 0x16E80),
    range(0x1E900, 0x1E944),
)
"""Where characters lie that have case; ASCII is done by hand."""


def units(text: str) -> str:
    """Text in 16-bit units, each a character: the two of a surrogate pair are apart."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    return "".join(
        char if char <= "\uffff" else chr(0xD7C0 + (ord(char) >> 10)) + chr(0xDC00 + (ord(char) & 0x3FF))
        for char in text
    )


@dataclass(frozen=True, slots=True)
class CharSet:
    """Characters as ranges, first and last included: sorted, and apart from each other."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> CharSet:
        """From ranges in any order, which may overlap."""
        found: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if found and first <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], last))
            else:
                found.append((first, last))
        return cls(tuple(found))

    @classmethod
    def chars(cls, text: str) -> CharSet:
        """These characters."""
        return cls.of((ord(char), ord(char)) for char in text)

    def __or__(self, other: CharSet) -> CharSet:
        return CharSet.of((*self.ranges, *other.ranges))

    def __contains__(self, code: int) -> bool:
        at = bisect_right(self.ranges, (code, LAST + 1)) - 1
        return at >= 0 and code <= self.ranges[at][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __sub__(self, other: CharSet) -> CharSet:
        return (self.complement(LAST) | other).complement(LAST)

    def complement(self, top: int) -> CharSet:
        """All characters up to `top` that are not in here."""
        found, begin = [], 0
        for first, last in self.ranges:
            if begin < first:
                found.append((begin, first - 1))
            begin = last + 1
        if begin <= top:
            found.append((begin, top))
        return CharSet(tuple(found))

    def any_case(self, *, folded: bool) -> CharSet:
        """With the characters that differ in case only: `folded` is the way of the flags iu, else of i."""
        more: list[tuple[int, int]] = []
        for first, last in self.ranges:
            low, high = max(first, 0x41), min(last, 0x5A)
            if low <= high:
                more.append((low + 32, high + 32))
            low, high = max(first, 0x61), min(last, 0x7A)
            if low <= high:
                more.append((low - 32, high - 32))
        if folded or (self.ranges and self.ranges[-1][1] >= 0x80):
            groups = _groups(folded=folded)
            if len(self) <= len(groups):
                known = (
                    group
                    for first, last in self.ranges
                    for code in range(first, last + 1)
                    if (group := groups.get(code))
                )
            else:
                known = (group for group in groups.values() if any(code in self for code in group))
            more.extend((code, code) for group in known for code in group)
        return CharSet.of((*self.ranges, *more))


EMPTY: Final = CharSet(())
LINE_ENDS: Final = CharSet.chars("\n\r\u2028\u2029")
DIGITS: Final = CharSet.of([(0x30, 0x39)])
WORD: Final = CharSet.of([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACE: Final = CharSet.of(
    [
        (9, 13),
        (0x2000, 0x200A),
        *((code, code) for code in (0x20, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF)),
    ]
)
SURROGATES: Final = CharSet.of([(0xD800, 0xDFFF)])

_LONG_NAMES: Final = {
    "Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll",
    "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M",
    "Combining_Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me",
    "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
    "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd",
    "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi",
    "Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm",
    "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z",
    "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Control": "Cc",
    "cntrl": "Cc", "Format": "Cf", "Surrogate": "Cs", "Private_Use": "Co",
}  # fmt: skip


def with_property(name: str) -> CharSet | None:
    """What `\\p{name}` means: a general category, a script, or one of the few others that are known here."""
    kind, found, value = name.partition("=")
    match kind, value:
        case "Any", "":
            return EMPTY.complement(LAST)
        case "ASCII", "":
            return CharSet.of([(0, 0x7F)])
        case "White_Space" | "space", "":
            return (SPACE | CharSet.chars("\x85")) - CharSet.chars("\ufeff")
        case (("General_Category" | "gc"), _):
            return _category(value)
        case (("Script" | "sc"), _):
            return _known_to_re2(value) if len(value) > 2 else None
        case _:
            return None if found else _category(kind)


def _category(name: str) -> CharSet | None:
    short = _LONG_NAMES.get(name, name)
    if short == "LC":
        return CharSet.of(one for part in ("Lu", "Ll", "Lt") for one in (_known_to_re2(part) or EMPTY).ranges)
    return _known_to_re2(short) if len(short) <= 2 else None


@cache
def _known_to_re2(name: str) -> CharSet | None:
    """RE2 has the tables, and says what is in them by finding it."""
    options = re2.Options()
    options.log_errors = False
    try:
        regex = re2.compile(f"\\p{{{name}}}+", options)
    except re2.error:
        return None
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, LAST + 1))))
    return CharSet.of((ord(run[0]), ord(run[-1])) for run in _runs(regex.findall(every)))


def _runs(found: list[str]) -> Iterator[str]:
    """The surrogates are left out of the text, so a run may pass over them."""
    for run in found:
        head, after, tail = run.partition("\ue000")
        yield from (part for part in (head, after + tail) if part)


@cache
def _groups(*, folded: bool) -> Mapping[int, tuple[int, ...]]:
    """By character, those that are the same to JavaScript if case does not count; ASCII alone is left out."""
    canonical = _folded if folded else _upper
    groups: dict[int, set[int]] = {}
    for part in _CASED if folded else _CASED[:1]:
        for code in part:
            if (first := canonical(code)) != code:
                groups.setdefault(first, {first}).add(code)
    for letter in range(0x61, 0x7B) if folded else ():
        if letter in groups:
            groups[letter].add(letter - 32)
    return {code: tuple(sorted(group)) for group in groups.values() for code in group}


def _upper(code: int) -> int:
    upper = chr(code).upper()
    return ord(upper) if len(upper) == 1 and 0x80 <= ord(upper) <= LAST_UNIT else code


def _folded(code: int) -> int:
    char = chr(code)
    for other in (char.casefold(), char.lower()):
        if len(other) == 1:
            return ord(other)
    return code
