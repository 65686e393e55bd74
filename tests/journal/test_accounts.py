"""Accounts: parked once, for all actors that share one; one wake probes; the next account pays meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orgloop.core.deliveries.admission import (
    NEVER,
    Ledger,
    Limit,
    Limits,
    ScopeLevel,
    Unit,
    Verdict,
    WaitCause,
    Want,
    Window,
    admit,
)
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered, Interrupted, Limited, NotStarted, Retry, Unavailable
from orgloop.journal.model import ClaimedWake, Claims, ClaimWant
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.verbs.accounts import LOOK_AFTER_PROBE_MS
from tests.journal.build import DAY, applied, enter, row, run_end, run_start, settle
from tests.journal.stores import QUICKEST, Opened

MINUTE = 60_000
RESET = 10 * MINUTE


def guard(now: int, limits: Sequence[Limit], max_age: int, want: Want, books: Ledger) -> Verdict:
    return admit(want, books, Limits(limits=limits, max_age_ms=max_age), now)


async def claims(
    journal: Journal,
    *accounts: str,
    now: int = 0,
    actor: str = "actor",
    slots: int = 10,
    limits: Sequence[Limit] = (),
    max_age: int = DAY,
    **more: Any,
) -> Claims:
    """One claim of an actor whose runs these accounts pay for."""
    want = ClaimWant(
        actor=actor,
        slots=slots,
        admit=partial(guard, now, limits, max_age),
        reserve={},
        accounts=accounts,
        **more,
    )
    return await journal.claim([want], now)


def paid(found: Claims) -> list[tuple[str, str | None]]:
    return [(wake.id.removeprefix("dlv_"), wake.account) for wake in found.wakes]


async def limited(journal: Journal, wake: ClaimedWake, *, at: int = 0, until: int = RESET) -> None:
    """Its run finds its account limited before it has begun."""
    await journal.start_run(run_start(wake, f"run_{wake.id}_{at}", at=at))
    transition = NotStarted(outcome=Limited(account="x", until=until))
    await journal.end_run(run_end(wake, f"run_{wake.id}_{at}", transition=transition, at=at))


async def test_a_limit_parks_its_account_for_all_actors_that_share_it(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "1", runs=True)
    await enter(journal, "2", runs=True, actor="other")
    await enter(journal, "3", runs=True, actor="third")
    await limited(journal, (await claims(journal, "work")).wakes[0])
    (parked,) = reader.parked()
    assert (parked.account, parked.until, parked.by_person) == ("work", RESET, False)
    for actor in ("actor", "other"):
        waits = await claims(journal, "work", now=1, actor=actor)
        assert (waits.wakes, waits.next_due) == ([], RESET)
    assert {(wait.waiting.scope.name, wait.waiting.cause, wait.waiting.until) for wait in reader.waits()} == {
        ("actor", WaitCause.PARKED, RESET),
        ("other", WaitCause.PARKED, RESET),
    }
    assert paid(await claims(journal, "else", now=1, actor="third")) == [("3", "else")]
    assert row(reader, "1").attempts == 0, "a limit counts no try"


async def test_when_its_limit_should_be_over_one_wake_probes_and_then_all_go(
    journal: Journal, reader: Reader
) -> None:
    for name in "123":
        await enter(journal, name, runs=True)
    await enter(journal, "4", runs=True, actor="other")
    await limited(journal, (await claims(journal, "work", slots=1)).wakes[0])
    (probe,) = (await claims(journal, "work", now=RESET)).wakes
    await journal.start_run(run_start(probe, "run_probe", at=RESET))
    behind = await claims(journal, "work", now=RESET + 1, actor="other")
    assert (behind.wakes, behind.next_due) == ([], RESET + 1 + LOOK_AFTER_PROBE_MS)
    await journal.note_run("run_probe", last_line="works", offset=0, at=RESET + 2)
    await journal.record([])  # a commit: the note is written with it
    assert reader.parked() == []
    assert len((await claims(journal, "work", now=RESET + 3)).wakes) == 2
    assert len((await claims(journal, "work", now=RESET + 3, actor="other")).wakes) == 1


async def test_a_probe_that_meets_the_limit_again_parks_it_again(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    await limited(journal, (await claims(journal, "work", slots=1)).wakes[0])
    await limited(journal, (await claims(journal, "work", now=RESET)).wakes[0], at=RESET, until=2 * RESET)
    assert reader.parked()[0].until == 2 * RESET
    assert (await claims(journal, "work", now=RESET + 1)).next_due == 2 * RESET


@pytest.mark.parametrize(
    "outcome", [Retry(reason="x", after_ms=0), Unavailable(reason="x"), Interrupted(crash=False)]
)
async def test_a_probe_that_says_nothing_of_the_limit_leaves_it_to_the_next_one(
    journal: Journal, reader: Reader, outcome: Any
) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    await limited(journal, (await claims(journal, "work", slots=1)).wakes[0])
    (probe,) = (await claims(journal, "work", now=RESET)).wakes
    await journal.start_run(run_start(probe, "run_probe", at=RESET))
    await journal.end_run(run_end(probe, "run_probe", transition=NotStarted(outcome=outcome), at=RESET))
    assert len(reader.parked()) == 1
    assert len((await claims(journal, "work", now=RESET + LOOK_AFTER_PROBE_MS)).wakes) == 1


async def test_a_run_that_began_before_the_limit_does_not_end_it(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    first, second = (await claims(journal, "work")).wakes
    await journal.start_run(run_start(first, "run_first"))
    await limited(journal, second)
    await journal.note_run("run_first", last_line="works", offset=0, at=5)
    await journal.end_run(run_end(first, "run_first", at=9))
    assert [one.account for one in reader.parked()] == ["work"]


async def test_a_limit_in_the_middle_of_a_run_parks_its_account_and_the_run_has_ended(
    journal: Journal, reader: Reader
) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    (wake,) = (await claims(journal, "work", slots=1)).wakes
    await journal.start_run(run_start(wake, "run_1"))
    await journal.end_run(run_end(wake, "run_1", at=9, outcome="failure", limited_until=RESET))
    assert row(reader, "1").state is State.DELIVERED
    assert (await claims(journal, "work", now=10)).next_due == RESET


async def test_the_next_account_pays_while_the_first_may_not(journal: Journal, reader: Reader) -> None:
    for name in "1234":
        await enter(journal, name, runs=True)
    chain = ("work", "spare")
    await limited(journal, (await claims(journal, *chain, slots=1)).wakes[0])
    assert [one for _, one in paid(await claims(journal, *chain, now=1, slots=1))] == ["spare"]
    assert reader.waits() == [], "nothing waits"
    # The first one probes when its limit should be over, and pays again once that works.
    assert [one for _, one in paid(await claims(journal, *chain, now=RESET, slots=2))] == ["work", "spare"]


async def test_the_next_account_pays_when_a_limit_of_the_first_is_full(journal: Journal) -> None:
    for name in "123":
        await enter(journal, name, runs=True)
    one = [
        Limit(level=ScopeLevel.ACCOUNT, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="accounts.x")
    ]
    found = await claims(journal, "work", "spare", limits=one)
    assert [account for _, account in paid(found)] == ["work", "spare"]


async def test_all_accounts_of_a_chain_are_waited_for_together(journal: Journal, reader: Reader) -> None:
    for name in "123":
        await enter(journal, name, runs=True)
    chain = ("work", "spare")
    await limited(journal, (await claims(journal, *chain, slots=1)).wakes[0])
    await limited(journal, (await claims(journal, *chain, now=1, slots=1)).wakes[0], at=1, until=RESET // 2)
    found = await claims(journal, *chain, now=2)
    assert (found.wakes, found.next_due) == ([], RESET // 2)
    (wait,) = reader.waits()
    assert (wait.waiting.setting, wait.waiting.until) == ("work, spare", RESET // 2)


async def test_a_person_parks_an_account_until_a_time_or_until_it_is_resumed(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "1", runs=True)
    await journal.park("work", None, "holidays", 0)
    assert (await claims(journal, "work", now=DAY)).wakes == []
    assert reader.waits()[0].waiting.until == NEVER
    assert await journal.resume("work", DAY)
    assert not await journal.resume("work", DAY)
    assert len((await claims(journal, "work", now=DAY, slots=1)).wakes) == 1
    await enter(journal, "2", runs=True, at=DAY)
    await enter(journal, "3", runs=True, at=DAY)
    await journal.park("work", DAY + 50, "a while", DAY)
    assert (await claims(journal, "work", now=DAY + 1)).next_due == DAY + 50
    assert len((await claims(journal, "work", now=DAY + 50)).wakes) == 2, "nothing has to be probed"


async def test_a_limit_does_not_shorten_what_a_person_parked_nor_the_other_way_round(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "1", runs=True)
    (wake,) = (await claims(journal, "work")).wakes
    await journal.park("work", None, "holidays", 0)
    await limited(journal, wake)
    assert [(one.until, one.by_person) for one in reader.parked()] == [(None, True)]
    await journal.resume("work", 1)
    await limited(journal, (await claims(journal, "work", now=1)).wakes[0], at=1)
    parked = await journal.park("work", 5, "a moment", 2)
    assert parked.until == RESET


async def test_it_is_parked_also_after_a_restart_and_an_apply(opened: Opened) -> None:
    journal = opened.journal
    await enter(journal, "1", runs=True)
    await limited(journal, (await claims(journal, "work")).wakes[0])
    await claims(journal, "work", now=1)
    await opened.restart()
    journal = opened.journal
    await journal.recover(2)
    await journal.apply(applied(), {"route": "actor"}, 3, actors={"actor": True})
    found = await claims(journal, "work", now=4)
    assert (found.wakes, found.next_due) == ([], RESET)
    # A daemon that died while one wake probed: another one probes.
    assert len((await claims(journal, "work", now=RESET)).wakes) == 1
    await opened.restart()
    await opened.journal.recover(RESET + 1)
    assert len((await claims(opened.journal, "work", now=RESET + 2)).wakes) == 1


async def test_what_others_waited_for_until_a_time_that_is_past_does_not_make_a_claim_come_again_at_once(
    journal: Journal,
) -> None:
    """An actor that has no free slot for a while does not look at what it waited for."""
    for name, actor in (("1", "actor"), ("2", "other"), ("3", "actor")):
        await enter(journal, name, runs=True, actor=actor)
    await limited(journal, (await claims(journal, "work", slots=1)).wakes[0])
    await claims(journal, "work", now=1, actor="other")
    (probe,) = (await claims(journal, "work", now=RESET)).wakes
    await journal.start_run(run_start(probe, "run_probe", at=RESET))
    await claims(journal, "work", now=RESET, actor="other")
    later = RESET + 10 * LOOK_AFTER_PROBE_MS
    assert (await claims(journal, "work", now=later)).next_due == later + LOOK_AFTER_PROBE_MS


async def test_what_an_account_made_wait_is_no_part_of_its_age(journal: Journal) -> None:
    await enter(journal, "1", runs=True)
    await limited(journal, (await claims(journal, "work")).wakes[0])
    await claims(journal, "work", now=1)
    found = await claims(journal, "work", now=RESET, max_age=MINUTE)
    assert (len(found.wakes), found.held) == (1, [])


async def test_quiet_hours_start_nothing_and_are_no_part_of_its_age(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", runs=True)
    found = await claims(journal, now=1, closed_until=RESET, closed_by="quiet_hours")
    assert (found.wakes, found.next_due) == ([], RESET)
    (wait,) = reader.waits()
    assert (wait.waiting.cause, wait.waiting.until, wait.waiting.setting) == (
        WaitCause.QUIET,
        RESET,
        "quiet_hours",
    )
    found = await claims(journal, now=RESET, max_age=MINUTE)
    assert (len(found.wakes), found.held) == (1, [])
    assert reader.waits() == []


async def test_who_names_no_account_parks_only_its_own_work(journal: Journal, reader: Reader) -> None:
    """Also an actor that answers at once: nobody asks its guard."""
    for name, actor in (("1", "actor"), ("2", "actor"), ("3", "other")):
        await enter(journal, name, actor=actor)
    first = ClaimWant(actor="actor", slots=1)
    (wake,) = (await journal.claim([first], 0)).wakes
    await settle(journal, wake, Limited(account="x", until=RESET))
    assert (await journal.claim([first], 1)).wakes == []
    assert len((await journal.claim([ClaimWant(actor="other", slots=1)], 1)).wakes) == 1
    (probe,) = (await journal.claim([ClaimWant(actor="actor", slots=9)], RESET)).wakes
    assert (await journal.claim([first], RESET)).wakes == []
    await settle(journal, probe, Delivered(), at=RESET)
    assert reader.parked() == []
    assert len((await journal.claim([first], RESET)).wakes) == 1


STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("claim"), st.sampled_from(["one", "two"]), st.integers(1, 2))] * 4,
        *[st.tuples(st.just("limit"), st.integers(0, 9), st.integers(1, 9))] * 3,
        st.tuples(st.sampled_from(["done", "alive", "retry"]), st.integers(0, 9), st.just(0)),
        *[st.tuples(st.just("wait"), st.integers(1, 30), st.just(0))] * 2,
        st.one_of(
            st.tuples(st.just("park"), st.sampled_from("ab"), st.sampled_from([None, 5, 20])),
            st.tuples(st.just("resume"), st.sampled_from("ab"), st.just(0)),
            st.tuples(st.sampled_from(["crash", "apply"]), st.just(0), st.just(0)),
        ),
    ),
    min_size=15,
    max_size=40,
)
CHAINS = {"one": ("a", "b"), "two": ("a",)}
TICK, MANY = 1_000, 40


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
@example(
    steps=[("claim", "two", 1), ("limit", 0, 3), ("wait", 10, 0), ("claim", "two", 1), ("claim", "two", 1)]
)
async def test_whatever_happens_a_parked_account_starts_nothing_but_one_probe_and_nothing_is_lost(
    steps: Sequence[tuple[str, Any, Any]],
) -> None:
    with TemporaryDirectory() as directory:
        async with QUICKEST.open(Path(directory)) as opened:
            for number in range(MANY):
                await enter(opened.journal, str(number), runs=True, actor="one" if number % 2 else "two")
            now, count = TICK, 0
            going: list[tuple[ClaimedWake, str]] = []
            for step, first, second in steps:
                now += 1
                journal, reader = opened.journal, opened.reader()
                try:
                    if step == "claim":
                        parked = {one.account: one for one in reader.parked()}
                        found = await claims(journal, *CHAINS[first], now=now, actor=first, slots=second)
                        for wake in found.wakes:
                            count += 1
                            await journal.start_run(run_start(wake, f"run_{count}", at=now))
                            going.append((wake, f"run_{count}"))
                        for account in "ab":
                            taken = [wake for wake in found.wakes if wake.account == account]
                            row_ = parked.get(account)
                            if row_ is None or (
                                row_.by_person and row_.until is not None and row_.until <= now
                            ):
                                continue
                            over = row_.until is not None and row_.until <= now
                            assert len(taken) <= (1 if over else 0), (account, row_)
                            probing = row_.probe is not None and any(
                                (one.seq, one.token) == row_.probe for one, _ in going if one not in taken
                            )
                            assert not (taken and probing), "one probe at a time"
                    elif step in ("limit", "done", "retry") and going:
                        wake, run_id = going.pop(first % len(going))
                        ends = {
                            "limit": NotStarted(outcome=Limited(account="x", until=now + second * TICK)),
                            "retry": NotStarted(outcome=Retry(reason="x", after_ms=0)),
                            "done": None,
                        }
                        await journal.end_run(run_end(wake, run_id, transition=ends[step], at=now))
                        if step == "limit":
                            assert wake.account in {one.account for one in reader.parked()}
                    elif step == "alive" and going:
                        await journal.note_run(going[first % len(going)][1], last_line="x", offset=0, at=now)
                    elif step == "wait":
                        now += first * TICK
                    elif step == "park":
                        until = None if second is None else now + second * TICK
                        await journal.park(first, until, "x", now)
                    elif step == "resume":
                        await journal.resume(first, now)
                    elif step == "crash":
                        reader.close()
                        await opened.restart()
                        await opened.journal.recover(now)
                        reader = opened.reader()
                    elif step == "apply":
                        await journal.apply(
                            applied(now), {"route": "one"}, now, actors={"one": True, "two": True}
                        )
                finally:
                    reader.close()
            # All of it goes on: what is parked is resumed, what runs ends.
            for wake, run_id in going:
                await opened.journal.end_run(run_end(wake, run_id, at=now))
            for account in "ab":
                await opened.journal.resume(account, now)
            now += DAY
            for actor in ("one", "two"):
                for wake in (
                    await claims(
                        opened.journal, *CHAINS[actor], now=now, actor=actor, max_age=2 * DAY, slots=50
                    )
                ).wakes:
                    count += 1
                    await opened.journal.start_run(run_start(wake, f"run_{count}", at=now))
                    await opened.journal.end_run(run_end(wake, f"run_{count}", at=now))
            reader = opened.reader()
            states = {str(n): row(reader, str(n)).state for n in range(MANY)}
            reader.close()
            assert set(states.values()) == {State.DELIVERED}, states
