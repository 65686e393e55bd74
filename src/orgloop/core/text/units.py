"""Durations, sizes and rates as the configuration writes them, and durations as people read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

MAX_DURATION: Final = 36_525 * DAY
"""A hundred years, in milliseconds. Beyond it, dates computed from a duration stop being dates."""

MAX_SIZE: Final = 1024**5
"""One petabyte, in bytes."""

MAX_RATE: Final = 1_000_000_000

_DURATION_UNITS: Final = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
_SIZE_UNITS: Final = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_RATE_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR}

_DURATION: Final = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KB|MB|GB)", re.IGNORECASE | re.ASCII)
_RATE: Final = re.compile(r"([0-9]+)/(s|m|h)")

# Far above every limit here, and below the length at which Python refuses to read an integer.
_MAX_TEXT: Final = 100


class UnitError(ValueError):
    """A duration, size or rate cannot be read. The message shows the text and a form that works."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most `count` things (1 or more) in any `per_ms` milliseconds."""

    count: int
    per_ms: int

    def __str__(self) -> str:
        """The form that `parse_rate` reads, such as `100/s`."""
        unit = next((name for name, ms in _RATE_UNITS.items() if ms == self.per_ms), f"{self.per_ms}ms")
        return f"{self.count}/{unit}"


def parse_duration(text: str) -> int:
    """Milliseconds of `30s`, `5m` and the like: whole numbers of ms, s, m, h or d, no space, lower case.

    Raises UnitError if the text has another form or means more than 100 years.
    """
    found = _DURATION.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise UnitError(
            f"{_shown(text)} is not a duration: write a whole number and one of ms, s, m, h, d "
            "without a space, such as 30s, 5m or 7d"
        )
    duration = int(found[1]) * _DURATION_UNITS[found[2]]
    if duration > MAX_DURATION:
        raise UnitError(f"{_shown(text)} is longer than 100 years: write at most 36525d")
    return duration


def format_duration(ms: int) -> str:
    """The shortest text that `parse_duration` reads back as exactly `ms`: 300000 is `5m`, 0 is `0s`.

    Raises UnitError if `ms` is negative or more than 100 years.
    """
    if not 0 <= ms <= MAX_DURATION:
        raise UnitError(f"{ms} ms is not a duration: it must lie between 0 and 100 years")
    if ms == 0:
        return "0s"
    unit, size = next((unit, size) for unit, size in _DURATION_UNITS.items() if ms % size == 0)
    return f"{ms // size}{unit}"


def humanize(ms: int) -> str:
    """A duration for display, in its two largest units, rounded down: `340ms`, `2.5s`, `2m 05s`, `1d 3h`.

    Any integer is shown; a negative one with a minus sign. Not meant to be read back.
    """
    if ms < 0:
        return f"-{humanize(-ms)}"
    if ms < SECOND:
        return f"{ms}ms"
    if ms < 10 * SECOND and ms % SECOND >= 100:
        return f"{ms // SECOND}.{ms % SECOND // 100}s"
    if ms < MINUTE:
        return f"{ms // SECOND}s"
    if ms < HOUR:
        return _pair(ms // MINUTE, "m", f"{ms % MINUTE // SECOND:02}s")
    if ms < DAY:
        return _pair(ms // HOUR, "h", f"{ms % HOUR // MINUTE:02}m")
    return _pair(ms // DAY, "d", f"{ms % DAY // HOUR}h")


def parse_size(text: str) -> int:
    """Bytes of `512B`, `1.5 KB`, `100MB`, `2gb`: powers of 1024; a part of a byte is dropped.

    Raises UnitError if the text has another form or means more than 1024 TB.
    """
    found = _SIZE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise UnitError(
            f"{_shown(text)} is not a size: write a number and one of B, KB, MB, GB, such as 512KB or 1.5 GB"
        )
    size = int(Fraction(found[1]) * _SIZE_UNITS[found[2].upper()])
    if size > MAX_SIZE:
        raise UnitError(f"{_shown(text)} is too large: write at most {MAX_SIZE // 1024**3}GB")
    return size


def format_size(size: int) -> str:
    """A number of bytes for people, in its largest unit: `512 KB`, `1.5 GB`."""
    unit, factor = next(
        ((unit, factor) for unit, factor in reversed(_SIZE_UNITS.items()) if size >= factor), ("B", 1)
    )
    return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"


def parse_rate(text: str) -> Rate:
    """The rate of `100/s`, `60/m` or `10/h`.

    Raises UnitError if the text has another form, or the count is 0 or above a thousand million.
    """
    found = _RATE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise UnitError(
            f"{_shown(text)} is not a rate: write a whole number, a slash and one of s, m, h, "
            "such as 100/s, 60/m or 10/h"
        )
    count = int(found[1])
    if not 1 <= count <= MAX_RATE:
        raise UnitError(f"{_shown(text)} is not a usable rate: the number must lie between 1 and {MAX_RATE}")
    return Rate(count=count, per_ms=_RATE_UNITS[found[2]])


def _pair(large: int, unit: str, small: str) -> str:
    return f"{large}{unit} {small}" if small.strip("0hms") else f"{large}{unit}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
