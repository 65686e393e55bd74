"""What an event does with others of its key that have not finished, and what makes waiting ones needless."""

from __future__ import annotations

from typing import Any

import pytest

from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.on_busy import OnBusy, Turn
from orgloop.core.deliveries.transition import Delivered, Hold, HoldReason, Interrupted, Ready, Retry
from orgloop.journal.model import Prepared, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import (
    accept,
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

SKIP, REPLACE, CANCEL = OnBusy.SKIP, OnBusy.REPLACE_PENDING, OnBusy.CANCEL_IN_PROGRESS


def turn(on_busy: OnBusy, key: str = "t") -> Turn:
    return Turn(key=key, on_busy=on_busy)


async def comes(journal: Journal, name: str, on_busy: OnBusy | None, **more: Any) -> None:
    await enter(journal, name, **{"turn": None if on_busy is None else turn(on_busy), **more})


def seen(reader: Reader, names: str) -> list[str]:
    return [row(reader, name).reason or str(row(reader, name).state) for name in names]


async def begins(journal: Journal, run_id: str) -> Any:
    wake = await claim_one(journal)
    await journal.start_run(run_start(wake, run_id))
    return wake


@pytest.mark.parametrize(
    ("on_busy", "expected"),
    [
        (SKIP, ["pending", "busy", "busy"]),
        (REPLACE, ["replaced", "replaced", "pending"]),
        (CANCEL, ["replaced", "replaced", "pending"]),
    ],
)
@pytest.mark.parametrize("key", [None, "k"])
async def test_of_those_that_wait_one_is_left(
    journal: Journal, reader: Reader, on_busy: OnBusy, expected: list[str], key: str | None
) -> None:
    for name in "123":
        await comes(journal, name, on_busy, key=key)
    assert seen(reader, "123") == expected
    (wake,) = await claim(journal)
    assert wake.id == f"dlv_{expected.index('pending') + 1}"
    dropped = [name for name in "123" if row(reader, name).state == "dropped"]
    for name in dropped:
        assert [step.transition for step in reader.steps(Query(delivery_id=f"dlv_{name}"))] == ["drop"]
        assert "dlv_" in row(reader, name).detail


@pytest.mark.parametrize(
    ("on_busy", "expected"),
    [
        (SKIP, ["running", "busy", "busy"]),
        (REPLACE, ["running", "replaced", "pending"]),
        (CANCEL, ["running", "replaced", "pending"]),
    ],
)
async def test_what_goes_on_is_not_touched_by_the_journal(
    journal: Journal, reader: Reader, on_busy: OnBusy, expected: list[str]
) -> None:
    await comes(journal, "1", on_busy)
    wake = await claim_one(journal)
    for name in "23":
        await comes(journal, name, on_busy)
    assert seen(reader, "123") == expected
    await settle(journal, wake, Delivered())
    await comes(journal, "4", on_busy)
    left = {SKIP: ["delivered", "busy", "busy", "pending"]}.get(
        on_busy, ["delivered", "replaced", "replaced", "pending"]
    )
    assert seen(reader, "1234") == left


@pytest.mark.parametrize(
    ("on_busy", "expected"),
    [(SKIP, ["pending", "busy"]), (REPLACE, ["pending", "pending"]), (CANCEL, ["replaced", "pending"])],
)
async def test_what_was_tried_keeps_its_tries_unless_all_is_cancelled(
    journal: Journal, reader: Reader, on_busy: OnBusy, expected: list[str]
) -> None:
    await comes(journal, "1", on_busy)
    await settle(journal, await claim_one(journal), Retry(reason="500", after_ms=50))
    await comes(journal, "2", on_busy)
    assert seen(reader, "12") == expected


@pytest.mark.parametrize("on_busy", [SKIP, REPLACE, CANCEL])
async def test_other_keys_and_routes_and_what_waits_for_a_person_are_left_alone(
    journal: Journal, reader: Reader, on_busy: OnBusy
) -> None:
    await comes(journal, "1", on_busy)
    await settle(journal, await claim_one(journal), Hold(reason=HoldReason.NO_SOP))
    await comes(journal, "2", on_busy, turn=turn(on_busy, "other"))
    await comes(journal, "3", on_busy, route="other")
    await comes(journal, "4", None)
    await comes(journal, "5", on_busy)
    assert seen(reader, "12345") == ["no_sop", *["pending"] * 4]


async def test_a_run_that_is_to_be_cancelled_is_told_until_it_has_ended(opened: Opened) -> None:
    journal = opened.journal
    await comes(journal, "1", CANCEL, runs=True)
    wake = await begins(journal, "run_1")
    assert await journal.runs_to_cancel() == []
    await comes(journal, "2", CANCEL, runs=True)
    assert await journal.runs_to_cancel() == ["run_1"]
    await opened.restart()
    journal = opened.journal
    await journal.recover(5)
    assert await journal.runs_to_cancel() == ["run_1"]
    reader = opened.reader()
    assert row(reader, "1").cancelled_by == "dlv_2"
    await journal.end_run(run_end(wake, "run_1"))
    assert await journal.runs_to_cancel() == []
    assert seen(reader, "12") == ["delivered", "pending"]
    reader.close()


async def test_a_wake_that_was_about_to_start_is_cancelled_once_it_has(journal: Journal) -> None:
    await comes(journal, "1", CANCEL, runs=True)
    wake = await claim_one(journal)
    await comes(journal, "2", CANCEL, runs=True)
    assert await journal.runs_to_cancel() == []
    await journal.start_run(run_start(wake, "run_1"))
    assert await journal.runs_to_cancel() == ["run_1"]


async def test_what_is_prepared_later_takes_its_turn_then(journal: Journal, reader: Reader) -> None:
    for name in "123":
        await enter(journal, name, state=State.PREPARING)
    done = [Prepared(id=f"dlv_{name}", transition=Ready(), turn=turn(REPLACE)) for name in "123"]
    await journal.prepared(done[:1], 0)
    assert seen(reader, "123") == ["pending", "preparing", "preparing"]
    await journal.prepared(done[1:], 0)
    assert seen(reader, "123") == ["replaced", "replaced", "pending"]


async def test_several_in_one_transaction_take_their_turns_in_order(journal: Journal, reader: Reader) -> None:
    made = [event(name, delivery(name, turn=turn(REPLACE))) for name in "123"]
    await accept(journal, *made)
    assert seen(reader, "123") == ["replaced", "replaced", "pending"]


# --- drop_when


async def closes(journal: Journal, name: str, key: str = "pr", route: str = "route") -> None:
    await accept(journal, event(name, needless=[(route, key)]))


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_later_event_makes_needless_what_waits_and_nothing_else(
    journal: Journal, reader: Reader, key: str | None
) -> None:
    await enter(journal, "1", key=key, drop_key="pr")
    await enter(journal, "2", key=key, drop_key="pr", state=State.PREPARING)
    await enter(journal, "3", key=key, drop_key="other")
    await enter(journal, "4", key=key)
    await enter(journal, "5", key=key, drop_key="pr", route="other")
    await enter(journal, "6", key=key, drop_key="pr", state=State.HELD, reason="untrusted")
    await closes(journal, "7")
    await enter(journal, "8", key=key, drop_key="pr")
    assert seen(reader, "1234568") == [
        "needless",
        "needless",
        "pending",
        "pending",
        "pending",
        "untrusted",
        "pending",
    ]
    assert "evt_7" in row(reader, "1").detail
    await journal.prepared([Prepared(id="dlv_2", transition=Ready())], 0)
    assert row(reader, "2").state == "dropped", "its transforms come too late"


async def test_one_that_runs_is_left_and_one_that_waits_for_another_try_is_not(
    journal: Journal, reader: Reader
) -> None:
    for name in "12":
        await enter(journal, name, drop_key="pr", runs=True)
    first, second = await claim(journal)
    await journal.start_run(run_start(first, "run_1"))
    await settle(journal, second, Retry(reason="500", after_ms=50))
    await closes(journal, "3")
    assert seen(reader, "12") == ["started", "needless"]


async def test_an_event_that_wakes_the_route_itself_is_not_needless(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", drop_key="pr")
    await accept(journal, event("2", delivery("2", drop_key="pr"), needless=[("route", "pr")]))
    assert seen(reader, "12") == ["needless", "pending"]


async def test_a_repeated_event_drops_nothing(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("1", identity="closed", needless=[("route", "pr")]))
    await enter(journal, "2", drop_key="pr")
    await accept(journal, event("3", identity="closed", needless=[("route", "pr")]))
    assert seen(reader, "2") == ["pending"]


@pytest.mark.parametrize("tried", [False, True])
async def test_of_a_batch_those_leave_that_are_needless_until_it_was_tried(
    journal: Journal, reader: Reader, tried: bool
) -> None:
    batch = Batching(key="b", policy=BatchPolicy(window_ms=10))
    for name, key in [("1", "pr"), ("2", "other"), ("3", "pr")]:
        await enter(journal, name, drop_key=key, batch=batch)
    if tried:
        await settle(journal, await claim_one(journal, now=10), Interrupted(crash=False), at=10)
    await closes(journal, "4")
    (wake,) = await claim(journal, now=10)
    names = [wake.id, *(other.id for other in wake.others)]
    assert names == (["dlv_1", "dlv_2", "dlv_3"] if tried else ["dlv_2"])
    if not tried:
        assert seen(reader, "13") == ["needless", "needless"]
