"""Query parameters, as tables and properties."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from orgloop.core.records.record import timestamp
from orgloop.errors import Refused
from orgloop.web.parameters import MOST, Parameters

NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T12:00:00.000Z", NOON),
        ("2026-01-31T12:00:00.250Z", NOON + 250),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T13:00:00 01:00", NOON),
        ("2026-01-31T12:00:00", NOON),
        ("2026-01-31T12:00", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31", NOON - 43_200_000),
        (str(NOON), NOON),
    ],
)
def test_a_point_in_time(text: str, at: int | None) -> None:
    assert Parameters({"from": text}).time("from") == at


def test_a_time_without_a_zone_is_UTC_wherever_the_daemon_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert Parameters({"from": "2026-01-31T12:00:00"}).time("from") == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(min_value=10**9, max_value=4 * 10**12))
def test_a_time_that_we_printed_is_read_back(at: int) -> None:
    assert Parameters({"from": timestamp(at)}).time("from") == at
    assert Parameters({"from": str(at)}).time("from") == at


@given(st.text(max_size=30))
def test_no_text_breaks_a_point_in_time(text: str) -> None:
    refusal: Refused | None = None
    try:
        Parameters({"from": text}).time("from")
    except Refused as exc:
        refusal = exc
    assert refusal is None or ("'from'" in refusal.message and refusal.status == 400)


@pytest.mark.parametrize(
    ("text", "limit"), [("", 100), ("1", 1), ("1000", 1000), ("1001", MOST), ("999999999", MOST)]
)
def test_a_page_is_bounded(text: str, limit: int) -> None:
    assert Parameters({"limit": text}).limit(100) == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "x", "1e3", "٣", "9" * 40])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="'limit'"):
        Parameters({"limit": text}).limit(100)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, False),
        ({"open": ""}, True),
        ({"open": "TRUE"}, True),
        ({"open": "1"}, True),
        ({"open": "no"}, False),
    ],
)
def test_a_flag(query: dict[str, str], wanted: bool) -> None:
    assert Parameters(query).flag("open") is wanted


def test_words_are_separated_by_commas() -> None:
    assert Parameters({"state": "held,,dead"}).words("state", ["held", "dead"]) == ["held", "dead"]
    with pytest.raises(Refused, match="'asleep'"):
        Parameters({"state": "held,asleep"}).words("state", ["held", "dead"])


def test_what_nobody_reads_is_refused_with_what_there_is() -> None:
    asked = Parameters({"limit": "1", "lmit": "2"})
    asked.limit(10)
    with pytest.raises(Refused, match="'lmit'") as caught:
        asked.finish()
    assert caught.value.hint == "there are: limit"


def test_what_is_there_twice_is_refused() -> None:
    asked = Parameters(MultiDict([("source", "a"), ("source", "b")]))
    asked.text("source")
    with pytest.raises(Refused, match=r"'source'.* 2 times"):
        asked.finish()
