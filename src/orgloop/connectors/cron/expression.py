"""Five cron fields: checked one by one, and written as cronsim reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from cronsim import CronSim, CronSimError

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBER: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_NTH: Final = re.compile(r"(?P<day>\w+)#(?P<nth>[1-5])", re.ASCII)
_LAST: Final = re.compile(r"(?P<day>\w+)L", re.ASCII)
_TO: Final = "\N{EN DASH}"
_SOME_TIME: Final = datetime(2024, 1, 1, tzinfo=UTC)
_YEAR: Final = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One of the five: what it is called, its values, and a longer interval than it can say."""

    name: str
    low: int
    high: int
    whole: str
    names: Sequence[str] = ()
    unit: str = ""
    """Of an interval: `every 90m`."""

    @property
    def size(self) -> int:
        """How many different values there are; Sunday is 0 and 7."""
        return 7 if self is DAY_OF_WEEK else self.high - self.low + 1

    def value(self, text: str) -> int:
        """The number of one value. Raises ValueError."""
        if text in self.names:
            return self.names.index(text) + self.low
        if text[:3] in self.names and text.isalpha():
            raise ValueError(f"{text!r} is not {self.a_name}: write {text[:3]}")
        number = int(text) if _NUMBER.fullmatch(text) else -1
        if not self.low <= number <= self.high:
            ends = f"{self.low}{_TO}{self.high}"
            ends += f", or {self.names[0]}{_TO}{self.names[-1]}" if self.names else ""
            raise ValueError(f"{text!r} is not {self.a_name} ({ends})")
        return number

    @property
    def a_name(self) -> str:
        """The name with its article."""
        return f"an {self.name}" if self.name == "hour" else f"a {self.name}"


MINUTE: Final = Field(name="minute", low=0, high=59, whole="the 60 minutes of an hour", unit="m")
HOUR: Final = Field(name="hour", low=0, high=23, whole="the 24 hours of a day", unit="h")
DAY_OF_MONTH: Final = Field(name="day of the month", low=1, high=31, whole="the 31 days of a month", unit="d")
MONTH: Final = Field(name="month", low=1, high=12, whole="the 12 months of a year", names=_MONTHS)
DAY_OF_WEEK: Final = Field(
    name="day of the week", low=0, high=7, whole="the 7 days of a week", names=_DAYS, unit="d"
)
FIELDS: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
ORDER: Final = "minute hour day-of-month month day-of-week"


def normalized(text: str) -> str:
    """`text` as cronsim reads it the way that it is meant.

    Raises ValueError: it has not five fields, one of them cannot be read or says something else than
    it seems to, or no date meets all of them.
    """
    parts = text.upper().split()
    if len(parts) == len(FIELDS) + 1:
        raise ValueError(
            f"{text!r} has 6 fields. There is no field for seconds: write 5 fields ({ORDER}), such as "
            f"{' '.join(text.split()[1:])!r}, or an interval such as 'every 30s'"
        )
    if len(parts) != len(FIELDS):
        raise ValueError(
            f"{text!r} is not a cron expression. Expected 5 fields ({ORDER}), such as '0 9 * * MON-FRI', "
            "or an interval such as 'every 5m'"
        )
    try:
        # `*/100,1-7` with a day of the week means: on such a day, if it is the 1st to the 7th.
        both = not parts[4].startswith("*")
        expression = " ".join(
            _list(field, part, alone=not (both and field is DAY_OF_MONTH))
            for field, part in zip(FIELDS, parts, strict=True)
        )
    except ValueError as exc:
        raise ValueError(f"{text!r} is not a cron expression: {exc}") from exc
    try:
        possible = next(CronSim(expression, _SOME_TIME), None)
    except CronSimError:
        # It knows for itself that no month has so many days.
        possible = None
    if possible is None:
        raise ValueError(f"{text!r} never comes: no date meets it")
    return expression


def doubts(text: str) -> str:
    """What a reader of a sound expression should know, as the end of a sentence; empty if nothing."""
    expression = normalized(text)
    day, weekday = expression.split()[2], expression.split()[4]
    if not day.startswith("*") and not weekday.startswith("*"):
        given = text.split()
        meaning = f"comes on each day that matches one of `{given[2]}` and `{given[4]}`"
        if 1 in CronSim(expression, _SOME_TIME).days:
            # A star in front makes it both; it stands for the 1st, so that day must be meant anyway.
            both = " ".join((*given[:2], f"*/100,{given[2]}", *given[3:]))
            return f"{meaning}; for days that match both: write `{both}`"
        return f"{meaning}, not only on days that match both: keep one of them, unless that is meant"
    first = list(islice(CronSim(expression, _SOME_TIME), 2))
    if len(first) == 2 and first[1] - first[0] > _YEAR:
        years = round((first[1] - first[0]).days / 365.25)
        return f"comes about once in {years} years, as on {first[0]:%Y-%m-%d} and {first[1]:%Y-%m-%d}"
    return ""


def _list(field: Field, part: str, *, alone: bool) -> str:
    return ",".join(_term(field, term, alone=alone) for term in part.split(","))


def _term(field: Field, term: str, *, alone: bool) -> str:
    """One part of a list. `alone`: whether a step beyond the field's values could only be a slip."""
    if term == "?":
        raise ValueError("'?' is of another kind of cron: write *")
    base, slash, step = term.partition("/")
    if slash and (not _NUMBER.fullmatch(step) or int(step) == 0):
        raise ValueError(f"{step!r} in {term!r} is not a step: write a number from 1 to {field.size}")
    by = int(step) if slash else None
    if base == "*":
        if by is not None and by > field.size and alone:
            raise ValueError(_too_far(field, term, by))
        return term
    if field is DAY_OF_MONTH and base in ("L", "LW") and by is None:
        return term
    if field is DAY_OF_WEEK and by is None and (special := _NTH.fullmatch(term) or _LAST.fullmatch(term)):
        day = field.value(special["day"])
        return f"{day % 7}{term[len(special['day']) :]}"
    begin, dash, end = base.partition("-")
    low = field.value(begin)
    if not dash:
        if by is not None and by > field.size and alone:
            raise ValueError(_too_far(field, term, by, low))
        return str(low) if by is None else f"{low}-{_last(field)}/{by}" if low < _last(field) else str(low)
    high = field.value(end)
    return _range(field, term, low, high, by)


def _last(field: Field) -> int:
    return 6 if field is DAY_OF_WEEK else field.high


def _range(field: Field, term: str, low: int, high: int, by: int | None) -> str:
    if field is DAY_OF_WEEK:
        low, high = low % 7, high if high > low else high % 7
    if high < low and field is not DAY_OF_WEEK:
        halves = f"{term.partition('-')[0]}-{field.high},{field.low}-{high}"
        raise ValueError(f"the range {term!r} goes down: write {halves}")
    values = range(low, (high if high >= low else high + 7) + 1)
    if by is not None and len(values) > 1 and by > len(values) - 1:
        raise ValueError(f"the step {by} in {term!r} is longer than its range: write {low}")
    values = values[:: by or 1]
    if field is not DAY_OF_WEEK:
        return term if by is None and term[0].isdigit() else ",".join(map(str, values))
    return ",".join(str(value) for value in sorted({value % 7 for value in values}))


def _too_far(field: Field, term: str, by: int, low: int | None = None) -> str:
    first = field.low if low is None else low
    meaning = f"the step {by} in {term!r} is larger than {field.whole}, so it would mean {first} only"
    advice = f"write 'every {by}{field.unit}' for an interval" if field.unit else "name the months"
    return f"{meaning}: {advice}, or {first}"
