"""The operator's and the daemon's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import CRASHES_BEFORE_HOLD, State, move
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Hold,
    HoldReason,
    Interrupted,
    Rejected,
    Released,
    Retried,
    Retry,
    Transition,
    Unavailable,
)
from orgloop.errors import Conflict, NotFound
from orgloop.journal.model import Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import (
    DAY,
    HOUR,
    POLICY,
    claim,
    claim_one,
    enter,
    life,
    row,
    run_start,
    settle,
)


async def held(journal: Journal, name: str, *, at: int = 0, **more: Any) -> None:
    await enter(journal, name, at=at, **more)
    await settle(journal, await claim_one(journal, now=at), Hold(reason=HoldReason.NO_SOP, detail="x"), at=at)


async def dead(journal: Journal, name: str, **more: Any) -> None:
    await enter(journal, name, **more)
    await settle(journal, await claim_one(journal), Rejected(reason="400"))


class TestOperator:
    async def test_a_released_one_goes_to_the_tail_of_its_key(self, journal: Journal, reader: Reader) -> None:
        await held(journal, "1", key="k")
        await enter(journal, "2", key="k")
        released = await journal.operate("dlv_1", Released(by="ann"), 50)
        assert (released.state, released.rejoin) == ("pending", True)
        found = row(reader, "1")
        assert (found.state, found.head, found.due, found.age_from, found.waived) == (
            "pending",
            False,
            50,
            50,
            ("no_sop",),
        )
        for name in "21":
            wake = await claim_one(journal, now=50)
            assert wake.id == f"dlv_{name}"
            await settle(journal, wake, Delivered(), at=50)

    async def test_a_released_one_waits_for_all_that_came_meanwhile(self, journal: Journal) -> None:
        await held(journal, "1", key="k")
        for name in "23":
            await enter(journal, name, key="k")
        await journal.operate("dlv_1", Released(), 50)
        for name in "231":
            wake = await claim_one(journal, now=50)
            assert wake.id == f"dlv_{name}"
            await settle(journal, wake, Delivered(), at=50)

    async def test_two_that_are_released_keep_the_order_of_their_release(self, journal: Journal) -> None:
        for name in "12":
            await held(journal, name, key="k")
        for name in "21":
            await journal.operate(f"dlv_{name}", Released(), 50)
        assert (await claim_one(journal, now=50)).id == "dlv_2"

    async def test_one_that_is_released_comes_before_what_is_accepted_later(self, journal: Journal) -> None:
        await held(journal, "1", key="k")
        await journal.operate("dlv_1", Released(), 50)
        await enter(journal, "2", key="k")
        assert (await claim_one(journal, now=50)).id == "dlv_1"

    async def test_a_retried_one_has_all_its_attempts_again(self, journal: Journal, reader: Reader) -> None:
        await dead(journal, "1", key="k")
        await journal.operate("dlv_1", Retried(by="ann"), 50)
        found = row(reader, "1")
        assert (found.state, found.attempts, found.failures, found.head) == ("pending", 0, 1, True)
        assert (await claim_one(journal, now=50)).facts.attempts == 0

    @pytest.mark.parametrize("make", [held, dead])
    async def test_a_discarded_one_is_finished_and_says_by_whom(
        self, journal: Journal, reader: Reader, make: Callable[..., Any]
    ) -> None:
        await make(journal, "1")
        await journal.operate("dlv_1", Discarded(by="ann"), 50)
        found = row(reader, "1")
        assert (found.state, found.reason) == ("discarded", "no_sop" if make is held else "rejected")
        newest = reader.steps(Query())[0]
        assert (newest.transition, newest.detail, newest.at) == ("discarded", "ann", 50)
        assert reader.counts() == {"total": {"delivered": 0, "dropped": 0, "discarded": 1}}

    @pytest.mark.parametrize("transition", [Released(), Retried(), Discarded()])
    async def test_what_waits_for_its_turn_or_is_done_is_left_alone(
        self, journal: Journal, reader: Reader, transition: Transition
    ) -> None:
        await enter(journal, "1")
        with pytest.raises(Conflict, match="dlv_1 is pending and cannot be"):
            await journal.operate("dlv_1", transition, 5)
        wake = await claim_one(journal)
        with pytest.raises(Conflict, match="running"):
            await journal.operate("dlv_1", transition, 5)
        await settle(journal, wake, Delivered())
        with pytest.raises(Conflict, match="delivered"):
            await journal.operate("dlv_1", transition, 5)
        assert len(reader.steps(Query())) == 1

    async def test_one_that_does_not_exist_is_not_found(self, journal: Journal) -> None:
        with pytest.raises(NotFound, match="dlv_1"):
            await journal.operate("dlv_1", Released(), 5)

    async def test_only_an_operators_word_is_taken(self, journal: Journal) -> None:
        await enter(journal, "1")
        with pytest.raises(TypeError, match="Delivered"):
            await journal.operate("dlv_1", Delivered(), 5)


async def test_after_the_clock_was_set_back_all_is_due_when_it_was_to_be(
    journal: Journal, reader: Reader
) -> None:
    for name, key in (("1", "k"), ("2", "k"), ("3", None)):
        await enter(journal, name, key=key, at=DAY)
    await enter(journal, "gone", actor="away", at=DAY)
    wake = await claim_one(journal, actor="away", now=DAY)
    await settle(journal, wake, Unavailable(reason="refused"), at=DAY, pause_until=DAY + 500)
    await settle(
        journal, (await claim(journal, now=DAY, slots=1))[0], Retry(reason="500", after_ms=7), at=DAY
    )
    await journal.set_back(HOUR, by=DAY - HOUR)
    assert [row(reader, name).due for name in "123"] == [HOUR + 7, HOUR, HOUR]
    (pause,) = reader.pauses()
    assert (pause.since, pause.until) == (HOUR, HOUR + 500)


class TestRecover:
    async def test_a_clock_that_was_set_back_meanwhile_makes_nothing_wait_for_it(
        self, journal: Journal, reader: Reader
    ) -> None:
        await journal.beat(life(DAY))
        await enter(journal, "1", at=DAY)
        await journal.recover(HOUR)
        assert row(reader, "1").due == HOUR
        await settle(journal, await claim_one(journal, now=HOUR), Retry(reason="500", after_ms=9), at=HOUR)
        await journal.recover(HOUR + 1)
        assert row(reader, "1").due == HOUR + 9, "it was set back once"

    async def test_what_was_running_goes_back_and_what_has_a_run_stays(
        self, journal: Journal, reader: Reader
    ) -> None:
        for name in ("1", "2", "3"):
            await enter(journal, name, key=name)
        await enter(journal, "4", state=State.PREPARING)
        first, second, _ = await claim(journal)
        await journal.start_run(run_start(second, "run_1"))
        assert await journal.recover(70) == {"pending": 2}
        assert [row(reader, name).state for name in "1234"] == ["pending", "started", "pending", "preparing"]
        found = row(reader, "1")
        assert (found.crashes, found.due, found.changed_at, found.head) == (1, 70, 70, True)
        assert [row(reader, name).crashes for name in "24"] == [0, 0]
        assert not await settle(journal, first, Delivered())
        assert await journal.recover(71) == {}

    @pytest.mark.parametrize("crashes", range(CRASHES_BEFORE_HOLD + 1))
    async def test_it_is_the_move_that_core_draws(
        self, journal: Journal, reader: Reader, crashes: int
    ) -> None:
        await enter(journal, "1", key="k", at=2)
        await settle(journal, await claim_one(journal, now=3), Retry(reason="x", after_ms=0), at=4)
        for number in range(crashes):
            await claim(journal, now=10 + number)
            if row(reader, "1").state == "held":
                await journal.operate("dlv_1", Released(), 10 + number)
                await claim(journal, now=10 + number)
            await journal.recover(10 + number)
        (wake,) = await claim(journal, now=90) or (None,)
        if wake is None:
            assert row(reader, "1").reason == "crashes"
            return
        expected = move(wake.facts, Interrupted(crash=True), POLICY, 99, 0.0)
        assert await journal.recover(99) == {expected.state: 1}
        found = row(reader, "1")
        assert (found.state, found.due, found.reason, found.detail) == (
            expected.state,
            expected.due,
            expected.reason,
            expected.detail,
        )
        assert (found.attempts, found.failures, found.crashes, found.age_from) == (
            expected.attempts,
            expected.failures,
            expected.crashes,
            expected.age_from,
        )
        step = reader.steps(Query())[0]
        assert (step.transition, step.state, step.at, step.attempt) == (
            "interrupted",
            expected.state,
            99,
            expected.attempts,
        )
        assert (step.reason, step.detail) == (expected.reason, expected.detail)

    async def test_the_third_death_holds_it_and_lets_the_next_of_its_key_go(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k")
        counts = []
        for now in range(CRASHES_BEFORE_HOLD):
            await claim(journal, now=now)
            counts.append(dict(await journal.recover(now)))
        assert counts == [{"pending": 1}, {"pending": 1}, {"held": 1}]
        assert (row(reader, "1").reason, row(reader, "1").crashes) == ("crashes", 3)
        assert (await claim_one(journal, now=9)).id == "dlv_2"

    async def test_numbers_go_on_after_it(self, journal: Journal, reader: Reader) -> None:
        for name in "12":
            await enter(journal, name)
        await claim(journal)
        await journal.recover(5)
        await settle(journal, (await claim(journal, now=5))[0], Delivered())
        numbers = [step.cursor for step in reader.steps(Query())]
        assert len(numbers) == len(set(numbers)) == 3


class TestExpiry:
    async def test_what_nobody_decided_in_time_is_dropped(self, journal: Journal, reader: Reader) -> None:
        for name, at in (("1", 10), ("2", 20), ("3", 30)):
            await held(journal, name, at=at)
        await dead(journal, "4")
        assert await journal.expire(99, held_before=30) == 2
        assert [row(reader, name).state for name in "1234"] == ["dropped", "dropped", "held", "dead"]
        gone = row(reader, "1")
        assert (gone.reason, gone.detail) == ("expired", "held (no_sop) for longer than event_retention")
        assert reader.counts()["total"]["dropped"] == 2
        assert [step.transition for step in reader.steps(Query(delivery_id="dlv_1"))] == ["drop", "hold"]

    async def test_more_than_a_page_expires_in_one_call(self, journal: Journal, reader: Reader) -> None:
        for number in range(205):
            await enter(journal, str(number), state=State.HELD, reason="untrusted")
        assert await journal.expire(99, held_before=1) == 205
        assert "held" not in reader.counts()


class TestLives:
    async def test_the_last_life_is_first_and_is_kept_up_to_date(
        self, journal: Journal, reader: Reader
    ) -> None:
        await journal.beat(life(100))
        await journal.beat(life(200))
        await journal.beat(life(200, ended_at=250))
        assert [(found.started_at, found.ended_at) for found in reader.daemons()] == [(200, 250), (100, None)]
        assert (reader.daemons(limit=1)[0].port, reader.daemons(limit=1)[0].version) == (4800, "0.1.0")

    async def test_only_the_last_hundred_are_kept(self, journal: Journal, reader: Reader) -> None:
        for started_at in range(103):
            await journal.beat(life(started_at))
        lives = reader.daemons(limit=1_000)
        assert (len(lives), lives[-1].started_at) == (100, 3)

    async def test_one_that_died_was_there_while_its_work_was_written(
        self, journal: Journal, reader: Reader
    ) -> None:
        await journal.beat(life(100))
        await held(journal, "1", at=500)
        assert reader.daemons()[0].last_seen == 500
        await journal.operate("dlv_1", Released(by="ann"), 700)  # A person may, while no daemon runs.
        assert reader.daemons()[0].last_seen == 500
        await journal.recover(900)
        await journal.beat(life(1000))
        await enter(journal, "2", at=2000)
        assert [found.last_seen for found in reader.daemons()] == [2000, 500]
        await journal.beat(life(1000, ended_at=2100))
        await journal.recover(3000)
        assert [found.ended_at for found in reader.daemons()] == [2100, None]
