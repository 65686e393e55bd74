"""Rates: how often actors are woken, in any second, minute or hour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.core.deliveries.admission import (
    WINDOW_MS,
    Ledger,
    Limit,
    Limits,
    LimitScope,
    ScopeLevel,
    Unit,
    Verdict,
    Want,
    Window,
    admit,
)
from orgloop.core.deliveries.transition import Delivered, Unavailable
from orgloop.journal.model import ClaimedWake, ClaimWant
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.verbs.rates import WakeCounts
from orgloop.journal.verbs.transaction import Transaction
from tests.journal.build import enter, settle
from tests.journal.stores import MEMORY, Opened

RATED = [window for window in WINDOW_MS if window is not Window.DAY]
SCOPE = LimitScope(level=ScopeLevel.ROUTE, name="route")


def rate(most: int, window: Window = Window.SECOND, route: str = "route") -> Limit:
    return Limit(
        level=ScopeLevel.ROUTE, unit=Unit.WAKES, window=window, most=most, setting="then.delivery.max_rate"
    )


async def claim(
    journal: Journal, limit: Limit, now: int, *, only: Sequence[str] = (), rates_only: bool = True
) -> Sequence[ClaimedWake]:
    """Claim under that rate, or only for some routes."""

    def guard(want: Want, ledger: Ledger) -> Verdict:
        limits = () if only and want.route not in only else (limit,)
        return admit(want, ledger, Limits(max_hops=None, max_age_ms=None, limits=limits), now)

    want = ClaimWant(actor="actor", slots=100, admit=guard, rates_only=rates_only)
    return (await journal.claim([want], now)).wakes


@pytest.mark.parametrize("window", RATED)
async def test_what_exceeds_it_waits_and_goes_on_when_the_window_has_passed(
    window: Window, journal: Journal, reader: Reader
) -> None:
    for name in "abcde":
        await enter(journal, name)
    assert len(await claim(journal, rate(2, window), 0)) == 2
    (wait,) = reader.waits()
    until, length = wait.waiting.until, WINDOW_MS[window]
    assert length < until <= length * 1.05
    assert await claim(journal, rate(2, window), until - 1) == []
    assert len(await claim(journal, rate(2, window), until)) == 2
    assert len(reader.waits()) == 1


async def test_it_holds_across_a_restart(opened: Opened) -> None:
    for name in "abc":
        await enter(opened.journal, name)
    await claim(opened.journal, rate(2), 0)
    await opened.restart()
    await opened.journal.recover(10)
    assert await claim(opened.journal, rate(2), 10) == []


async def test_another_route_is_not_slowed_down_by_it(journal: Journal) -> None:
    for number in range(4):
        await enter(journal, f"a{number}", route="slow")
        await enter(journal, f"b{number}", route="free")
    wakes = await claim(journal, rate(1), 0, only=["slow"])
    assert [wake.route for wake in wakes].count("free") == 4
    assert [wake.route for wake in wakes].count("slow") == 1


async def test_a_probe_counts_and_no_slot_for_runs_keeps_it_waiting(journal: Journal, reader: Reader) -> None:
    await enter(journal, "a")
    (wake,) = await claim(journal, rate(1), 0)
    await settle(journal, wake, Unavailable(reason="refused"), pause_until=5)
    assert await claim(journal, rate(1), 5) == []
    (wake,) = await claim(journal, rate(1), 1_020)
    await settle(journal, wake, Delivered(), at=1_020)
    assert reader.pauses() == []


async def test_a_clock_that_was_set_back_does_not_keep_it_waiting_for_longer(journal: Journal) -> None:
    for name in "ab":
        await enter(journal, name)
    assert len(await claim(journal, rate(1, Window.HOUR), 10**9)) == 1
    await journal.set_back(0, 10**9)
    assert len(await claim(journal, rate(1, Window.HOUR), round(WINDOW_MS[Window.HOUR] * 1.05))) == 1


async def test_steps_that_no_window_reaches_are_forgotten(opened: Opened, journal: Journal) -> None:
    await enter(journal, "a")
    await claim(journal, rate(5), 1_000)
    await journal.prune(10**9, 10**9, 100)
    left = await opened.run(lambda tx: WakeCounts(tx, 1_000).room(SCOPE, Window.SECOND, 1, 5).used)
    assert left == 0


@settings(max_examples=50, deadline=None)
@given(
    gaps=st.lists(
        st.integers(0, 400) | st.sampled_from([0, 0, 1, 19, 20, 981, 990, 999, 1_000]),
        min_size=1,
        max_size=40,
    ),
    most=st.integers(1, 5),
)
async def test_in_no_second_there_are_more_and_room_is_there_when_it_was_told(
    gaps: list[int], most: int
) -> None:
    """Somebody asks again and again; what has room is woken."""
    taken: list[int] = []
    told: list[int] = []

    def ask(tx: Transaction, now: int) -> None:
        counts = WakeCounts(tx, now)
        room = counts.room(SCOPE, Window.SECOND, 1, most)
        assert not told or now < told.pop() or room.free_at == now
        if room.free_at > now:
            assert room.free_at <= taken[-most] + 1_000 + 20
            told.append(room.free_at)
            return
        assert len([at for at in taken if now - 1_000 < at <= now]) < most
        counts.add(SCOPE, Window.SECOND)
        taken.append(now)

    async with MEMORY.open(None) as opened:  # type: ignore[arg-type]
        now = 0
        for gap in gaps:
            now += gap
            await opened.run(partial(ask, now=now))
