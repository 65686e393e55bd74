"""Forgetting what is finished."""

from __future__ import annotations

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered, Hold, HoldReason, Rejected
from orgloop.core.records.record import RecordPhase
from orgloop.journal.model import START, Query, SystemEntry
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


async def done(journal: Journal, name: str, *, at: int = 0, sop: tuple[str, str] | None = None) -> None:
    await enter(journal, name, at=at)
    await settle(journal, await claim_one(journal, now=at), Delivered(), at=at, sop=sop)


def events(reader: Reader) -> list[str]:
    return [found.id for found in reader.events(Query(after=START))]


async def test_finished_events_go_with_all_that_hangs_on_them(journal: Journal, reader: Reader) -> None:
    await done(journal, "1", at=5)
    await enter(journal, "2", runs=True, at=5)
    wake = await claim_one(journal, now=5)
    await journal.start_run(run_start(wake, "run_2", at=5))
    await journal.end_run(run_end(wake, "run_2", at=6))
    await accept(journal, event("3"), at=5)
    await done(journal, "4", at=10)
    assert await journal.prune(before=10, seen_before=0, limit=100) == 3
    assert events(reader) == ["evt_4"]
    assert [found.id for found in reader.deliveries(Query())] == ["dlv_4"]
    assert [step.delivery_id for step in reader.steps(Query())] == ["dlv_4"]
    assert reader.runs(Query()) == []


async def test_records_of_the_daemon_go_with_the_events_of_their_time(
    journal: Journal, reader: Reader
) -> None:
    entries = [SystemEntry(at=at, phase=RecordPhase.RUNTIME_START) for at in (5, 10)]
    await journal.record(entries)
    await journal.prune(before=10, seen_before=0, limit=100)
    (left,) = reader.system(Query(after=START))
    assert (left.at, left.phase) == (10, RecordPhase.RUNTIME_START)


async def test_an_event_stays_while_any_of_its_work_goes_on(journal: Journal, reader: Reader) -> None:
    for name in ("pending", "running", "started", "held", "dead"):
        two = [delivery(f"{name}-ok", route="done", actor="done"), delivery(name, actor=name)]
        await accept(journal, event(name, *two))
        for wake in await claim(journal, actor="done"):
            await settle(journal, wake, Delivered())
    await enter(journal, "preparing", state=State.PREPARING)
    await claim_one(journal, actor="running")
    await journal.start_run(run_start(await claim_one(journal, actor="started"), "run_1"))
    await settle(journal, await claim_one(journal, actor="held"), Hold(reason=HoldReason.NO_SOP))
    await settle(journal, await claim_one(journal, actor="dead"), Rejected(reason="400"))
    await done(journal, "finished")
    assert await journal.prune(before=99, seen_before=0, limit=100) == 1
    assert len(events(reader)) == 6


async def test_what_waited_for_long_is_kept_from_its_end_on(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", at=5)
    await settle(journal, await claim_one(journal, now=50), Delivered(), at=50)
    assert await journal.prune(before=50, seen_before=0, limit=100) == 0
    assert await journal.prune(before=51, seen_before=0, limit=100) == 1


async def test_it_goes_page_by_page_past_what_stays(journal: Journal, reader: Reader) -> None:
    await enter(journal, "stays")
    await accept(journal, *(event(str(number)) for number in range(5)))
    assert [await journal.prune(before=1, seen_before=0, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert events(reader) == ["evt_stays"]


async def test_it_finds_what_lies_far_behind_work_that_goes_on(journal: Journal, reader: Reader) -> None:
    await accept(journal, *(event(f"stays-{number}", delivery(str(number))) for number in range(600)))
    await accept(journal, event("goes"))
    assert await journal.prune(before=1, seen_before=0, limit=1) == 1
    assert reader.event("evt_goes") is None


async def test_a_prompt_file_goes_with_the_last_step_that_carried_it(
    journal: Journal, reader: Reader
) -> None:
    await done(journal, "1", at=5, sop=("old", "h1"))
    await done(journal, "2", at=5, sop=("both", "h2"))
    await done(journal, "3", at=50, sop=("both", "h2"))
    await journal.prune(before=10, seen_before=0, limit=100)
    assert (reader.sop("h1"), reader.sop("h2")) == (None, "both")


async def test_identities_are_forgotten_on_their_own_time(journal: Journal) -> None:
    await accept(journal, event("1", identity="i"), at=5, request="r")
    await journal.prune(before=99, seen_before=5, limit=100)
    (answer,) = await accept(journal, event("2", identity="i"), at=6, request="s")
    assert answer.duplicate
    await journal.prune(before=99, seen_before=6, limit=100)
    (answer,) = await accept(journal, event("3", identity="i"), at=7, request="r")
    assert not answer.duplicate


async def test_it_goes_on_while_more_is_known_than_a_page_holds(journal: Journal, reader: Reader) -> None:
    keys = [(str(number), 1) for number in range(20)]
    for number in range(20):
        await accept(journal, event(str(number), identity="same"), at=1, request=str(number))
    await enter(journal, "once", at=1, once=keys)
    rounds = 0
    while await journal.prune(before=9, seen_before=9, limit=1) == 1:
        rounds += 1
    assert events(reader) == ["evt_once"]
    assert rounds >= 20 / 4
    (answer,) = await accept(journal, event("again", identity="same"), at=10, request="19")
    assert not answer.duplicate
    await enter(journal, "twice", at=1, once=keys)
    assert row(reader, "twice").state == "pending"


@pytest.mark.parametrize(("seen_before", "state"), [(105, "dropped"), (106, "pending")])
async def test_a_key_stays_owned_for_as_long_after_its_window_as_identities_are_known(
    journal: Journal, reader: Reader, seen_before: int, state: str
) -> None:
    await enter(journal, "1", at=5, once=[("k", 100)])
    await journal.prune(before=0, seen_before=seen_before, limit=100)
    await enter(journal, "2", at=50, once=[("k", 100)])
    assert row(reader, "2").state == state


async def test_a_cursor_never_comes_again(opened: Opened) -> None:
    await done(opened.journal, "1")
    reader = opened.reader()
    (last,) = reader.events(Query())
    assert await opened.journal.prune(before=99, seen_before=99, limit=100) == 1
    assert events(reader) == []
    reader.close()
    await opened.restart()
    await accept(opened.journal, event("2"))
    reader = opened.reader()
    (found,) = reader.events(Query(after=last.cursor))
    assert (found.id, found.cursor == last.cursor) == ("evt_2", False)
    reader.close()
