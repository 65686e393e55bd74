"""When schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orgloop.connectors.cron.rule import MOST_COUNTED, Calendar, Every, Ticks, doubts, parse_rule
from orgloop.plugin.zone import zone_named

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = 366 * 86_400_000
ZONES = [zone_named(n) for n in ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Kolkata")]
EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0,30 1-3 * * *",
    "15 */6 * * MON-FRI",
    "0 9 1 * *",
    "0 0 13 * FRI",
    "59 23 31 12 *",
    "0 0 29 2 *",
    "every 1s",
    "90m",
    "every 10d",
]


def ms(text: str, zone: ZoneInfo | None = None) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()) * 1000


def ticks(text: str, start: str, count: int, zone: ZoneInfo | None = None) -> list[str]:
    rule, at, found = parse_rule(text, zone or UTC), ms(start, zone), []
    for _ in range(count):
        tick = rule.after(at)
        assert tick is not None
        at = tick
        found.append(datetime.fromtimestamp(at // 1000, zone or UTC).isoformat(timespec="minutes"))
    return [text.removesuffix("+00:00") for text in found]


rules = st.builds(parse_rule, st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES))
# From 2020 to 2030, not always on whole seconds.
times = st.integers(1_577_836_800_000, 1_893_456_000_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/15 9 * * *", ["2026-01-06T09:00", "2026-01-06T09:15"]),
        ("0 9 * * MON-FRI", ["2026-01-06T09:00", "2026-01-07T09:00"]),
        ("0 9 * jan,jul sun", ["2026-01-11T09:00", "2026-01-18T09:00"]),
        ("0 9 * * 0", ["2026-01-11T09:00", "2026-01-18T09:00"]),
        ("0 9 * * 7", ["2026-01-11T09:00", "2026-01-18T09:00"]),
        ("5/20 12 * * *", ["2026-01-05T12:05", "2026-01-05T12:25"]),
        ("@hourly", ["2026-01-05T13:00", "2026-01-05T14:00"]),
        ("@daily", ["2026-01-06T00:00", "2026-01-07T00:00"]),
        ("@MIDNIGHT", ["2026-01-06T00:00", "2026-01-07T00:00"]),
        ("@weekly", ["2026-01-11T00:00", "2026-01-18T00:00"]),
        ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("@annually", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        (" 0  9 * *  1 ", ["2026-01-12T09:00", "2026-01-19T09:00"]),
        ("0 9 * * SAT-SUN", ["2026-01-10T09:00", "2026-01-11T09:00"]),
        ("0 9 * * sat-sun", ["2026-01-10T09:00", "2026-01-11T09:00"]),
        ("0 9 * * FRI-SUN", ["2026-01-09T09:00", "2026-01-10T09:00"]),
        ("0 9 * * 5-7", ["2026-01-09T09:00", "2026-01-10T09:00"]),
        ("0 9 * * MON-SUN", ["2026-01-06T09:00", "2026-01-07T09:00"]),
        ("0 9 * * 0-7", ["2026-01-06T09:00", "2026-01-07T09:00"]),
        ("0 9 * * 7-7", ["2026-01-11T09:00", "2026-01-18T09:00"]),
        ("0 9 * * 7-1", ["2026-01-11T09:00", "2026-01-12T09:00"]),
        ("0 9 * * SUN-TUE/2", ["2026-01-06T09:00", "2026-01-11T09:00"]),
        ("0 9 * * FRI-MON/3", ["2026-01-09T09:00", "2026-01-12T09:00"]),
        ("0 9 * * SAT-SUN,WED", ["2026-01-07T09:00", "2026-01-10T09:00"]),
        ("0 9 */100,1-7 * MON", ["2026-02-02T09:00", "2026-03-02T09:00"]),
        ("0 9 * * MON#2", ["2026-01-12T09:00", "2026-02-09T09:00"]),
        ("0 9 * * FRIL", ["2026-01-30T09:00", "2026-02-27T09:00"]),
        ("0 9 LW * *", ["2026-01-30T09:00", "2026-02-27T09:00"]),
        ("*/60 * * * *", ["2026-01-05T13:00", "2026-01-05T14:00"]),
        ("0 9 * Jan-MAR *", ["2026-01-06T09:00", "2026-01-07T09:00"]),
        ("every 5m", ["2026-01-05T12:05", "2026-01-05T12:10"]),
        ("Every 2H", ["2026-01-05T14:00", "2026-01-05T16:00"]),
        ("5m", ["2026-01-05T12:05", "2026-01-05T12:10"]),
    ],
)
def test_the_next_ticks_of_a_rule(text: str, expected: list[str]) -> None:
    assert ticks(text, "2026-01-05T12:00", 2) == expected


def test_day_of_month_and_day_of_week_are_either_or() -> None:
    expected = ["2026-01-09T00:00", "2026-01-13T00:00", "2026-01-16T00:00"]
    assert ticks("0 0 13 * FRI", "2026-01-05T12:00", 3) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("* * * *", "Expected 5 fields"),
        ("0 0 9 * * *", "6 fields.*seconds.*'0 9 . . .'"),
        ("0 0 9 * * * 2026", "7 fields.*a year: write '0 9 . . .'"),
        ("", "Expected 5 fields"),
        ("5 m", "write 'every 5m'"),
        ("60 * * * *", "'60' is not a minute (0"),
        ("* 24 * * *", "'24' is not an hour (0"),
        ("* * 0 * *", "'0' is not a day of the month"),
        ("* * * 13 *", "'13' is not a month"),
        ("* * * * 8", "'8' is not a day of the week"),
        ("* 22-2 * * *", "write 22-23,0-2"),
        ("* * * NOV-FEB *", "write NOV-12,1-2"),
        ("* * * * MONDAY", "write MON"),
        ("* * ? * MON", "write *"),
        ("* * * * FRI#6", "'FRI#6' is not a day of the week"),
        ("*/90 * * * *", "write 'every 90m'"),
        ("*/61 * * * *", "write 'every 61m'"),
        ("0/90 * * * *", "write 'every 90m'"),
        ("*/90,5 * * * *", "write 0,5"),
        ("0 */36 * * *", "write 'every 36h'"),
        ("0 2/25 * * *", "2 only"),
        ("0 0 */40 * *", "write 'every 40d'"),
        ("0 0 */100,1-7 * *", "write 1-7"),
        ("0 0 1 */13 *", "name the months"),
        ("0 0 * * */8", "write 'every 8d'"),
        ("0-30/45 * * * *", "longer than its range: write 0"),
        ("0 0 * * MON-FRI/5", "longer than its range: write 1"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,SEP,11 *", "never comes"),
        ("5x * * * *", "'5X' is not a minute"),
        ("*/0 * * * *", "is not a step"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 */10 2 MON#5", "never comes"),
        ("@reboot", "is not known: use one of @yearly"),
        ("@every 5m", "write 'every 5m'"),
        ("every 5 minutes", "write 'every 5m'"),
        ("1h30m", "write 'every 90m'"),
        ("every 90", "write 'every 90m'"),
        ("rate(2 hours)", "write 'every 2h'"),
        ("cron(0 9 * * ? *)", "write '0 9 . . .'"),
        ("0 9 * * MON 2026", "a year or a command: write '0 9 . . MON'"),
        ("*/5 * * * * /bin/x", "a year or a command: write './5 . . . .'"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "timezone: Asia/Tokyo"),
        ("every 5min", "is not a duration"),
        ("500ms", "at least 1s"),
        ("0s", "at least 1s"),
        ("1," * 200, "longer than 200 characters"),
    ],
)
def test_what_is_no_rule_says_why(text: str, complaint: str) -> None:
    with pytest.raises(
        ValueError, match=complaint.replace("write *", r"write \*").replace("(", r"\(").replace(")", r"\)")
    ):
        parse_rule(text, UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 13 * FRI", "no form for both: keep one of them"),
        ("0 0 30 2 MON", "write `0 0 * 2 MON`"),
        ("0 0 1 * 1-7", "write `0 0 1 * *`"),
        ("0 0 1-31 * MON", "write `0 0 * * MON`"),
        ("0 0 */100,1 * MON", ""),
        ("0 0 */100 * MON", ""),
        ("0 0 */1 * MON", ""),
        ("0 0 29 2 *", "once in 4 years, as on 2024-02-29 and 2028-02-29"),
        ("0 9 1-7 * MON", "write `0 9 * * MON#1`"),
        ("0 9 15-21 * 5", "write `0 9 * * 5#3`"),
        ("0 9 1 * MON", "write `0 9 */100,1 * MON`"),
        ("0 9 1-7,*/100 * MON,TUE", "write `0 9 */100,1-7 * MON,TUE`"),
        ("0 9 */2 * MON", "write `0 9 1-31/2 * MON`"),
        ("0 0 */100,1-7 * FRI", ""),
        ("0 9 * * MON", ""),
        ("0 0 1 1 *", ""),
        ("@yearly", ""),
        ("every 800d", ""),
    ],
)
def test_what_may_mean_something_else_is_told(text: str, said: str) -> None:
    told = doubts(text)
    assert said in told
    assert bool(told) == bool(said)


@pytest.mark.parametrize(
    "weekday", ["MON", "1", "SUN", "MON-FRI", "SAT,SUN", "*/2", "FRI-MON", "0-6", "MON#2"]
)
@pytest.mark.parametrize(
    "day", ["1", "1-7", "8-14", "15-21", "1,15", "13", "2-9", "*/2", "1/3", "L", "1-31", "1-5,*/100", "*/1,1"]
)
def test_the_form_that_is_told_for_two_day_fields_means_what_is_said(day: str, weekday: str) -> None:
    def days(expression: str) -> set[int]:
        rule, at, found = parse_rule(expression, UTC), ms("2024-02-01T00:00"), set()
        while (tick := rule.after(at)) is not None and tick < ms("2024-05-01T00:00"):
            at = tick
            found.add(tick)
        return found

    if "*/100" in day and weekday.startswith("*"):
        with pytest.raises(ValueError, match=r"write 1-5$"):
            doubts(f"0 12 {day} * {weekday}")
        return
    told = doubts(f"0 12 {day} * {weekday}")
    by_day = days(f"0 12 {day.removesuffix(',*/100')} * *")
    by_weekday = days(f"0 12 * * {weekday}")
    form = told.rpartition("write `")[2].removesuffix("`")
    if "match both: write" in told or "is every day" in told:
        assert days(form) == by_day & by_weekday
        assert doubts(form) == ""
    elif "match either: write" in told:
        assert days(form) == by_day | by_weekday
    else:
        assert "write" not in told


@given(st.integers(0, 7), st.integers(0, 7))
def test_a_range_of_days_goes_round_the_week(first: int, last: int) -> None:
    found = ticks(f"0 0 * * {first}-{last}", "2026-01-03T12:00", 7)
    days = {datetime.fromisoformat(one).isoweekday() % 7 for one in found}
    count = 7 if (first, last) == (0, 7) else (last - first) % 7 + 1
    assert days == {(first + n) % 7 for n in range(count)}


@given(st.text("0123456789*/-,#LWMONJAFRI@ every.", max_size=30))
def test_any_text_is_a_rule_or_a_value_error(text: str) -> None:
    try:
        rule = parse_rule(text, BERLIN)
    except ValueError:
        return
    tick = rule.after(0)
    assert tick is not None
    assert tick > 0


def test_a_time_that_a_clock_change_skips_comes_right_after_it() -> None:
    expected = ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]
    assert ticks("30 2 * * *", "2026-03-28T12:00", 2, BERLIN) == expected


def test_a_time_that_a_clock_change_repeats_comes_once() -> None:
    expected = ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    assert ticks("30 2 * * *", "2026-10-24T12:00", 2, BERLIN) == expected


def test_within_a_repeated_hour_the_next_tick_lies_ahead() -> None:
    rule = parse_rule("30 2 * * *", BERLIN)
    second_quarter_past_two = ms("2026-10-25T01:15")
    assert rule.after(second_quarter_past_two) == ms("2026-10-26T01:30")


def test_wildcards_follow_the_hours_as_they_pass() -> None:
    expected = ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]
    assert ticks("0 * * * *", "2026-10-25T01:30", 3, BERLIN) == expected
    expected = ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]
    assert ticks("0 * * * *", "2026-03-29T00:30", 2, BERLIN) == expected


@given(rules, times)
def test_the_next_tick_lies_ahead(rule: Ticks, at: int) -> None:
    tick = rule.after(at)
    assert tick is not None
    assert tick > at
    assert isinstance(rule, Every) or tick % 60_000 == 0


@given(rules, times, st.integers(0, 3 * YEAR))
def test_the_latest_tick_is_the_last_one_until_then(rule: Ticks, at: int, span: int) -> None:
    until = at + span
    latest = rule.latest(at, until)
    following = rule.after(at)
    assert following is not None
    if latest is None:
        assert following > until
    else:
        assert following <= latest <= until
        assert (next_tick := rule.after(latest)) is not None
        assert next_tick > until


@given(rules, times, st.integers(0, 40))
def test_ticks_are_counted_one_by_one(rule: Ticks, at: int, count: int) -> None:
    tick = at
    for _ in range(count):
        following = rule.after(tick)
        assert following is not None
        tick = following
    assert rule.count(at, tick) == count
    assert rule.latest(at, tick) == (tick if count else None)


@given(rules, times, times)
def test_the_next_tick_never_steps_back(rule: Ticks, one: int, other: int) -> None:
    assume(isinstance(rule, Calendar))
    first, second = rule.after(min(one, other)), rule.after(max(one, other))
    assert first is not None
    assert second is not None
    assert first <= second


def test_years_of_minutes_are_not_counted_to_the_end() -> None:
    rule = parse_rule("* * * * *", BERLIN)
    assert rule.count(0, ms("2026-01-05T12:00")) == MOST_COUNTED
    assert rule.latest(0, ms("2026-01-05T12:00:30")) == ms("2026-01-05T12:00")
    assert parse_rule("1s", UTC).count(0, ms("2026-01-05T12:00")) == MOST_COUNTED


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("every 30s", [120] * 24),
        ("every 2h", [0] * 24),
        ("*/15 9,17 * * MON", [4 if hour in (9, 17) else 0 for hour in range(24)]),
        ("@hourly", [1] * 24),
    ],
)
def test_how_many_ticks_an_hour_of_the_day_has_at_most(text: str, hours: list[int]) -> None:
    assert list(parse_rule(text, UTC).by_hour()) == hours
