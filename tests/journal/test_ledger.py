"""What runs reserve and use: the ledger against a naive one, the age that waiting leaves out, fairness."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.core.deliveries.admission import (
    NEVER,
    WINDOW_MS,
    Ledger,
    Limit,
    Limits,
    LimitScope,
    Room,
    ScopeLevel,
    Unit,
    Verdict,
    Want,
    Window,
    admit,
)
from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Interrupted, Unavailable
from orgloop.journal.model import Claims, ClaimWant
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.verbs import ledger
from orgloop.journal.verbs.ledger import Books, Spent
from orgloop.journal.verbs.transaction import Transaction
from tests.journal.build import (
    DAY,
    HOUR,
    accept,
    applied,
    delivery,
    enter,
    event,
    row,
    run_end,
    run_start,
    settle,
)
from tests.journal.stores import QUICKEST

T = TypeVar("T")

NUMBERS = count(10_000)


@dataclass(frozen=True)
class Run:
    """One charge of the naive ledger."""

    want: Want
    at: int
    ended_at: int | None
    amounts: dict[Unit, int]


@asynccontextmanager
async def books() -> AsyncGenerator[Callable[[Callable[[Transaction], T]], Awaitable[T]]]:
    """A journal's transactions, one after the other."""
    with TemporaryDirectory() as directory:
        async with QUICKEST.open(Path(directory)) as opened:
            yield opened.run


def reserve(want: Want, number: int, at: int, tx: Transaction) -> None:
    Books(tx, at).reserve(want, number)


STEP = HOUR // 4
AMOUNTS = st.integers(0, 5)
WANTS = st.builds(
    Want,
    actor=st.sampled_from("ab"),
    route=st.sampled_from("rs"),
    trace=st.sampled_from("tu"),
    key=st.sampled_from([None, "k"]),
    account=st.sampled_from([None, "x"]),
    tree=st.sampled_from([None, "/t"]),
    hops=st.just(0),
    age_from=st.just(0),
    needs=st.fixed_dictionaries({Unit.USD: AMOUNTS, Unit.TOKENS: AMOUNTS, Unit.RUN_TIME: AMOUNTS}),
)
SPENT = st.builds(Spent, usd=st.none() | AMOUNTS, tokens=st.none() | AMOUNTS, run_time=st.none() | AMOUNTS)
LIVES = st.tuples(WANTS, st.integers(0, 8), st.none() | st.tuples(st.integers(0, 8), st.none() | SPENT))
"""What is wanted, when it starts, and when it ends with what, or that no run comes of it."""


def naive(runs: Sequence[Run], scope: LimitScope, unit: Unit, window: Window, at: int) -> int:
    """What a scope uses of something, at a time: every charge looked at."""
    used = 0
    for run in runs:
        if run.want.scope(scope.level) != scope:
            continue
        is_open = run.ended_at is None
        match window:
            case Window.AT_ONCE:
                counts = is_open
            case Window.EVER:
                counts = True
            case _ if unit is Unit.RUNS:
                counts = at - WINDOW_MS[window] < run.at <= at
            case _:
                counts = is_open or at - WINDOW_MS[window] < (run.ended_at or 0) <= at
        used += run.amounts[unit] if counts else 0
    return used


def naive_room(
    runs: Sequence[Run], scope: LimitScope, unit: Unit, window: Window, now: int, need: int, limit: int
) -> Room:
    used = naive(runs, scope, unit, window, now)
    if used + need <= limit:
        return Room(used=used, free_at=now)
    if window in WINDOW_MS:
        times = sorted({now} | {at + WINDOW_MS[window] for run in runs for at in (run.at, run.ended_at or 0)})
        for time in times:
            if time >= now and naive(runs, scope, unit, window, time) + need <= limit:
                return Room(used=used, free_at=time)
    return Room(used=used, free_at=NEVER)


@settings(max_examples=100, deadline=None)
@given(
    lives=st.lists(LIVES, max_size=8),
    now=st.sampled_from([16 * STEP, DAY, DAY + 5 * STEP]),
    need=st.integers(0, 6),
    limit=st.integers(0, 12),
    prune=st.booleans(),
)
async def test_it_agrees_with_one_that_looks_at_every_charge(
    lives: Sequence[Any], now: int, need: int, limit: int, prune: bool
) -> None:
    runs: list[Run] = []
    async with books() as run:
        for number, (want, at, end) in enumerate(lives):
            began = at * STEP
            await run(partial(reserve, want, number, began))
            amounts = {Unit.RUNS: 1, **want.needs}
            if end is None:
                runs.append(Run(want, began, None, amounts))
                continue
            ended_at, spent = began + end[0] * STEP, end[1]
            if spent is None:
                await run(partial(ledger.refund, delivery=number, at=ended_at))
                continue
            await run(partial(ledger.spend, delivery=number, at=ended_at, spent=spent))
            for unit, used in (
                (Unit.USD, spent.usd),
                (Unit.TOKENS, spent.tokens),
                (Unit.RUN_TIME, spent.run_time),
            ):
                amounts[unit] = amounts[unit] if used is None else used
            runs.append(Run(want, began, ended_at, amounts))
        if prune:
            # Two days later nothing that a window reaches may be gone.
            await run(lambda tx: ledger.prune(tx, now - DAY, 100))

        def compare(tx: Transaction) -> None:
            mine = Books(tx, now)
            for scope, unit, window in asked([want for want, _, _ in lives]):
                if window is Window.EVER and (scope.level is not ScopeLevel.TRACE or prune):
                    continue
                expected = naive_room(runs, scope, unit, window, now, need, limit)
                found = mine.room(scope, unit, window, need, limit)
                assert replace(found, reserved=0) == expected, (scope, unit, window)

        await run(compare)


def asked(wants: Sequence[Want]) -> set[tuple[LimitScope, Unit, Window]]:
    """All that can be asked. A work tree is one for all: who waits for it is part of the scope alone."""
    scopes = {scope for want in wants for scope in ledger.scopes_of(want)}
    return {
        (scope, unit, window)
        for scope in scopes
        if scope.level is not ScopeLevel.WORKTREE
        for unit in Unit
        if unit is not Unit.WAKES
        for window in Window
    }


@given(data=st.data())
@settings(max_examples=30, deadline=None)
async def test_what_one_claim_adds_counts_for_the_next_question_of_the_same_claim(
    data: st.DataObject,
) -> None:
    wants = data.draw(st.lists(WANTS, min_size=1, max_size=5))
    async with books() as run:

        def work(tx: Transaction) -> None:
            mine = Books(tx, 100)
            runs: list[Run] = []
            for number, want in enumerate(wants):
                for scope, unit, window in asked([want]):
                    if window is not Window.EVER:
                        expected = naive(runs, scope, unit, window, 100)
                        assert mine.room(scope, unit, window, 0, 99).used == expected
                mine.reserve(want, number)
                runs.append(Run(want, 100, None, {Unit.RUNS: 1, **want.needs}))

        await run(work)


@settings(max_examples=80, deadline=None)
@given(
    spans=st.lists(
        st.tuples(
            st.sampled_from(["route r", "actor a", "node", "other"]), st.integers(0, 40), st.integers(1, 20)
        ),
        max_size=8,
    ),
    since=st.integers(0, 60),
)
async def test_age_leaves_out_each_moment_in_which_something_was_full_once(
    spans: Sequence[tuple[str, int, int]], since: int
) -> None:
    scopes = {
        "route r": LimitScope(level=ScopeLevel.ROUTE, name="r"),
        "actor a": LimitScope(level=ScopeLevel.ACTOR, name="a"),
        "node": LimitScope(level=ScopeLevel.NODE),
        "other": LimitScope(level=ScopeLevel.ROUTE, name="other"),
    }
    minute = 60_000
    mine = [scopes["route r"], scopes["actor a"], scopes["node"]]
    async with books() as run:
        for name, begins, lasts in sorted(spans, key=lambda span: span[1] + span[2]):
            since_then, until = begins * minute, (begins + lasts) * minute
            await run(partial(ledger.note_waited, scope=scopes[name], since=since_then, until=until))
        waited = await run(lambda tx: Books(tx, 100 * minute).waited(mine, since * minute))
    full = {m for name, begins, lasts in spans if name != "other" for m in range(begins, begins + lasts)}
    assert waited == len({m for m in full if m >= since}) * minute


HOME = Limit(level=ScopeLevel.NODE, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="limits.runs")
ROUTE = Limit(level=ScopeLevel.ROUTE, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="limits.runs")
KEY_USD = Limit(level=ScopeLevel.KEY, unit=Unit.USD, window=Window.HOUR, most=10, setting="budget.usd")
TRACE = Limit(level=ScopeLevel.TRACE, unit=Unit.USD, window=Window.EVER, most=10, setting="budget.trace_usd")
HOURLY = Limit(
    level=ScopeLevel.ORGANIZATION, unit=Unit.RUNS, window=Window.HOUR, most=2, setting="budget.runs_per_hour"
)


async def claims(
    journal: Journal,
    *limits: Limit,
    now: int = 0,
    actor: str = "actor",
    slots: int = 10,
    cap: int = 0,
    tree: str | None = None,
    max_age: int = DAY,
) -> Claims:
    """One claim under these limits."""

    def guard(want: Want, books: Ledger) -> Verdict:
        return admit(want, books, Limits(limits=limits, max_age_ms=max_age), now)

    want = ClaimWant(actor=actor, slots=slots, admit=guard, reserve={Unit.USD: cap}, tree=tree)
    return await journal.claim([want], now)


def names(found: Claims) -> list[str]:
    return [wake.id.removeprefix("dlv_") for wake in found.wakes]


async def ran(journal: Journal, found: Claims, *, at: int, usd: float | None, **more: Any) -> None:
    """Its one wake becomes a run that costs so much."""
    (wake,) = found.wakes
    run_id = f"run_{next(NUMBERS)}"
    await journal.start_run(run_start(wake, run_id, at=at))
    await journal.end_run(run_end(wake, run_id, at=at, cost_usd=usd, **more))


async def test_a_rate_makes_work_wait_until_its_window_rolls_and_says_when(
    journal: Journal, reader: Reader
) -> None:
    for name in "1234":
        await enter(journal, name, runs=True)
    for at, expected in ((0, ["1"]), (HOUR // 2, ["2"])):
        found = await claims(journal, HOURLY, now=at, slots=1)
        assert names(found) == expected
        await ran(journal, found, at=at, usd=None)
    full = await claims(journal, HOURLY, now=HOUR // 2 + 1)
    assert (full.wakes, full.held, full.next_due) == ([], [], HOUR)
    (wait,) = reader.waits()
    assert (wait.waiting.until, wait.since, wait.waiting.limit) == (HOUR, HOUR // 2 + 1, 2)
    assert names(await claims(journal, HOURLY, now=HOUR - 1)) == []
    assert names(await claims(journal, HOURLY, now=HOUR)) == ["3"]


async def test_a_full_key_route_or_trace_does_not_block_the_actors_others(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "k1", runs=True, key="k", route="a")
    await ran(journal, await claims(journal, KEY_USD, cap=10), at=0, usd=8e-6)
    await enter(journal, "k2", runs=True, key="k", route="a", at=1)
    await enter(journal, "r1", runs=True, route="r", at=2)
    await enter(journal, "r2", runs=True, route="r", at=3)
    await enter(journal, "free", runs=True, key="other", route="a", at=4)
    found = await claims(journal, KEY_USD, ROUTE, now=5, cap=3)
    assert names(found) == ["r1", "free"]
    assert {(wait.waiting.scope.level, wait.waiting.scope.name) for wait in reader.waits()} == {
        (ScopeLevel.KEY, "k"),
        (ScopeLevel.ROUTE, "r"),
    }
    # The end of a run in the route makes room there, time in the key.
    await settle(journal, found.wakes[0], Interrupted(crash=False), at=6)
    assert [wait.waiting.scope.level for wait in reader.waits()] == [ScopeLevel.KEY]
    assert names(await claims(journal, KEY_USD, now=HOUR + 1, cap=3)) == ["k2", "r2", "r1"]


async def test_a_total_is_reserved_and_settled_and_what_exceeds_it_is_held(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, *(event(n, delivery(n, runs=True), trace="t") for n in "123"))
    first = await claims(journal, TRACE, cap=6)
    assert names(first) == ["1"], "two caps of six exceed ten"
    await ran(journal, first, at=1, usd=3e-6)
    second = await claims(journal, TRACE, now=2, cap=6)
    assert names(second) == ["2"]
    await ran(journal, second, at=3, usd=6e-6)
    assert len((await claims(journal, TRACE, now=4, cap=6)).held) == 1
    assert (row(reader, "3").state, row(reader, "3").reason) == (State.HELD, "budget")


async def test_pruning_does_not_refill_a_total(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("1", delivery("1", runs=True), trace="t"))
    await ran(journal, await claims(journal, TRACE, cap=9), at=0, usd=9e-6)
    await accept(journal, event("2", delivery("2", runs=True), trace="t"), at=40 * DAY)
    await journal.prune(30 * DAY, 30 * DAY, 100)
    assert reader.delivery("dlv_1") is None
    assert len((await claims(journal, TRACE, now=40 * DAY, cap=5)).held) == 1


@pytest.mark.parametrize(
    ("outcome", "told", "room_for"),
    [("success", 1e-6, 9), ("success", None, 0), ("unknown", 1e-6, 0), ("failure", float("inf"), 0)],
)
async def test_what_nobody_knows_costs_what_was_reserved(
    journal: Journal, outcome: str, told: float | None, room_for: int
) -> None:
    await accept(journal, *(event(n, delivery(n, runs=True), trace="t") for n in "12"))
    await ran(journal, await claims(journal, TRACE, cap=10, slots=1), at=1, usd=told, outcome=outcome)
    if room_for:
        assert names(await claims(journal, TRACE, now=2, cap=room_for)) == ["2"]
    else:
        assert len((await claims(journal, TRACE, now=2, cap=1)).held) == 1


async def test_an_apply_lifts_what_was_full(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    await claims(journal, HOME)
    assert len(reader.waits()) == 1
    await journal.apply(applied(), {"route": "actor"}, 1, actors={"actor": True})
    assert reader.waits() == []
    assert names(await claims(journal, now=2)) == ["2"]


async def test_two_runs_are_never_in_one_work_tree_and_its_end_lets_the_other_actor_in(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "1", runs=True, actor="a")
    await enter(journal, "2", runs=True, actor="b")
    first = await claims(journal, actor="a", tree="/repo")
    assert names(await claims(journal, actor="b", tree="/repo")) == []
    (wait,) = reader.waits()
    assert (wait.waiting.scope, wait.waiting.until) == (
        LimitScope(level=ScopeLevel.WORKTREE, name="/repo", actor="b"),
        NEVER,
    )
    await ran(journal, first, at=1, usd=None)
    assert reader.waits() == []
    assert names(await claims(journal, actor="b", tree="/repo", now=2)) == ["2"]


async def test_age_leaves_out_what_we_made_it_wait_for(journal: Journal) -> None:
    await enter(journal, "1", runs=True, actor="other")
    held = await claims(journal, actor="other")
    for name, key in (("2", "k"), ("3", "k")):
        await enter(journal, name, runs=True, key=key)
    await claims(journal, HOME, now=10)
    await ran(journal, held, at=2 * DAY, usd=None)
    found = await claims(journal, HOME, now=2 * DAY, max_age=HOUR)
    assert names(found) == ["2"]
    await ran(journal, found, at=2 * DAY, usd=None)
    assert names(await claims(journal, HOME, now=2 * DAY, max_age=HOUR)) == ["3"], "also what waits behind it"


async def test_age_runs_while_nothing_makes_it_wait(journal: Journal) -> None:
    await enter(journal, "1", runs=True)
    assert len((await claims(journal, HOME, now=HOUR + 1, max_age=HOUR)).held) == 1


async def test_a_hot_key_of_a_thousand_wakes_starves_nobody(journal: Journal) -> None:
    """Heads queue from when they became it, not from when their event came."""
    hot = [event(f"h{n}", delivery(f"h{n}", runs=True, key="hot")) for n in range(1_000)]
    await accept(journal, *hot)
    others = [event(f"o{n}", delivery(f"o{n}", runs=True, key=f"k{n}"), trace="t") for n in range(20)]
    await accept(journal, *others, at=1)
    order: list[str] = []
    for now in range(2, 60):
        found = await claims(journal, HOME, now=now, slots=1)
        order += names(found)
        await ran(journal, found, at=now, usd=None)
        if len([name for name in order if name[0] == "o"]) == 20:
            break
    assert order == ["h0", *(f"o{n}" for n in range(20))]
    assert names(await claims(journal, HOME, now=60, slots=1)) == ["h1"]


async def test_a_wake_that_never_began_gives_back_what_it_reserved(journal: Journal) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    (wake,) = (await claims(journal, HOME, HOURLY, now=1)).wakes
    await settle(journal, wake, Unavailable(reason="x"), at=2, pause_until=3)
    assert len((await claims(journal, HOME, HOURLY, now=3)).wakes) == 1


async def test_a_death_gives_back_what_was_reserved_for_wakes_and_keeps_what_runs(
    journal: Journal, reader: Reader
) -> None:
    for name in "123":
        await enter(journal, name, runs=True)
    two = replace(HOME, most=2)
    first, _ = (await claims(journal, two)).wakes
    await journal.start_run(run_start(first, "run_1", at=1))
    await claims(journal, two, now=1)
    assert len(reader.waits()) == 1
    await journal.recover(2)
    assert reader.waits() == []
    assert len((await claims(journal, two, now=2)).wakes) == 1


async def test_a_clock_that_is_set_back_does_not_make_a_rate_wait_longer(journal: Journal) -> None:
    for name in "123":
        await enter(journal, name, runs=True, at=10 * DAY)
    await claims(journal, HOURLY, now=10 * DAY)
    assert (await claims(journal, HOURLY, now=10 * DAY + 5)).next_due == 10 * DAY + HOUR
    await journal.set_back(5, 10 * DAY)
    assert (await claims(journal, HOURLY, now=6)).next_due == HOUR


async def test_a_batch_waits_for_the_budget_of_each_of_its_chains(journal: Journal, reader: Reader) -> None:
    """Whichever of its events belongs to the chain that has none left."""
    await enter(journal, "used", runs=True)
    await ran(journal, await claims(journal, TRACE, cap=5), at=0, usd=9e-6)
    batch = Batching(key="b", policy=BatchPolicy(window_ms=1))
    await enter(journal, "first", runs=True, batch=batch)
    await accept(journal, event("later", delivery("later", runs=True, batch=batch), trace="used"))
    found = await claims(journal, TRACE, now=10, cap=5)
    assert (found.wakes, found.held) == ([], ["dlv_first"])
    held = row(reader, "first")
    assert (held.reason, "trc_used" in held.detail) == ("budget", True)


async def test_a_key_whose_budget_is_used_up_does_not_keep_other_keys_waiting(
    journal: Journal, reader: Reader
) -> None:
    for name, key in (("1", "a"), ("2", "a"), ("3", "b")):
        await enter(journal, name, runs=True, key=key)
    first = await claims(journal, KEY_USD, slots=1, cap=6)
    await ran(journal, first, at=0, usd=6e-6)
    found = await claims(journal, KEY_USD, now=1, cap=6)
    assert names(found) == ["3"]
    (wait,) = reader.waits()
    assert (wait.waiting.scope.level, wait.waiting.scope.name) == (ScopeLevel.KEY, "a")
