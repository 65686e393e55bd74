"""What is not finished, in groups."""

from __future__ import annotations

from typing import Any

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered, Hold, HoldReason, Rejected, Unavailable
from orgloop.journal.model import BacklogRow
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, claim, claim_one, delivery, enter, event, run_start, settle


def group(state: State, count: int, *, reason: str = "", actor: str = "actor", **more: int) -> BacklogRow:
    given: dict[str, Any] = {"since": 0, "due": None, **more}
    return BacklogRow(actor=actor, route="route", state=state, reason=reason, count=count, **given)


async def test_nothing_is_unfinished_in_an_empty_journal(reader: Reader) -> None:
    assert reader.backlog() == []


async def test_what_waits_says_when_its_first_was_due(journal: Journal, reader: Reader) -> None:
    for number in (3, 5):
        await enter(journal, f"free{number}", at=number)
    for number in (1, 7):
        await enter(journal, f"keyed{number}", at=number, key="k", actor="other")
    # The second of a key waits for the first, however long: it is not due.
    assert reader.backlog() == [
        group(State.PENDING, 2, since=3, due=3),
        group(State.PENDING, 2, actor="other", since=1, due=1),
    ]


async def test_every_unfinished_delivery_is_counted_once(journal: Journal, reader: Reader) -> None:
    for name in ("held", "dead", "started", "running", "done"):
        await accept(journal, event(name, delivery(name, actor=name, runs=name == "started")), at=1)
    await accept(journal, event("p", delivery("p", state=State.PREPARING, actor="preparing")), at=2)
    await settle(
        journal, await claim_one(journal, actor="held", now=9), Hold(reason=HoldReason.NO_SOP), at=20
    )
    await settle(journal, await claim_one(journal, actor="dead", now=9), Rejected(reason="400"), at=30)
    await settle(journal, await claim_one(journal, actor="done", now=9), Delivered(), at=40)
    await journal.start_run(run_start(await claim_one(journal, actor="started", now=9), "run_1", at=50))
    await claim(journal, actor="running", now=60)
    assert reader.backlog() == [
        group(State.DEAD, 1, reason="rejected", actor="dead", since=30),
        group(State.HELD, 1, reason="no_sop", actor="held", since=20),
        group(State.PREPARING, 1, actor="preparing", since=2),
        group(State.RUNNING, 1, actor="running", since=60),
        group(State.STARTED, 1, actor="started", since=50),
    ]


async def test_a_wake_that_nobody_answered_is_due_again(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", at=1)
    await settle(journal, await claim_one(journal, now=5), Unavailable(reason="refused"), at=8)
    assert reader.backlog() == [group(State.PENDING, 1, since=8, due=8)]
