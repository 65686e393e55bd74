"""Five cron fields: checked one by one, and written as cronsim reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
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
_ONLY_FIRST: Final = re.compile(r"\*/(?:3[1-9]|[4-9][0-9]|[1-9][0-9]{2,3})")
_WEEKS: Final = {f"{7 * nth - 6}-{7 * nth}": nth for nth in range(1, 5)}
"""Days of the month in which each day of the week is for the first, second, third or fourth time."""

_LONGEST: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, from 1."""

_OTHER_INTERVAL: Final = re.compile(
    r"(?:@?every |rate\()? ?(?P<amount>[0-9]{1,6}) ?(?P<unit>[smhd]?)[a-z]{0,6}\)?", re.IGNORECASE
)
_HOURS: Final = re.compile(r"(?:@?every )?([0-9]{1,3})h ?([0-9]{1,2})m", re.IGNORECASE)
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=(?P<name>\S+) ")
_WRAPPED: Final = re.compile(r"cron\((?P<inner>[^()]*)\)", re.IGNORECASE)
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
    if len(parts) != len(FIELDS):
        raise ValueError(f"{text!r} {_not_five(text)}")
    try:
        expression = _checked(parts)
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


def _checked(parts: Sequence[str]) -> str:
    """Five fields as cronsim reads them. Raises ValueError."""
    # `*/100,1-7` with a day of the week means: on such a day, if it is the 1st to the 7th.
    both = not parts[4].startswith("*")
    return " ".join(
        _list(field, part, alone=not (both and field is DAY_OF_MONTH))
        for field, part in zip(FIELDS, parts, strict=True)
    )


def _not_five(text: str) -> str:
    """What is wrong with text that has not five fields, with the right form if it can be told."""
    if hours := _HOURS.fullmatch(text):
        return f"is not an interval: write 'every {int(hours[1]) * 60 + int(hours[2])}m'"
    if interval := _OTHER_INTERVAL.fullmatch(text):
        return f"is not an interval: write 'every {int(interval['amount'])}{interval['unit'].lower() or 'm'}'"
    if zone := _ZONE.match(text):
        return f"has a time zone in it: write it as `timezone: {zone['name']}`, with the 5 fields alone here"
    wrapped = _WRAPPED.fullmatch(text)
    parts = (wrapped["inner"] if wrapped else text).replace("?", "*").split()
    # Seconds stand in front, and a year, a user or a command behind.
    readings = [(1, 6, "seconds"), (0, 5, "a year or a command"), (1, 6, "seconds and a year")]
    for begin, end, extra in readings[1:] if wrapped else readings:
        if len(parts) not in (6, 7) or (len(parts) == 7 and extra != "seconds and a year"):
            continue
        try:
            _checked([part.upper() for part in parts[begin:end]])
        except ValueError:
            continue
        right = " ".join(parts[begin:end])
        also = ", or an interval such as 'every 30s'" if begin else ""
        return f"has {len(parts)} fields. There is no field for {extra}: write {right!r}{also}"
    return (
        f"is not a cron expression. Expected 5 fields ({ORDER}), such as '0 9 * * MON-FRI', "
        "or an interval such as 'every 5m'"
    )


def doubts(text: str) -> str:
    """What a reader of a sound expression should know, as the end of a sentence; empty if nothing."""
    expression, given = normalized(text), text.split()
    fields = expression.split()
    day, weekday = fields[2], fields[4]
    if day != "*" and weekday != "*" and (said := _days(given, fields)):
        return said
    first = list(islice(CronSim(expression, _SOME_TIME), 2))
    if len(first) == 2 and first[1] - first[0] > _YEAR:
        years = round((first[1] - first[0]).days / 365.25)
        return f"comes about once in {years} years, as on {first[0]:%Y-%m-%d} and {first[1]:%Y-%m-%d}"
    return ""


def _days(given: Sequence[str], fields: Sequence[str]) -> str:
    """What to know where both day fields say something."""
    (minute, hour, day, month, weekday), parsed = given, CronSim(" ".join(fields), _SOME_TIME)
    # A star in front makes it both; `*/100` stands for the 1st, and is there for the star alone.
    plain = ",".join(one for one in day.split(",") if not _ONLY_FIRST.fullmatch(one)) or "1"
    if day.startswith("*") or weekday.startswith("*"):
        every = {"*/1", "*"}
        if plain != day or day in every or weekday in every:
            return ""
        either = ",".join(one.replace("*", "1-31") for one in plain.split(","))
        other = weekday.replace("*", "0-6")
        return (
            f"comes only on days that match both `{day}` and `{weekday}`; for days that match either: "
            f"write `{minute} {hour} {either} {month} {other}`"
        )
    if len({one % 7 for one in parsed.weekdays if isinstance(one, int)}) == DAY_OF_WEEK.size:
        return f"comes every day, as `{weekday}` is every day: write `{minute} {hour} {plain} {month} *`"
    if set(range(1, 32)) <= parsed.days:
        return f"comes every day, as `{day}` is every day: write `{minute} {hour} * {month} {weekday}`"
    meaning = f"comes on each day that matches `{day}` or `{weekday}`"
    nth = _WEEKS.get(fields[2])
    if nth is not None and fields[4].isdigit():
        return f"{meaning}; for days that match both: write `{minute} {hour} * {month} {weekday}#{nth}`"
    if 1 in parsed.days:
        both = f"{minute} {hour} */100,{plain} {month} {weekday}"
        with suppress(ValueError):
            normalized(both)
            return f"{meaning}; for days that match both: write `{both}`"
    if not any(one <= _LONGEST[number] for one in parsed.days for number in parsed.months):
        alone = f"{minute} {hour} * {month} {weekday}"
        return f"comes on `{weekday}` only, as no such month has a day {day}: write `{alone}`"
    return f"{meaning}, and cron has no form for both: keep one of them, unless you mean either"


def _list(field: Field, part: str, *, alone: bool) -> str:
    terms = part.split(",")
    first = ("*", str(field.low))
    if len(terms) > 1 and alone:
        for term in terms:
            base, _, step = term.partition("/")
            if base == "*" and _NUMBER.fullmatch(step) and int(step) > field.size:
                others = [other for other in terms if other != term]
                has_first = any(other.partition("-")[0].partition("/")[0] in first for other in others)
                right = ",".join(others if has_first else [str(field.low), *others])
                raise ValueError(f"{term!r} in a list means {field.low} only: write {right}")
    return ",".join(_term(field, term, alone=alone) for term in terms)


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
