"""Identifiers: a prefix and 16 hex digits, of which the first eleven are milliseconds since 1970."""

from __future__ import annotations

from typing import Final

EVENT: Final = "evt"
TRACE: Final = "trc"
DELIVERY: Final = "dlv"
RUN: Final = "run"

TAIL_BITS: Final = 20


def make_id(prefix: str, at_ms: int, tail: int) -> str:
    """`prefix_` + 44 bits of time + 20 bits of `tail`. Sorts by time; 44 bits last until the year 2527."""
    return f"{prefix}_{(at_ms & ((1 << 44) - 1)) << TAIL_BITS | tail & ((1 << TAIL_BITS) - 1):016x}"


def made_at(id: str) -> int | None:
    """When an id was made, in ms since 1970; None if it is not one of ours."""
    _, _, digits = id.partition("_")
    try:
        return int(digits, 16) >> TAIL_BITS if len(digits) == 16 else None
    except ValueError:
        return None


class IdSequence:
    """Grows strictly, also within one millisecond and when the clock steps back.

    `seed` (random) keeps two processes of one home from meeting in the same millisecond.
    """

    __slots__ = ("_last", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed & ((1 << TAIL_BITS) - 1)
        self._last = 0

    def next(self, prefix: str, at_ms: int) -> str:
        """The next id at `at_ms` (milliseconds since 1970)."""
        value = max(self._last + 1, at_ms << TAIL_BITS | self._seed)
        self._last = value
        return make_id(prefix, value >> TAIL_BITS, value)
