"""Bounded queues: `queue_depth` of a route, and what becomes of what is too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.queue_limit import Overflow, QueueLimit
from orgloop.core.deliveries.transition import Delivered, Released, Retry
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, applied, claim, claim_one, delivery, enter, event, row, settle
from tests.journal.stores import Opened


def limit(overflow: Overflow, depth: int = 2) -> QueueLimit:
    return QueueLimit(depth=depth, overflow=overflow, setting="then.delivery.queue_depth")


async def fill(journal: Journal, names: str, overflow: Overflow, *, depth: int = 2, **more: Any) -> None:
    for name in names:
        await enter(journal, name, queue=limit(overflow, depth), **more)


def states(reader: Reader, names: str) -> list[str]:
    return [f"{row(reader, name).state} {row(reader, name).reason}".strip() for name in names]


CASES: list[tuple[Overflow, Sequence[str]]] = [
    (Overflow.HOLD, ["pending", "pending", "held overflow", "held overflow"]),
    (Overflow.REFUSE, ["pending", "pending", "dropped overflow", "dropped overflow"]),
    (Overflow.DROP_OLDEST, ["dropped overflow", "dropped overflow", "pending", "pending"]),
]


@pytest.mark.parametrize(("overflow", "expected"), CASES, ids=[one for one, _ in CASES])
@pytest.mark.parametrize("together", [True, False], ids=["in one group", "one by one"])
async def test_what_becomes_of_what_is_too_much(
    overflow: Overflow, expected: Sequence[str], together: bool, journal: Journal, reader: Reader
) -> None:
    if together:
        queue = limit(overflow)
        await accept(journal, *(event(name, delivery(name, queue=queue)) for name in "abcd"))
    else:
        await fill(journal, "abcd", overflow)
    assert states(reader, "abcd") == expected
    assert "2 deliveries of this route wait; then.delivery.queue_depth is 2" in {
        row(reader, name).detail for name in "abcd"
    }


@pytest.mark.parametrize("overflow", Overflow)
async def test_its_event_is_accepted_whatever_becomes_of_the_delivery(
    overflow: Overflow, journal: Journal, reader: Reader
) -> None:
    await fill(journal, "abc", overflow, depth=1)
    assert reader.event("evt_c") is not None
    assert reader.counts()["total"][State.DROPPED] == (0 if overflow is Overflow.HOLD else 2)


@pytest.mark.parametrize("overflow", Overflow)
async def test_there_is_room_again_when_something_is_taken_up(
    overflow: Overflow, journal: Journal, reader: Reader
) -> None:
    await fill(journal, "ab", overflow)
    await claim(journal, slots=1)
    await fill(journal, "c", overflow)
    assert states(reader, "abc") == ["running", "pending", "pending"]


async def test_what_was_tried_is_not_dropped_for_a_newer_one(journal: Journal, reader: Reader) -> None:
    await fill(journal, "ab", Overflow.DROP_OLDEST)
    for wake in await claim(journal):
        await settle(journal, wake, Retry(reason="x", after_ms=100))
    await fill(journal, "c", Overflow.DROP_OLDEST)
    assert states(reader, "abc") == ["pending", "pending", "dropped overflow"]


async def test_of_a_key_the_next_one_goes_on_when_the_first_is_dropped(
    journal: Journal, reader: Reader
) -> None:
    await fill(journal, "abc", Overflow.DROP_OLDEST, key="k")
    assert states(reader, "abc") == ["dropped overflow", "pending", "pending"]
    assert (await claim_one(journal)).id == "dlv_b"


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        (Overflow.HOLD, ["pending", "pending", "held overflow"]),
        (Overflow.REFUSE, ["pending", "pending", "dropped overflow"]),
        (Overflow.DROP_OLDEST, ["dropped overflow", "pending", "pending"]),
    ],
)
async def test_each_event_of_a_batch_counts_and_leaves_it_alone(
    overflow: Overflow, expected: Sequence[str], journal: Journal, reader: Reader
) -> None:
    batch = Batching(key="b", policy=BatchPolicy(window_ms=10, max_wait_ms=100, max_events=50))
    await fill(journal, "abc", overflow, batch=batch)
    assert states(reader, "abc") == expected
    wake = await claim_one(journal, now=10)
    assert len(wake.others) == 1


async def test_what_is_preparing_counts_and_can_be_too_much(journal: Journal, reader: Reader) -> None:
    await fill(journal, "a", Overflow.HOLD, state=State.PREPARING)
    await fill(journal, "bc", Overflow.HOLD)
    await fill(journal, "d", Overflow.REFUSE, state=State.PREPARING)
    assert states(reader, "abcd") == ["preparing", "pending", "held overflow", "dropped overflow"]


async def test_other_routes_have_their_own_queue(journal: Journal, reader: Reader) -> None:
    await fill(journal, "ab", Overflow.REFUSE)
    await fill(journal, "c", Overflow.REFUSE, route="other")
    await enter(journal, "d")
    assert states(reader, "abcd") == ["pending"] * 4


async def test_what_a_person_releases_waits_although_there_is_no_room(
    journal: Journal, reader: Reader
) -> None:
    await fill(journal, "abc", Overflow.HOLD)
    await journal.operate("dlv_c", Released(), 1)
    assert states(reader, "abc") == ["pending"] * 3


async def test_what_waited_before_there_was_a_limit_counts_too(journal: Journal, reader: Reader) -> None:
    await enter(journal, "a")
    await enter(journal, "b")
    await journal.apply(applied(), {"route": "actor"}, 1, actors={"actor": False}, bounded=["route"])
    await fill(journal, "c", Overflow.REFUSE)
    assert states(reader, "abc") == ["pending", "pending", "dropped overflow"]


async def test_it_holds_after_a_restart(opened: Opened) -> None:
    await fill(opened.journal, "ab", Overflow.REFUSE)
    await opened.restart()
    await fill(opened.journal, "c", Overflow.REFUSE)
    reader = opened.reader()
    assert states(reader, "abc") == ["pending", "pending", "dropped overflow"]
    reader.close()


async def test_a_duplicate_takes_no_room(journal: Journal, reader: Reader) -> None:
    await fill(journal, "ab", Overflow.REFUSE, once=[("k", 100)])
    await fill(journal, "c", Overflow.REFUSE)
    assert states(reader, "abc") == ["pending", "dropped duplicate", "pending"]
    for wake in await claim(journal):
        await settle(journal, wake, Delivered())
