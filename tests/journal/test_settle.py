"""Writing down how tries ended."""

from __future__ import annotations

import asyncio

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Hold,
    HoldReason,
    Interrupted,
    Limited,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Transition,
    Unavailable,
)
from orgloop.journal.model import Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import POLICY, claim, claim_one, enter, row, settle, settlement

OUTCOMES: list[Transition] = [
    Delivered(detail="200 OK"),
    Skipped(reason="not mine"),
    Rejected(reason="400"),
    Retry(reason="500"),
    Retry(reason="timeout", known=False, after_ms=9),
    Throttled(until=900),
    Unavailable(reason="refused"),
    Limited(account="a", until=900),
    Interrupted(crash=False),
    Interrupted(crash=True),
    Hold(reason=HoldReason.NO_SOP, detail="no file"),
]


@pytest.mark.parametrize("transition", OUTCOMES, ids=lambda transition: type(transition).__name__)
async def test_the_row_is_what_the_move_says(
    journal: Journal, reader: Reader, transition: Transition
) -> None:
    await enter(journal, "1", key="k", at=2)
    wake = await claim_one(journal, now=3)
    written = settlement(wake, transition, at=50, began=40)
    assert await journal.settle(written)
    after, found = written.move, row(reader, "1")
    assert (found.state, found.reason, found.detail, found.due) == (
        after.state,
        after.reason,
        after.detail,
        after.due,
    )
    assert (found.attempts, found.failures, found.crashes) == (after.attempts, after.failures, after.crashes)
    assert (found.age_from, found.changed_at, found.accepted_at) == (after.age_from, 50, 2)
    (step,) = reader.steps(Query())
    assert (step.delivery_id, step.event_id, step.route, step.actor) == ("dlv_1", "evt_1", "route", "actor")
    assert (step.state, step.attempt, step.reason, step.detail) == (
        after.state,
        after.attempts,
        after.reason,
        after.detail,
    )
    assert (step.at, step.began) == (50, 40)


@pytest.mark.parametrize("transition", OUTCOMES, ids=lambda transition: type(transition).__name__)
async def test_the_keys_next_goes_on_unless_this_one_still_blocks(
    journal: Journal, reader: Reader, transition: Transition
) -> None:
    await enter(journal, "1", key="k")
    await enter(journal, "2", key="k")
    await settle(journal, await claim_one(journal), transition)
    waits = row(reader, "1").state == "pending"
    assert (row(reader, "1").head, row(reader, "2").head) == (waits, not waits)


async def test_a_delivery_is_settled_once(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1")
    wake = await claim_one(journal)
    assert await settle(journal, wake, Delivered(detail="first"))
    assert not await settle(journal, wake, Rejected(reason="second"))
    assert (row(reader, "1").state, row(reader, "1").detail) == ("delivered", "first")
    assert len(reader.steps(Query())) == 1
    assert reader.counts() == {"total": {"delivered": 1, "dropped": 0, "discarded": 0}}


async def test_a_delivery_nobody_knows_is_not_settled(journal: Journal) -> None:
    await enter(journal, "1")
    wake = await claim_one(journal)
    assert not await settle(journal, wake._replace(id="dlv_other", seq=wake.seq + 1_000), Delivered())


@pytest.mark.parametrize("count", [2, 5, 150])
async def test_tries_that_end_together_end_each_in_its_own_way(
    journal: Journal, reader: Reader, count: int
) -> None:
    names = [str(number) for number in range(count)]
    for name in names:
        await enter(journal, name, key=f"k{name}" if int(name) % 3 == 0 else None)
        await enter(journal, f"next{name}", key=f"k{name}" if int(name) % 3 == 0 else None)
    ends: list[Transition] = [Delivered(detail="200"), Rejected(reason="400"), Retry(reason="500")]
    wakes = {wake.id: wake for wake in await claim(journal, slots=1_000)}
    ended = await asyncio.gather(
        *(
            settle(journal, wakes[f"dlv_{name}"], ends[number % 3], sop=("text", "hash"))
            for number, name in enumerate(names)
        )
    )
    assert ended == [True] * count
    for number, name in enumerate(names):
        one = row(reader, name)
        assert (one.state, one.detail) == [("delivered", "200"), ("dead", "400"), ("pending", "500")][
            number % 3
        ]
        (step,) = reader.steps(Query(delivery_id=one.id))
        assert (step.state, step.sop_hash) == (one.state, "hash")
        assert row(reader, f"next{name}").head
    assert reader.sop("hash") == "text"


async def test_one_that_somebody_else_moved_does_not_keep_its_neighbours_from_ending(
    journal: Journal, reader: Reader
) -> None:
    for name in "123":
        await enter(journal, name)
    first, second, third = await claim(journal)
    stale = second._replace(token=second.token - 1)
    ends = (settle(journal, wake, Delivered()) for wake in (first, stale, third, third))
    assert await asyncio.gather(*ends) == [True, False, True, False]
    assert [row(reader, name).state for name in "123"] == ["delivered", "running", "delivered"]
    assert len(reader.steps(Query())) == 2


async def test_tries_run_out(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1")
    now = 0
    for _ in range(POLICY.retry.max_attempts):
        now += 1_000
        await settle(journal, await claim_one(journal, now=now), Retry(reason="500"), at=now)
    dead = row(reader, "1")
    assert (dead.state, dead.reason, dead.attempts, dead.failures) == ("dead", "attempts", 3, 3)
    assert await claim(journal, now=now + 10_000) == []
    assert reader.counts()["dead"] == {"route": 1}


async def test_a_prompt_file_is_kept_once_per_content(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await enter(journal, name)
        await settle(journal, await claim_one(journal), Delivered(), sop=("# Review", "hash"))
    assert reader.sop("hash") == "# Review"
    assert reader.sop("other") is None
    assert {(step.sop_hash, step.sop_file) for step in reader.steps(Query())} == {("hash", "hash")}


async def test_what_is_finished_is_counted_for_ever(journal: Journal, reader: Reader) -> None:
    for name, transition in (("1", Delivered()), ("2", Skipped(reason="x")), ("3", Delivered())):
        await enter(journal, name)
        await settle(journal, await claim_one(journal), transition)
    assert reader.counts() == {"total": {"delivered": 2, "dropped": 1, "discarded": 0}}
    await journal.prune(before=1, seen_before=0, limit=10)
    assert reader.counts() == {"total": {"delivered": 2, "dropped": 1, "discarded": 0}}


async def test_states_are_told_by_route(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", route="one", key="k")
    await enter(journal, "2", route="one", key="k")
    await enter(journal, "3", route="two", state=State.PREPARING)
    await enter(journal, "4", route="two", state=State.HELD, reason="untrusted")
    await claim_one(journal)
    assert reader.counts() == {
        "pending": {"one": 1},
        "running": {"one": 1},
        "preparing": {"two": 1},
        "held": {"two": 1},
        "total": {"delivered": 0, "dropped": 0, "discarded": 0},
    }
