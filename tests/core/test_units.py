"""Durations, sizes and rates: what is read, what is refused, and that both ways agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.text.units import (
    DAY,
    HOUR,
    MAX_DURATION,
    MAX_RATE,
    MAX_SIZE,
    MINUTE,
    Rate,
    UnitError,
    format_duration,
    humanize,
    parse_duration,
    parse_rate,
    parse_size,
)

SIZES = {"ms": 1, "s": 1000, "m": MINUTE, "h": HOUR, "d": DAY}

durations = st.integers(0, MAX_DURATION) | st.builds(
    lambda count, size: count * size, st.integers(0, 99), st.sampled_from(list(SIZES.values()))
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0s", 0),
        ("0ms", 0),
        ("1ms", 1),
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("05m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("36525d", MAX_DURATION),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        " 5m",
        "5m ",
        "5m\n",
        "5M",
        "5MS",
        "1.5h",
        "-5m",
        "+5m",
        "5w",
        "1h30m",
        "1_000s",
        "\u0665m",
    ],
)
def test_another_form_is_refused_with_forms_that_work(text: str) -> None:
    with pytest.raises(UnitError, match=r"write a whole number .* such as 30s, 5m or 7d") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["36526d", "876601h", "9" * 50 + "ms"])
def test_more_than_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="longer than 100 years"):
        parse_duration(text)


@pytest.mark.parametrize(("parse", "unit"), [(parse_duration, "s"), (parse_size, "KB"), (parse_rate, "/s")])
def test_an_endless_number_is_refused_in_a_short_message(parse: Callable[[str], object], unit: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse("9" * 100_000 + unit)
    assert len(str(caught.value)) < 200


@given(durations)
def test_a_formatted_duration_reads_back_as_itself(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@given(durations)
def test_no_single_unit_writes_a_duration_shorter(ms: int) -> None:
    exact = [f"{ms // size}{unit}" for unit, size in SIZES.items() if ms % size == 0]
    assert len(format_duration(ms)) == min(map(len, exact))


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (1_500, "1500ms"),
        (90_000, "90s"),
        (300_000, "5m"),
        (5_400_000, "90m"),
        (DAY, "1d"),
    ],
)
def test_a_duration_is_written_in_its_largest_exact_unit(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize("ms", [-1, MAX_DURATION + 1])
def test_what_is_no_duration_is_not_written(ms: int) -> None:
    with pytest.raises(UnitError, match="between 0 and 100 years"):
        format_duration(ms)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"),
        (340, "340ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (1_099, "1s"),
        (2_540, "2.5s"),
        (9_999, "9.9s"),
        (10_900, "10s"),
        (59_999, "59s"),
        (60_000, "1m"),
        (125_000, "2m 05s"),
        (600_000, "10m"),
        (610_000, "10m 10s"),
        (HOUR - 1, "59m 59s"),
        (HOUR, "1h"),
        (HOUR + 7 * MINUTE, "1h 07m"),
        (DAY - 1, "23h 59m"),
        (DAY, "1d"),
        (DAY + 3 * HOUR + 59 * MINUTE, "1d 3h"),
        (400 * DAY + 10 * HOUR, "400d 10h"),
        (-125_000, "-2m 05s"),
    ],
)
def test_people_read_a_duration_in_its_two_largest_units(ms: int, text: str) -> None:
    assert humanize(ms) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("512B", 512),
        ("1KB", 1024),
        ("1.5 KB", 1536),
        ("100MB", 104_857_600),
        ("2gb", 2_147_483_648),
        ("2 Gb", 2_147_483_648),
        ("0.5B", 0),
        ("0.3KB", 307),
        ("1048576GB", MAX_SIZE),
    ],
)
def test_a_size_counts_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "100", "MB", ".5MB", "1.MB", "-1MB", "1e3B", "1TB", "1KiB", " 1MB", "1MB\n", "1\u212aB", "\u0665MB"],
)
def test_another_form_of_size_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match=r"is not a size: .* such as 512KB"):
        parse_size(text)


def test_a_size_that_no_disk_holds_is_refused() -> None:
    with pytest.raises(UnitError, match="write at most 1048576GB"):
        parse_size("1048576.1GB")


@given(st.integers(0, 2**30))
def test_bytes_read_as_they_are(size: int) -> None:
    assert parse_size(f"{size}B") == size


@given(st.integers(0, 2**20 * 4), st.sampled_from([("KB", 1024), ("MB", 1024**2), ("GB", 1024**3)]))
def test_a_fraction_of_a_unit_is_exact(quarters: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    assert parse_size(f"{quarters / 4}{name}") == quarters * factor // 4


@pytest.mark.parametrize(
    ("text", "count", "per_ms"), [("100/s", 100, 1_000), ("60/m", 60, 60_000), ("10/h", 10, 3_600_000)]
)
def test_a_rate_is_a_count_in_a_time(text: str, count: int, per_ms: int) -> None:
    assert parse_rate(text) == Rate(count=count, per_ms=per_ms)


@pytest.mark.parametrize(
    "text", ["", "100", "100/", "/s", "100/d", "100/ms", "100 / s", "1.5/s", "-1/s", "1/S", "1/s\n"]
)
def test_another_form_of_rate_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match=r"is not a rate: .* such as 100/s"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0/s", f"{MAX_RATE + 1}/h"])
def test_a_rate_that_could_never_be_kept_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="must lie between 1 and"):
        parse_rate(text)


@given(st.integers(1, MAX_RATE), st.sampled_from("smh"))
def test_a_rate_writes_as_it_reads(count: int, unit: str) -> None:
    assert str(parse_rate(f"{count}/{unit}")) == f"{count}/{unit}"
