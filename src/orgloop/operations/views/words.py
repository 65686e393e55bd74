"""Words of which sentences for people are made: moments and ages in the local time zone, numbers, costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from orgloop.core.text.units import DAY, HOUR, MINUTE, SECOND, UnitError, parse_duration
from orgloop.errors import Refused

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""Colours, movements of the cursor, titles and links, as programs write them for a terminal."""


_TIME_OF_DAY: Final = re.compile(r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]")


def moment(at: int, now: int) -> str:
    """The time of day, with the date if that is not today's."""
    shown = _local(at)
    return f"{shown:%H:%M:%S}" if shown.date() == _local(now).date() else f"{shown:%Y-%m-%d %H:%M:%S}"


def short_moment(at: int, now: int) -> str:
    """`07:12` today, `Mon 07:12` within a week, else `2026-01-05`: never more than ten characters."""
    shown = _local(at)
    days = abs((shown.date() - _local(now).date()).days)
    if days == 0:
        return f"{shown:%H:%M}"
    return f"{shown:%a %H:%M}" if days < 7 else f"{shown:%Y-%m-%d}"


def age(at: int, now: int) -> str:
    """How long ago, in one unit: `now`, `45s`, `5m`, `3h`, `2d`."""
    ms = now - at
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
        if ms >= size:
            return f"{ms // size}{unit}"
    return "now"


def ago(at: int, now: int) -> str:
    """`5m ago`."""
    age_text = age(at, now)
    return age_text if age_text == "now" else f"{age_text} ago"


def until_of(text: str, now: int, option: str) -> int:
    """What `--until` means: a duration from `now` on, a time of day, or a date or time of ISO 8601.

    Raises Refused, also for what is over.
    """
    try:
        return now + parse_duration(text)
    except UnitError as exc:
        try:
            at = _next_moment(text, now)
        except ValueError:
            raise Refused(
                f"{option} {text!r} is neither a duration nor a time",
                hint=f"for example {option} 2h, {option} 07:00 or {option} 2026-01-05T08:00",
            ) from exc
    if at <= now:
        raise Refused(f"{option} {text!r} is over already", hint="name a time that is to come")
    return at


def _next_moment(text: str, now: int) -> int:
    if _TIME_OF_DAY.fullmatch(text):
        today = _local(now)
        hour, minute = map(int, text.split(":"))
        at = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if at <= today:
            at = (at + timedelta(days=1)).replace(tzinfo=None).astimezone()
        return int(at.timestamp() * 1000)
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def since_of(text: str, now: int, option: str = "--since") -> int:
    """What `--since` means: a duration back from `now`, or a date or time of ISO 8601. Raises Refused."""
    try:
        return now - parse_duration(text)
    except UnitError as exc:
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            raise Refused(
                f"{option} {text!r} is neither a duration nor a date",
                hint=f"for example {option} 30m, {option} 2d or {option} 2026-01-05T08:00",
            ) from exc
    return int(given.astimezone(UTC).timestamp() * 1000)


def state_words(state: str, reason: str) -> str:
    """`held (no_sop)`."""
    return f"{state} ({reason})" if reason else str(state)


def dollars(cost: float | None) -> str:
    """`$0.12`; four digits below a cent; empty if nobody knows."""
    if cost is None:
        return ""
    return f"${cost:.2f}" if cost >= 0.01 or cost == 0 else f"${cost:.4f}"


def one_line(text: str) -> str:
    """The text with every run of white space as one space, and nothing that a terminal would obey."""
    shown = _ESCAPES.sub(
        lambda found: "" if found[0].startswith("\x1b]") or found[0][-1] == "m" else " ", text
    )
    return " ".join("".join(char if char.isprintable() else " " for char in shown).split())


def counted(number: int, one: str, many: str = "") -> str:
    """`1 error`, `2 errors`, `no errors`."""
    word = one if number == 1 else many or f"{one}s"
    return f"{number or 'no'} {word}"


def _local(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone()
