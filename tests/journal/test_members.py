"""A wake with three members: one leads, and every move covers all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orgloop.core.deliveries.admission import Ledger, Verdict, Want
from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Hold,
    HoldReason,
    NotStarted,
    Rejected,
    Released,
    Retried,
    Retry,
    Skipped,
    Throttled,
    Transition,
    Unavailable,
)
from orgloop.errors import Conflict
from orgloop.journal.model import START, ClaimWant, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import (
    accept,
    applied,
    claim,
    claim_one,
    delivery,
    enter,
    event,
    row,
    run_end,
    run_start,
    settle,
)
from tests.journal.stores import Opened

NAMES = "123"
ALL = ("dlv_1", "dlv_2", "dlv_3")


TOGETHER = Batching(key="j", policy=BatchPolicy(window_ms=0, max_wait_ms=0))


async def three(opened: Opened, *, key: str | None = "k", runs: bool = False) -> None:
    for number, name in enumerate(NAMES):
        one = event(name, delivery(name, key=key, runs=runs, batch=TOGETHER), trace=f"t{name}", hops=number)
        await accept(opened.journal, one)


def states(reader: Reader, names: str = NAMES) -> list[str]:
    return [row(reader, name).state for name in names]


def heads(reader: Reader, names: str = NAMES) -> list[bool]:
    return [row(reader, name).head for name in names]


async def test_a_claim_gives_a_lead_and_its_members(opened: Opened, journal: Journal, reader: Reader) -> None:
    await three(opened)
    (wake,) = await claim(journal)
    assert (wake.id, [other.id for other in wake.others]) == ("dlv_1", ["dlv_2", "dlv_3"])
    assert [(other.event_id, other.document) for other in wake.others] == [
        ("evt_2", b'{"id":"evt_2"}'),
        ("evt_3", b'{"id":"evt_3"}'),
    ]
    assert states(reader) == ["running"] * 3
    assert [row(reader, name).members for name in NAMES] == [list(ALL)] * 3
    assert {row(reader, name).lead for name in NAMES} == {"dlv_1"}


@pytest.mark.parametrize("key", ["k", None])
async def test_members_have_no_place_and_the_lead_keeps_its_own(
    opened: Opened, journal: Journal, reader: Reader, key: str | None
) -> None:
    await three(opened, key=key)
    await enter(journal, "4", key="k")
    assert heads(reader, "1234") == [True, False, False, key is None]
    assert [row(reader, name).key for name in NAMES] == [key, None, None]
    if key is not None:
        await settle(journal, await claim_one(journal), Delivered())
        assert (await claim_one(journal)).id == "dlv_4"


@pytest.mark.parametrize(
    "transition",
    [
        Delivered(detail="200 OK"),
        Skipped(reason="x"),
        Rejected(reason="404"),
        Retry(reason="500", after_ms=50),
        Throttled(until=5_000),
        Unavailable(reason="x"),
        Hold(reason=HoldReason.NO_SOP),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_a_settlement_covers_all(
    opened: Opened, journal: Journal, reader: Reader, transition: Transition
) -> None:
    await three(opened)
    await settle(journal, await claim_one(journal), transition, at=7, pause_until=9)
    lead, *rest = [row(reader, name) for name in NAMES]
    for other in rest:
        for field in ("state", "reason", "detail", "due", "changed_at", "age_from", "attempts", "failures"):
            assert getattr(other, field) == getattr(lead, field), field
    for id in ALL:
        (step,) = reader.steps(Query(delivery_id=id))
        assert (step.state, step.at, step.attempt) == (lead.state, 7, lead.attempts)
    counts = reader.counts()
    assert (
        sum(sum(routes.values()) for state, routes in counts.items() if state != "total")
        + sum(counts["total"].values())
        == 3
    )


async def test_only_the_lead_has_a_guard_and_who_lost_it_moves_none(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened)
    wake = await claim_one(journal)
    await settle(journal, wake, Retry(reason="500", after_ms=0))
    again = await claim_one(journal)
    assert not await settle(journal, wake, Delivered())
    assert states(reader) == ["running"] * 3
    assert await settle(journal, again, Delivered())
    assert states(reader) == ["delivered"] * 3


async def test_a_run_belongs_to_all_and_is_in_the_chain_of_each(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened, runs=True)
    wake = await claim_one(journal)
    await journal.start_run(run_start(wake, "run_1"))
    assert states(reader) == ["started"] * 3
    assert [row(reader, name).run_id for name in NAMES] == ["run_1"] * 3
    await journal.end_run(run_end(wake, "run_1", at=5))
    assert states(reader) == ["delivered"] * 3
    for name in NAMES:
        _, _, steps, runs = reader.trace(f"trc_t{name}")
        assert [run.id for run in runs] == ["run_1"]
        assert [step.transition for step in steps] == ["started", "begun", "run_ended"]


async def test_a_run_that_never_began_gives_all_back(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened, runs=True)
    wake = await claim_one(journal)
    await journal.start_run(run_start(wake, "run_1"))
    nothing = NotStarted(outcome=Retry(reason="75", after_ms=0))
    await journal.end_run(run_end(wake, "run_1", transition=nothing))
    assert (states(reader), heads(reader)) == (["pending"] * 3, [True, False, False])
    assert len((await claim_one(journal)).others) == 2


async def test_a_guard_asks_with_the_most_hops_and_holds_all(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened, runs=True)
    asked: list[int] = []

    def hold(want: Want, _: Ledger) -> Verdict:
        asked.append(want.hops)
        return Hold(reason=HoldReason.HOPS)

    await journal.claim([ClaimWant(actor="actor", slots=1, admit=hold)], 0)
    assert (asked, states(reader)) == ([2], ["held"] * 3)
    await journal.operate("dlv_3", Released(), 1)
    assert (states(reader), heads(reader)) == (["pending"] * 3, [True, False, False])
    assert row(reader, "2").waived == ("hops",)


async def test_a_death_covers_all(opened: Opened, journal: Journal, reader: Reader) -> None:
    await three(opened)
    for crash in range(3):
        await claim_one(journal, now=crash)
        await journal.recover(crash)
    assert (states(reader), heads(reader)) == (["held"] * 3, [False] * 3)
    assert [row(reader, name).crashes for name in NAMES] == [3] * 3


@pytest.mark.parametrize("gone", NAMES)
@pytest.mark.parametrize("key", ["k", None])
async def test_before_the_claim_one_may_be_discarded_and_the_next_one_leads(
    opened: Opened, journal: Journal, reader: Reader, gone: str, key: str | None
) -> None:
    await three(opened, key=key)
    await enter(journal, "4", key=key)
    assert (await journal.operate(f"dlv_{gone}", Discarded(), 5)).state is State.DISCARDED
    left = [name for name in NAMES if name != gone]
    assert row(reader, gone).state == "discarded"
    wake = (await claim(journal, now=5, slots=1))[0]
    assert [wake.id, *(other.id for other in wake.others)] == [f"dlv_{name}" for name in left]
    assert wake.key == key, "it keeps its place in the key"


async def test_the_last_one_that_is_left_is_as_any_other(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened)
    await journal.operate("dlv_1", Discarded(), 5)
    await journal.operate("dlv_3", Discarded(), 5)
    assert (row(reader, "2").members, row(reader, "2").key, row(reader, "2").head) == ((), "k", True)
    with pytest.raises(Conflict):
        await journal.operate("dlv_2", Discarded(), 5)
    assert (await claim_one(journal, now=5)).others == ()


@pytest.mark.parametrize("name", NAMES)
async def test_after_the_claim_none_may_be_discarded(opened: Opened, journal: Journal, name: str) -> None:
    await three(opened)
    await claim_one(journal)
    with pytest.raises(Conflict):
        await journal.operate(f"dlv_{name}", Discarded(), 5)


@pytest.mark.parametrize("name", NAMES)
async def test_a_held_or_dead_wake_goes_on_as_one_whichever_member_is_named(
    opened: Opened, journal: Journal, reader: Reader, name: str
) -> None:
    await three(opened)
    await settle(journal, await claim_one(journal), Rejected(reason="404"))
    await journal.operate(f"dlv_{name}", Retried(), 5)
    assert states(reader) == ["pending"] * 3
    wake = await claim_one(journal, now=5)
    assert (wake.id, wake.key, len(wake.others)) == ("dlv_1", "k", 2)


async def test_of_a_dead_wake_one_may_be_discarded(opened: Opened, journal: Journal, reader: Reader) -> None:
    await three(opened)
    await settle(journal, await claim_one(journal), Rejected(reason="404"))
    await journal.operate("dlv_1", Discarded(), 5)
    assert states(reader) == ["discarded", "dead", "dead"]
    await journal.operate("dlv_3", Retried(), 6)
    assert (await claim_one(journal, now=6)).id == "dlv_2"


async def test_what_waited_too_long_expires_as_one_in_pages_of_any_size(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened)
    await settle(journal, await claim_one(journal), Hold(reason=HoldReason.NO_SOP))
    while await journal.expire(9, held_before=9):
        pass
    assert (states(reader), row(reader, "3").reason) == (["dropped"] * 3, "expired")


async def test_a_duplicate_among_them_is_dropped_alone_when_they_go_on(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    for name in NAMES:
        await enter(journal, name, once=[(f"k{name}", 100)], batch=TOGETHER)
    await settle(journal, await claim_one(journal), Rejected(reason="404"))
    await enter(journal, "4", at=10, once=[("k1", 100)])
    await journal.operate("dlv_2", Retried(), 20)
    assert states(reader) == ["dropped", "pending", "pending"]
    assert row(reader, "1").detail == "dlv_4 passed with the same key"
    wakes = {wake.id: len(wake.others) for wake in await claim(journal, now=20)}
    assert wakes == {"dlv_4": 0, "dlv_2": 1}


async def apply(journal: Journal, routes: dict[str, str], *changed: str) -> None:
    actors = {"actor": False, "new": True}
    await journal.apply(applied(), routes, 5, actors=actors, changed=set(changed))


async def test_a_changed_route_dissolves_it(opened: Opened, journal: Journal, reader: Reader) -> None:
    await three(opened)
    await apply(journal, {"route": "actor"}, "route")
    assert (states(reader), [row(reader, name).members for name in NAMES]) == (["preparing"] * 3, [()] * 3)
    assert [one.id for one in await journal.to_prepare("route", 9)] == list(ALL)


async def test_another_actor_takes_all_and_a_route_that_is_gone_holds_all(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened)
    await apply(journal, {"route": "new"})
    assert [(row(reader, name).actor, row(reader, name).runs) for name in NAMES] == [("new", True)] * 3
    await apply(journal, {})
    assert (states(reader), row(reader, "2").reason) == (["held"] * 3, "removed")
    await apply(journal, {"route": "actor"})
    assert (states(reader), [row(reader, name).members for name in NAMES]) == (["preparing"] * 3, [()] * 3)


async def test_finished_members_are_forgotten_with_their_events(
    opened: Opened, journal: Journal, reader: Reader
) -> None:
    await three(opened)
    await settle(journal, await claim_one(journal), Delivered(), at=5)
    for left in (2, 1, 0):
        assert await journal.prune(100, 100, 1) == 1
        assert len(_all(reader)) == left
    assert reader.counts()["total"]["delivered"] == 3


def _all(reader: Reader) -> Sequence[str]:
    return [one.id for one in reader.deliveries(Query(after=START))]


async def test_an_event_names_the_thing_that_it_is_about(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("1")._replace(entity="comment-17"))
    found = reader.event("evt_1")
    assert found is not None
    assert found.entity == "comment-17"
