"""When a schedule is due. Times are whole milliseconds since 1970; a tick is one of them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, Protocol

from cronsim import CronSim

from orgloop.connectors.cron.expression import doubts as doubts_of
from orgloop.connectors.cron.expression import normalized
from orgloop.plugin import (
    HOUR,
    SECOND,
    parse_duration,
)

MOST_COUNTED: Final = 1000
"""Missed ticks are counted up to here."""

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_INTERVAL: Final = re.compile(r"(?:every\s+)?([0-9]+[a-z]+)", re.IGNORECASE)
_LONGEST: Final = 200


class Ticks(Protocol):
    """A set of ticks."""

    def after(self, at: int) -> int | None:
        """The first tick later than `at`; None if there is none within 50 years."""
        ...

    def latest(self, after: int, until: int) -> int | None:
        """The last tick later than `after` and not later than `until`, if any."""
        ...

    def count(self, after: int, until: int) -> int:
        """How many ticks are later than `after` and not later than `until`, at most MOST_COUNTED."""
        ...

    def by_hour(self) -> Sequence[int]:
        """How many ticks there are at most in each of the 24 hours of a day."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Every:
    """A tick each `ms` milliseconds, counted from the tick before."""

    ms: int

    def after(self, at: int) -> int:
        return at + self.ms

    def latest(self, after: int, until: int) -> int | None:
        ticks = (until - after) // self.ms
        return after + ticks * self.ms if ticks > 0 else None

    def count(self, after: int, until: int) -> int:
        return min(max((until - after) // self.ms, 0), MOST_COUNTED)

    def by_hour(self) -> Sequence[int]:
        # What comes less often than once an hour still comes in some hour, but nobody knows in which.
        return (HOUR // self.ms,) * 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Calendar:
    """The minutes that a cron expression names, in `zone`.

    A time that a clock change skips comes right after the change, one that it repeats comes once;
    expressions with `*` as minute or hour follow the hours as they pass.
    """

    expression: str
    zone: tzinfo

    def after(self, at: int) -> int | None:
        ticks = CronSim(self.expression, datetime.fromtimestamp(at // SECOND, self.zone))
        # A clock change can make the next local time one that has been already.
        return next((ms for tick in ticks if (ms := int(tick.timestamp()) * SECOND) > at), None)

    def latest(self, after: int, until: int) -> int | None:
        if not self._any(after, until):
            return None
        # The last second after which there still is a tick, found by halving: years pass as fast as hours.
        seconds = range(after // SECOND, until // SECOND + 1)
        index = bisect_left(seconds, 1, key=lambda second: 0 if self._any(second * SECOND, until) else 1)
        return self.after(max(after, seconds[max(index - 1, 0)] * SECOND))

    def count(self, after: int, until: int) -> int:
        found = 0
        tick = self.after(after)
        while tick is not None and tick <= until and found < MOST_COUNTED:
            found += 1
            tick = self.after(tick)
        return found

    def by_hour(self) -> Sequence[int]:
        parsed = CronSim(self.expression, datetime.fromtimestamp(0, self.zone))
        return tuple(len(parsed.minutes) if hour in parsed.hours else 0 for hour in range(24))

    def _any(self, after: int, until: int) -> bool:
        tick = self.after(after)
        return tick is not None and tick <= until


def parse_rule(text: str, zone: tzinfo) -> Ticks:
    """The rule of `every 5m`, `5m`, `@daily` or five cron fields.

    Raises ValueError: it cannot be read, is shorter than a second, or no date ever meets it.
    """
    plain = " ".join(text.split())
    if len(plain) > _LONGEST:
        raise ValueError(f"the expression is longer than {_LONGEST} characters: use several schedules")
    if found := _INTERVAL.fullmatch(plain):
        return _every(found[1].lower())
    if plain.startswith("@") and not plain.lower().startswith("@every "):
        if plain.lower() not in _ALIASES:
            raise ValueError(f"{plain!r} is not known: use one of {', '.join(_ALIASES)}, or five fields")
        plain = _ALIASES[plain.lower()]
    return Calendar(expression=normalized(plain), zone=zone)


def _every(duration: str) -> Every:
    ms = parse_duration(duration)
    if ms < SECOND:
        raise ValueError("an interval is at least 1s")
    return Every(ms=ms)


def doubts(text: str) -> str:
    """What the author of a sound rule should know of it, as the end of a sentence; empty if nothing."""
    plain = " ".join(text.split())
    return "" if _INTERVAL.fullmatch(plain) or plain.startswith("@") else doubts_of(plain)
