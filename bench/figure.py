"""Figures: what was measured, what it is compared with, and what it has to be."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured value. `least` and `most` are what is required of it, `goal` what is wished for."""

    name: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None
    goal: float | None = None
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is within what is required."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )

    def line(self) -> str:
        """For people."""
        wanted = [
            f"{word} {limit:g}"
            for word, limit in (
                ("at least", self.least),
                ("at most", self.most),
                ("goal", self.goal),
            )
            if limit is not None
        ]
        verdict = ("ok  " if self.holds else "MISS") if self.least or self.most else "    "
        text = f"{verdict} {self.name:<46} {self.value:>9.3g} {self.unit:<6}"
        return "  ".join(filter(None, [text, ", ".join(wanted), self.detail])).rstrip()


class Bench(Protocol):
    """One script's way in. `short`: a few rounds of almost nothing, to see that it runs."""

    def __call__(self, *, short: bool) -> Sequence[Figure]: ...


def interleaved(rounds: int, ours: Callable[[], T], bare: Callable[[], T]) -> tuple[list[T], list[T]]:
    """What both gave in each round, A B A B: what else the machine does meets both alike."""
    pairs = [(ours(), bare()) for _ in range(rounds)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
