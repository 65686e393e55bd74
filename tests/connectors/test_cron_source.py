"""The cron source: what it emits, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.cron import connector
from orgloop.connectors.cron.settings import CronSettings
from orgloop.connectors.cron.source import CronSource
from orgloop.plugin import Page, Poller
from tests.connectors.doubles import NOON, FakeContext, ManualClock, as_context

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Ticking:
    """A source with the checkpoint that its engine would keep."""

    def __init__(self, *schedules: dict[str, Any], clock: ManualClock | None = None, **config: Any) -> None:
        self.clock = clock or ManualClock()
        self.config = {"timezone": "UTC", "schedules": schedules, **config}
        self.checkpoint: str | None = None
        self.page = Page()
        self.keys: list[str] = []
        self.source: CronSource | None = None

    async def poll(self, after: int = 0) -> list[dict[str, Any]]:
        """The payloads of what is due `after` milliseconds from now."""
        if self.source is None:
            await self.restart()
        assert self.source is not None
        self.clock.time += after
        self.page = await self.source.poll(self.checkpoint)
        self.checkpoint = self.page.checkpoint
        self.keys += [draft.key or "" for draft in self.page.events]
        return [draft.payload for draft in self.page.events]

    async def restart(self, **config: Any) -> None:
        self.config |= config
        self.source = CronSource("cron", CronSettings.model_validate(self.config))
        await self.source.open(as_context(FakeContext(clock=self.clock)))


def every(duration: str, name: str = "beat") -> dict[str, Any]:
    return {"name": name, "cron": duration}


async def test_the_first_poll_sets_a_checkpoint_and_fires_nothing() -> None:
    ticking = Ticking(every("* * * * *"), every("1m", "interval"), {"name": "noon", "cron": "0 12 * * *"})
    assert await ticking.poll() == []
    assert ticking.page.next_at == NOON + MINUTE
    assert ticking.checkpoint is not None


async def test_a_tick_is_an_event_of_the_system() -> None:
    ticking = Ticking({"name": "nightly", "cron": "0 0 * * *", "payload": {"job": "groom", "n": 1}})
    await ticking.poll()
    assert await ticking.poll(12 * HOUR - 1) == []
    await ticking.poll(1 + 250)
    (draft,) = ticking.page.events
    assert (draft.type, draft.key) == ("resource.changed", "nightly@2026-01-06T00:00:00.000Z")
    assert draft.entity == "nightly"
    assert draft.provenance == {
        "platform": "cron",
        "platform_event": "schedule.nightly",
        "author_type": "system",
    }
    assert draft.payload == {
        "schedule": "nightly",
        "scheduled_at": "2026-01-06T00:00:00.000Z",
        "missed": 0,
        "job": "groom",
        "n": 1,
    }
    assert ticking.page.next_at == NOON + 36 * HOUR


async def test_an_interval_counts_from_the_first_poll() -> None:
    ticking = Ticking(every("every 5m"))
    await ticking.poll(1_234)
    assert ticking.page.next_at == NOON + 1_234 + 5 * MINUTE
    (payload,) = await ticking.poll(5 * MINUTE + 700)
    assert payload == {
        "schedule": "beat",
        "interval_ms": 300_000,
        "scheduled_at": "2026-01-05T12:05:01.234Z",
        "missed": 0,
    }
    assert ticking.page.next_at == NOON + 1_234 + 10 * MINUTE


async def test_payload_keys_of_the_user_win() -> None:
    ticking = Ticking({"name": "a", "cron": "1m", "payload": {"missed": "mine"}})
    await ticking.poll()
    assert (await ticking.poll(MINUTE))[0]["missed"] == "mine"


@pytest.mark.parametrize(
    ("cron", "down", "missed", "scheduled_at"),
    [
        ("0 * * * *", 5 * HOUR + 7, 4, "2026-01-05T17:00:00.000Z"),
        ("0 0 * * *", 12 * HOUR, 0, "2026-01-06T00:00:00.000Z"),
        ("0 0 * * *", 400 * DAY, 399, "2027-02-09T00:00:00.000Z"),
        ("* * * * *", 400 * DAY, 1000, "2027-02-09T12:00:00.000Z"),
        ("1h", 5 * HOUR + 7, 4, "2026-01-05T17:00:00.000Z"),
        ("1s", 10 * DAY, 1000, "2026-01-15T12:00:00.000Z"),
    ],
)
async def test_ticks_missed_while_down_are_one_event(
    cron: str, down: int, missed: int, scheduled_at: str
) -> None:
    ticking = Ticking(every(cron))
    await ticking.poll()
    await ticking.restart()
    (payload,) = await ticking.poll(down)
    assert (payload["missed"], payload["scheduled_at"]) == (missed, scheduled_at)
    assert await ticking.poll() == []


async def test_what_is_due_comes_in_the_order_of_its_ticks() -> None:
    ticking = Ticking(every("0 13 * * *", "one"), every("30 12 * * *", "half"), every("0 13 * * *", "again"))
    await ticking.poll()
    payloads = await ticking.poll(2 * HOUR)
    assert [payload["schedule"] for payload in payloads] == ["half", "one", "again"]


async def test_a_changed_expression_begins_anew() -> None:
    ticking = Ticking(every("1h", "a"), every("1h", "b"))
    await ticking.poll()
    await ticking.restart(schedules=[every("30m", "a"), every("1h", "b"), every("1h", "c")])
    assert [payload["schedule"] for payload in await ticking.poll(2 * HOUR)] == ["b"]
    assert ticking.page.next_at == NOON + 2 * HOUR + 30 * MINUTE


async def test_a_changed_time_zone_begins_anew() -> None:
    ticking = Ticking({"name": "a", "cron": "30 21 * * *"})
    await ticking.poll()
    await ticking.restart(timezone="Asia/Tokyo")
    half_past_nine_in_tokyo = NOON + 30 * MINUTE
    assert await ticking.poll(2 * HOUR) == []
    assert ticking.page.next_at == half_past_nine_in_tokyo + DAY


async def test_a_removed_schedule_is_forgotten() -> None:
    ticking = Ticking(every("1h", "a"), every("1h", "b"))
    await ticking.poll()
    await ticking.restart(schedules=[every("1h", "b")])
    await ticking.poll()
    await ticking.restart(schedules=[every("1h", "a"), every("1h", "b")])
    assert [payload["schedule"] for payload in await ticking.poll(2 * HOUR)] == ["b"]


@pytest.mark.parametrize(
    "checkpoint",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"schedules": []}',
        '{"beat": "2026-01-05T11:00:00.000Z"}',
        '{"schedules": {"beat": 7}}',
        '{"schedules": {"beat": {"cron": "1m", "zone": "UTC", "at": "x"}}}',
        '{"schedules": {"beat": {"cron": "1m", "zone": "UTC", "at": -1}}}',
        '{"schedules": {"beat": {"cron": "1m", "zone": "UTC", "at": 1e300}}}',
        '{"schedules": {"beat": {"cron": "1m", "zone": "UTC", "at": 9999999999999999}}}',
    ],
)
async def test_a_checkpoint_that_cannot_be_read_is_as_none(checkpoint: str) -> None:
    ticking = Ticking(every("1m"))
    ticking.checkpoint = checkpoint
    assert await ticking.poll() == []
    assert len(await ticking.poll(MINUTE)) == 1


async def test_a_clock_that_steps_back_fires_nothing_twice() -> None:
    ticking = Ticking(every("0 * * * *"))
    await ticking.poll()
    assert len(await ticking.poll(HOUR)) == 1
    assert await ticking.poll(-30 * MINUTE) == []
    assert ticking.page.next_at == NOON + 2 * HOUR
    assert await ticking.poll(30 * MINUTE) == []
    assert len(await ticking.poll(HOUR)) == 1
    assert len(set(ticking.keys)) == 2


async def test_a_clock_that_was_far_ahead_does_not_silence_the_schedule() -> None:
    ticking = Ticking(every("0 * * * *"))
    await ticking.poll()
    await ticking.poll(365 * DAY)
    assert await ticking.poll(-365 * DAY) == []
    assert ticking.page.next_at == NOON + HOUR
    assert [payload["missed"] for payload in await ticking.poll(HOUR)] == [0]


async def test_the_machines_own_zone_is_the_default() -> None:
    context = FakeContext(environment={"TZ": "Asia/Tokyo"})
    source = CronSource("cron", CronSettings.model_validate({"schedules": [every("0 0 * * *")]}))
    await source.open(as_context(context))
    assert (await source.poll(None)).next_at == NOON + 3 * HOUR


async def test_each_schedule_may_have_a_zone_of_its_own() -> None:
    tokyo = {"name": "tokyo", "cron": "0 0 * * *", "timezone": "Asia/Tokyo"}
    ticking = Ticking(every("0 0 * * *"), tokyo)
    await ticking.poll()
    assert [payload["schedule"] for payload in await ticking.poll(3 * HOUR)] == ["tokyo"]
    assert [payload["schedule"] for payload in await ticking.poll(9 * HOUR)] == ["beat"]


@given(
    st.lists(
        st.sampled_from(["* * * * *", "30 2 * * *", "*/7 1-4 * * *", "every 90s", "2h"]),
        min_size=1,
        unique=True,
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.lists(st.integers(-30 * MINUTE, 30 * HOUR), max_size=25),
    st.integers(0, 365),
)
async def test_no_tick_twice_and_none_forgotten(
    crons: list[str], zone: str, steps: list[int], day: int
) -> None:
    clock = ManualClock(NOON + day * DAY)
    ticking = Ticking(*(every(cron, cron) for cron in crons), clock=clock, timezone=zone)
    await ticking.poll()
    for step in steps:
        promised = ticking.page.next_at
        assert promised is not None
        fired = await ticking.poll(step)
        assert bool(fired) == (clock.time >= promised)
        assert ticking.page.next_at is not None
        assert ticking.page.next_at >= promised
        assert ticking.page.next_at > clock.time
    assert len(ticking.keys) == len(set(ticking.keys))


@pytest.mark.parametrize(
    ("config", "where", "complaint"),
    [
        ({}, ("schedules",), "Field required"),
        ({"schedules": []}, ("schedules",), "at least 1 item"),
        ({"schedules": [{"name": "a"}]}, ("schedules", 0, "cron"), "Field required"),
        ({"schedules": [every("1h"), every("* *", "b")]}, ("schedules", 1, "cron"), "Expected 5 fields"),
        (
            {"schedules": [every("1h"), every("2h")]},
            ("schedules", 1, "name"),
            "another schedule is called beat",
        ),
        ({"schedules": [every("1h", "")]}, ("schedules", 0, "name"), "at least 1 character"),
        ({"schedules": [every("1h")], "timezone": "Berlin"}, ("timezone",), "no time zone is called"),
        ({"schedules": [{**every("1h"), "timezone": "x"}]}, ("schedules", 0, "timezone"), "no time zone"),
        ({"schedules": [{**every("1h"), "payload": {"a": {1: 2}}}]}, ("schedules", 0, "payload"), "as JSON"),
        ({"schedules": [{"name": "a", "schedule": "1h"}]}, ("schedules", 0, "cron"), "Field required"),
    ],
)
def test_settings_that_cannot_work_say_where(
    config: dict[str, Any], where: tuple[str | int, ...], complaint: str
) -> None:
    with pytest.raises(ValidationError) as invalid:
        CronSettings.model_validate(config)
    error = invalid.value.errors()[0]
    assert error["loc"] == where
    assert complaint in error["msg"]


async def test_the_example_is_what_the_source_emits() -> None:
    assert connector.source is not None
    example = connector.source.example
    assert example is not None
    ticking = Ticking(*connector.source.scaffold["schedules"], clock=ManualClock(NOON - 12 * HOUR))
    await ticking.poll()
    await ticking.poll(9 * HOUR)
    (draft,) = ticking.page.events
    assert (draft.type, draft.provenance, draft.payload) == tuple(
        example[key] for key in ("type", "provenance", "payload")
    )


def test_the_source_is_polled() -> None:
    assert isinstance(CronSource("a", CronSettings.model_validate({"schedules": [every("1h")]})), Poller)


async def test_the_checkpoint_is_small_and_plain() -> None:
    ticking = Ticking(every("1h"))
    await ticking.poll()
    assert json.loads(ticking.checkpoint or "") == {
        "schedules": {"beat": {"cron": "1h", "zone": "UTC", "at": NOON}}
    }
