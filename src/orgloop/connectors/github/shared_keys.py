"""One fact that comes both ways, by webhook and by poll, has one key.

Most facts have a name of GitHub's. A label that is set, or a push, has only its time, and a delivery may
tell another second of it than the API.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orgloop.connectors.github.times import seconds

APART: Final = 60
"""Seconds by which the two times of one fact may differ."""

MOST: Final = 2_000
"""Things whose facts are remembered, the latest ones."""

MOST_OF_ONE: Final = 50
"""Facts that are remembered of one thing."""


class Way(StrEnum):
    """How a fact is learned."""

    PUSHED = "pushed"
    POLLED = "polled"


@dataclass(kw_only=True, slots=True)
class _Fact:
    key: str
    times: dict[Way, int]


class Pairs:
    """Remembers which fact of one way was which of the other, as long as the process lives."""

    def __init__(self) -> None:
        self._facts: OrderedDict[str, list[_Fact]] = OrderedDict()

    def key(self, key: str, way: Way) -> str:
        """The key under which the fact is known already, if it came the other way before."""
        stem, _, version = key.rpartition("@")
        at = seconds(version)
        if at is None or not stem:
            return key
        facts = self._facts.setdefault(stem, [])
        self._facts.move_to_end(stem)
        again = [one for one in facts if one.times.get(way) == at]
        other = [one for one in facts if way not in one.times and _apart(one, at) <= APART]
        if not again and not other:
            facts.append(_Fact(key=key, times={way: at}))
            del facts[:-MOST_OF_ONE]
            while len(self._facts) > MOST:
                self._facts.popitem(last=False)
            return key
        found = again[0] if again else min(other, key=lambda one: _apart(one, at))
        found.times[way] = at
        return found.key


def _apart(fact: _Fact, at: int) -> int:
    return min(abs(time - at) for time in fact.times.values())
