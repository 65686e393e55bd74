"""Moments and ages as people read them, in the local time zone."""

from __future__ import annotations

from datetime import UTC, datetime

from orgloop.core.units import DAY, humanize


def clock(at: int) -> str:
    """Milliseconds since 1970 as the time of day."""
    return f"{datetime.fromtimestamp(at / 1000, UTC).astimezone():%H:%M:%S}"


def moment(at: int, now: int) -> str:
    """The time of day; with the date if that is not within the last day."""
    shown = datetime.fromtimestamp(at / 1000, UTC).astimezone()
    return f"{shown:%H:%M:%S}" if now - at < DAY else f"{shown:%Y-%m-%d %H:%M}"


def ago(at: int, now: int) -> str:
    """`5m ago`."""
    return f"{humanize(max(0, now - at))} ago"
