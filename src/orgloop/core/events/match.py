"""Which routes an event wakes; ten thousand routes cost little more than one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from typing import Any, Final

from orgloop.core.events.event import event_names
from orgloop.core.events.fields import MISSING, Path, same

_SEPARATORS: Final = re.compile("[._-]")
_SLIP: Final = 0.85


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One line of `when.filter`: the value at `path` equals any of `values`, types included."""

    path: Path
    values: tuple[Any, ...]

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether `document` meets it. A missing value equals nothing, not even null."""
        value = self.path.get(document)
        return value is not MISSING and any(same(value, wanted) for wanted in self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """The `when:` of one route. `events` are names or globs."""

    source: str
    events: tuple[str, ...]
    filter: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Why a route matched an event or not: one entry per thing that was compared."""

    matched: bool
    source: bool
    events: bool
    conditions: tuple[tuple[Condition, Any, bool], ...] = ()


def is_glob(name: str) -> bool:
    """Whether an event name in a route is a pattern."""
    return any(char in name for char in "*?[")


def names_match(patterns: Iterable[str], names: Sequence[str]) -> bool:
    """Whether any pattern calls any of the names, exactly or by glob. A bare name is never a prefix."""
    return any(
        name == pattern or (is_glob(pattern) and fnmatchcase(name, pattern))
        for pattern in patterns
        for name in names
    )


def near_miss(name: str, known: Sequence[str]) -> str | None:
    """The known name that this one almost certainly should be; None if it is one, or if that is not sure.

    What stands between dots is compared part by part: `x.created` is no slip in `x.edited`, however
    long x is.
    """
    if name in known:
        return None
    parts, plain = name.lower().split("."), _SEPARATORS.sub("", name.lower())
    likely: list[str] = []
    for other in known:
        if _SEPARATORS.sub("", other) == plain:
            return other
        theirs = other.split(".")
        if len(theirs) == len(parts) and all(map(_alike, parts, theirs)):
            likely.append(other)
    return max(likely, key=lambda other: SequenceMatcher(None, name, other).ratio(), default=None)


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    likeness = SequenceMatcher(None, one, other)
    # The first two are cheap bounds of the third.
    return all(
        ratio() >= _SLIP for ratio in (likeness.real_quick_ratio, likeness.quick_ratio, likeness.ratio)
    )


def explain(when: When, document: Mapping[str, Any]) -> Verdict:
    """The verdict on every part of a route's `when`, for people."""
    source = document.get("source") == when.source
    events = names_match(when.events, _names(document))
    conditions = tuple((line, line.path.get(document), line.holds(document)) for line in when.filter)
    matched = source and events and all(held for _, _, held in conditions)
    return Verdict(matched=matched, source=source, events=events, conditions=conditions)


class Matcher:
    """Routes filed by source, event name, and the value that their first plain condition asks for."""

    def __init__(self, routes: Sequence[When]) -> None:
        self._routes = tuple(routes)
        self._named: dict[str, dict[str, _Shelf]] = {}
        self._globs: dict[str, dict[str, _Shelf]] = {}
        for number, when in enumerate(self._routes):
            for name in dict.fromkeys(when.events):
                self._shelf(when.source, name).add(number, when)

    def _shelf(self, source: str, name: str) -> _Shelf:
        shelves = self._globs if is_glob(name) else self._named
        return shelves.setdefault(source, {}).setdefault(name, _Shelf())

    def match(self, document: Mapping[str, Any]) -> list[int]:
        """The numbers of all routes that match, in their order."""
        named = self._named.get(document["source"], {})
        globs = self._globs.get(document["source"], {})
        if not named and not globs:
            return []
        names = _names(document)
        found: set[int] = set()
        for name in names:
            shelf = named.get(name)
            if shelf is not None:
                shelf.candidates(document, found)
        for pattern, shelf in globs.items():
            if any(fnmatchcase(name, pattern) for name in names):
                shelf.candidates(document, found)
        return sorted(
            number
            for number in found
            if all(condition.holds(document) for condition in self._routes[number].filter)
        )


class _Shelf:
    """Routes of one source and event name."""

    def __init__(self) -> None:
        self.unconditional: list[int] = []
        self.by_value: dict[Path, dict[tuple[str, Any], list[int]]] = {}

    def add(self, number: int, when: When) -> None:
        plain = next((line for line in when.filter if all(_is_plain(value) for value in line.values)), None)
        if plain is None:
            self.unconditional.append(number)
            return
        values = self.by_value.setdefault(plain.path, {})
        for value in plain.values:
            values.setdefault(_label(value), []).append(number)

    def candidates(self, document: Mapping[str, Any], found: set[int]) -> None:
        """Add those that may match; the caller checks their conditions."""
        found.update(self.unconditional)
        for path, values in self.by_value.items():
            value = path.get(document)
            if _is_plain(value):
                found.update(values.get(_label(value), ()))


def _names(document: Mapping[str, Any]) -> tuple[str, ...]:
    return event_names(document["type"], document["provenance"])


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | Decimal)


def _label(value: Any) -> tuple[str, Any]:
    """A dictionary key under which JSON-equal values meet and others do not: true is not 1, 1 is 1.0."""
    if isinstance(value, bool):
        return "bool", value
    return ("number", value) if isinstance(value, int | float | Decimal) else ("other", value)
