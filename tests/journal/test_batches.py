"""Batches: what waits a while for others of its route and key, and is woken for together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.deliveries.batch import MOST_BYTES, Batch, Batching, BatchPolicy, thing_of
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Hold,
    HoldReason,
    Interrupted,
    Ready,
    Rejected,
    Released,
    Retried,
    Retry,
)
from orgloop.errors import Conflict
from orgloop.journal.model import ClaimWant, Prepared, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, applied, claim, claim_one, delivery, enter, event, row, settle
from tests.journal.stores import Opened

POLICY = BatchPolicy(window_ms=100, max_wait_ms=250, max_events=4)


def batch(key: str = "b", *, thing: str | None = None, **policy: int) -> Batching:
    return Batching(key=key, policy=replace(POLICY, **policy), thing=thing)


async def comes(journal: Journal, name: str, at: int = 0, **more: Any) -> None:
    await enter(journal, name, at=at, **{"batch": batch(), **more})


def wakes_of(*wakes: Any) -> list[list[str]]:
    return [[wake.id[4:], *(other.id[4:] for other in wake.others)] for wake in wakes]


async def wakes(journal: Journal, now: int) -> list[list[str]]:
    return wakes_of(*await claim(journal, now=now))


def due(reader: Reader, name: str) -> int:
    return row(reader, name).due


@pytest.mark.parametrize("key", ["k", None])
async def test_the_window_counts_from_the_last_event_and_ends_at_the_longest_wait(
    journal: Journal, reader: Reader, key: str | None
) -> None:
    for number, (at, expected) in enumerate([(0, 100), (60, 160), (150, 250)]):
        await comes(journal, str(number), at, key=key)
        assert due(reader, "0") == expected
        assert await wakes(journal, expected - 1) == []
    assert row(reader, "0").batch_until == 250
    assert await wakes(journal, 250) == [["0", "1", "2"]]
    assert row(reader, "0").batch_until is None


async def test_the_next_time_something_is_due_is_when_a_batch_is(journal: Journal) -> None:
    await comes(journal, "1", 7)
    assert (await journal.claim([ClaimWant(actor="actor", slots=1)], 8)).next_due == 107


async def test_a_full_one_is_due_at_once_and_what_is_too_much_opens_the_next(
    journal: Journal, reader: Reader
) -> None:
    made = [event(str(n), delivery(str(n), batch=batch())) for n in range(6)]
    await accept(journal, *made, at=10)
    assert [row(reader, str(n)).members for n in (0, 4)] == [
        [f"dlv_{n}" for n in range(4)],
        ["dlv_4", "dlv_5"],
    ]
    assert await wakes(journal, 10) == [["0", "1", "2", "3"]]
    assert await wakes(journal, 110) == [["4", "5"]]


async def test_events_that_are_too_large_together_come_in_several_wakes(
    journal: Journal, reader: Reader
) -> None:
    large = {"text": "x" * (MOST_BYTES // 2)}
    for name in "123":
        await comes(journal, name, document=large)
    assert await wakes(journal, 99) == [["1"], ["2"]], "full, so they are due"
    assert await wakes(journal, 100) == [["3"]]


@pytest.mark.parametrize(
    ("other", "together"),
    [
        ({"route": "other"}, False),
        ({"actor": "other"}, False),
        ({"batch": batch("c")}, False),
        ({"batch": None}, False),
        ({"state": State.HELD, "reason": "untrusted"}, False),
        ({}, True),
    ],
)
async def test_only_one_route_and_key_are_together(
    journal: Journal, reader: Reader, other: dict[str, Any], together: bool
) -> None:
    await comes(journal, "1")
    await comes(journal, "2", **other)
    assert bool(row(reader, "1").members) is together
    assert bool(row(reader, "2").members) is together


async def test_once_it_is_claimed_the_next_event_opens_another_which_waits_for_its_key(
    journal: Journal, reader: Reader
) -> None:
    await comes(journal, "1", key="k")
    first = await claim_one(journal, now=100)
    await comes(journal, "2", 110, key="k")
    await comes(journal, "3", 500, key="k")
    assert await wakes(journal, 600) == [], "its key is busy, so it collects on"
    await comes(journal, "4", 700, key="k")
    await settle(journal, first, Delivered(), at=800)
    assert await wakes(journal, 800) == [["2", "3", "4"]]


async def test_what_is_due_waits_for_its_turn_only_and_takes_more_meanwhile(
    journal: Journal, reader: Reader
) -> None:
    await comes(journal, "1")
    await comes(journal, "2", 150)
    assert due(reader, "1") == 100
    assert await wakes(journal, 150) == [["1", "2"]]


@pytest.mark.parametrize(
    "transition", [Retry(reason="500", after_ms=0), Interrupted(crash=True), Interrupted(crash=False)]
)
async def test_a_wake_that_was_tried_takes_nothing_more_and_none_leaves_it(
    journal: Journal, reader: Reader, transition: Any
) -> None:
    for name in "12":
        await comes(journal, name)
    await settle(journal, await claim_one(journal, now=100), transition, at=100)
    await comes(journal, "3", 100)
    for name in "12":
        with pytest.raises(Conflict):
            await journal.operate(f"dlv_{name}", Discarded(), 100)
    assert await wakes(journal, 200) == [["1", "2"], ["3"]]


async def test_a_death_leaves_an_open_one_open_and_gives_a_claimed_one_back_as_it_was(
    opened: Opened,
) -> None:
    journal: Any = opened.journal
    for name in "12":
        await comes(journal, name)
    await opened.restart()
    journal = opened.journal
    await journal.recover(10)
    await comes(journal, "3", 20)
    await claim_one(journal, now=120)
    await opened.restart()
    journal = opened.journal
    await journal.recover(130)
    await comes(journal, "4", 130)
    assert await wakes(journal, 230) == [["1", "2", "3"], ["4"]]


@pytest.mark.parametrize("gone", "123")
@pytest.mark.parametrize("key", ["k", None])
async def test_one_may_be_discarded_before_the_claim_and_the_rest_collects_on(
    journal: Journal, reader: Reader, gone: str, key: str | None
) -> None:
    for name in "123":
        await comes(journal, name, key=key)
    await journal.operate(f"dlv_{gone}", Discarded(), 5)
    await comes(journal, "4", 50, key=key)
    await comes(journal, "5", 60, key=key)
    assert await wakes(journal, 60) == [[name for name in "12345" if name != gone]], "four are enough"
    assert row(reader, gone).state == "discarded"


@pytest.mark.parametrize("again", [Released(), Retried()])
async def test_what_a_person_lets_go_on_collects_nothing_more(
    journal: Journal, reader: Reader, again: Any
) -> None:
    for name in "12":
        await comes(journal, name)
    wake = await claim_one(journal, now=100)
    held = isinstance(again, Released)
    await settle(journal, wake, Hold(reason=HoldReason.NO_SOP) if held else Rejected(reason="404"), at=100)
    await comes(journal, "3", 110)
    await journal.operate("dlv_2", again, 120)
    await comes(journal, "4", 130)
    assert await wakes(journal, 230) == [["1", "2"], ["3", "4"]]


async def test_a_later_version_of_a_thing_takes_the_place_of_the_earlier_one(
    journal: Journal, reader: Reader
) -> None:
    for name, thing in [("1", "comment-1"), ("2", "comment-2"), ("3", "comment-1"), ("4", None)]:
        await comes(journal, name, key="k", batch=batch(thing=thing))
    old = row(reader, "1")
    assert (old.state, old.reason, old.detail, old.members) == (
        "dropped",
        "superseded",
        "dlv_3 is a later version of it",
        (),
    )
    assert [step.transition for step in reader.steps(Query(delivery_id="dlv_1"))] == ["drop"]
    await comes(journal, "5", 10, key="k", batch=batch(thing="comment-2"))
    assert due(reader, "3") == 110, "three of four: it is not full"
    assert await wakes(journal, 110) == [["3", "4", "5"]]
    assert (row(reader, "3").key, row(reader, "3").head) == ("k", True)


async def test_a_lone_event_that_is_edited_keeps_its_place_and_its_longest_wait(
    journal: Journal, reader: Reader
) -> None:
    await comes(journal, "1", key="k", batch=batch(thing="c"))
    await enter(journal, "2", key="k")
    await comes(journal, "3", 90, key="k", batch=batch(thing="c"))
    await comes(journal, "4", 180, key="k", batch=batch(thing="c"))
    assert (due(reader, "4"), row(reader, "4").batch_until) == (250, 250)
    (wake,) = await claim(journal, now=250)
    assert wakes_of(wake) == [["4"]]
    await settle(journal, wake, Delivered(), at=250)
    assert await wakes(journal, 250) == [["2"]]


async def test_a_duplicate_is_in_no_batch(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await comes(journal, name, once=[("x", 1_000)])
    await comes(journal, "3")
    assert await wakes(journal, 100) == [["1", "3"]]
    assert (row(reader, "2").state, row(reader, "2").reason) == ("dropped", "duplicate")


async def test_what_is_prepared_later_is_collected_in_the_order_of_acceptance(
    journal: Journal, reader: Reader
) -> None:
    for name in "123":
        await enter(journal, name, state=State.PREPARING)
    done = [
        Prepared(id=f"dlv_{name}", transition=Ready(), key="k", batch=batch(thing=thing))
        for name, thing in [("1", "c"), ("2", None), ("3", "c")]
    ]
    await journal.prepared(done[:2], 10)
    await journal.prepared(done[2:], 50)
    assert await wakes(journal, 149) == []
    assert await wakes(journal, 150) == [["2", "3"]]
    assert row(reader, "1").reason == "superseded"


async def test_a_changed_route_dissolves_an_open_one_and_collects_anew(
    journal: Journal, reader: Reader
) -> None:
    for name in "12":
        await comes(journal, name)
    await journal.apply(applied(), {"route": "actor"}, 5, actors={"actor": False}, changed={"route"})
    found = await journal.to_prepare("route", 9)
    assert [one.id for one in found] == ["dlv_1", "dlv_2"]
    await comes(journal, "3", 10)
    await journal.prepared([Prepared(id=one.id, transition=Ready(), batch=batch()) for one in found], 20)
    assert await wakes(journal, 120) == [["3", "1", "2"]]


async def test_a_route_that_is_as_it_was_keeps_its_open_one(journal: Journal) -> None:
    await comes(journal, "1")
    await journal.apply(applied(), {"route": "actor"}, 5, actors={"actor": False})
    await comes(journal, "2", 50)
    assert await wakes(journal, 150) == [["1", "2"]]


async def test_a_clock_that_is_set_back_delays_no_batch(journal: Journal, reader: Reader) -> None:
    await comes(journal, "1", 10_000)
    await journal.set_back(5_000, 5_000)
    assert (due(reader, "1"), row(reader, "1").batch_until) == (5_100, 5_250)
    for at in (5_090, 5_180):
        await comes(journal, str(at), at)
    assert due(reader, "1") == 5_250


async def test_a_guard_holds_all_and_the_next_event_opens_another(journal: Journal, reader: Reader) -> None:
    for name in "12":
        await comes(journal, name, runs=True)
    refuse = ClaimWant(actor="actor", slots=1, admit=lambda *_: Hold(reason=HoldReason.STALE))
    await journal.claim([refuse], 100)
    assert [row(reader, name).state for name in "12"] == ["held", "held"]
    await comes(journal, "3", 100, runs=True)
    assert await wakes(journal, 200) == [["3"]]


# --- the rules alone


@given(
    gaps=st.lists(st.integers(0, 30_000), min_size=1, max_size=20),
    window=st.integers(1, 20_000),
    longest=st.integers(0, 100_000),
)
def test_a_batch_is_due_a_window_after_its_last_event_and_never_later_than_its_longest_wait(
    gaps: list[int], window: int, longest: int
) -> None:
    policy = BatchPolicy(window_ms=window, max_wait_ms=window + longest, max_events=100)
    now = 1_000
    found = Batch.begun(policy, 1, now)
    for gap in gaps:
        if (now := now + gap) >= found.due:
            break
        found = found.after(policy, 1, now, replaces=False)
        assert found.due == min(1_000 + policy.max_wait_ms, now + window)
        assert found.until == 1_000 + policy.max_wait_ms


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("issue_comment", "created"), ("issue_comment", "edited"), True),
        (("issue_comment", "edited"), ("issue_comment", "deleted"), False),
        (("pull_request", "opened"), ("pull_request", "edited"), True),
        (("pull_request", "opened"), ("pull_request", "closed"), False),
        (("pull_request", "synchronize"), ("pull_request", "synchronize"), True),
        (("issues", "labeled"), ("pull_request", "labeled"), False),
    ],
)
def test_an_edit_replaces_a_text_and_each_other_change_its_like(
    one: tuple[str, str], other: tuple[str, str], same: bool
) -> None:
    native = [{"provenance": {"native_event": kind, "native_action": does}} for kind, does in (one, other)]
    assert (thing_of("x", native[0]) == thing_of("x", native[1])) is same
    ours = [{"provenance": {"platform_event": ".".join(names)}} for names in (one, other)]
    assert (thing_of("x", ours[0]) == thing_of("x", ours[1])) is same
    assert thing_of("x", native[0]) != thing_of("y", native[0])
    assert thing_of(None, native[0]) is None
