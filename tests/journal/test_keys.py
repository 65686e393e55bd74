"""Who owns a key of a dedup step: only what is let pass, and only as long as something may come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.core.deliveries.admission import Ledger, Verdict, Want
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Drop,
    DropReason,
    Hold,
    HoldReason,
    NotStarted,
    Ready,
    Rejected,
    Released,
    Retried,
    Skipped,
)
from orgloop.journal.model import ClaimWant, Prepared, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import applied, claim_one, enter, row, run_end, run_start, settle
from tests.journal.stores import QUICKEST

ONCE = [("k", 100)]


async def prepared(journal: Journal, name: str, transition: Ready | Drop | Hold) -> None:
    await enter(journal, name, state=State.PREPARING)
    await journal.prepared([Prepared(id=f"dlv_{name}", transition=transition, once=ONCE)], 1)


async def untrusted(journal: Journal) -> None:
    await enter(journal, "1", state=State.HELD, reason="untrusted", once=ONCE)


async def dropped(journal: Journal) -> None:
    await enter(journal, "1", state=State.DROPPED, reason="transform", once=ONCE)


async def held_late(journal: Journal) -> None:
    await prepared(journal, "1", Hold(reason=HoldReason.UNTRUSTED))


async def held_by_transform(journal: Journal) -> None:
    await prepared(journal, "1", Hold(reason=HoldReason.TRANSFORM))


async def dropped_late(journal: Journal) -> None:
    await prepared(journal, "1", Drop(reason=DropReason.TRANSFORM))


async def dead(journal: Journal) -> None:
    await enter(journal, "1", once=ONCE)
    await settle(journal, await claim_one(journal), Rejected(reason="404"))


async def dead_run(journal: Journal) -> None:
    await enter(journal, "1", once=ONCE, runs=True)
    wake = await claim_one(journal)
    await journal.start_run(run_start(wake, "run_1"))
    nothing = NotStarted(outcome=Rejected(reason="no program"))
    await journal.end_run(run_end(wake, "run_1", transition=nothing))


async def held(journal: Journal) -> None:
    await enter(journal, "1", once=ONCE)
    await settle(journal, await claim_one(journal), Hold(reason=HoldReason.NO_SOP))


async def guarded(journal: Journal, reason: HoldReason = HoldReason.BUDGET) -> None:
    await enter(journal, "1", once=ONCE, runs=True)

    def hold(_: Want, __: Ledger) -> Verdict:
        return Hold(reason=reason)

    await journal.claim([ClaimWant(actor="actor", slots=1, admit=hold)], 0)


async def discarded(journal: Journal) -> None:
    await held(journal)
    await journal.operate("dlv_1", Discarded(), 1)


async def expired(journal: Journal) -> None:
    await guarded(journal)
    assert await journal.expire(5, held_before=5) == 1


async def delivered(journal: Journal) -> None:
    await enter(journal, "1", once=ONCE)
    await settle(journal, await claim_one(journal), Delivered())


async def skipped(journal: Journal) -> None:
    await enter(journal, "1", once=ONCE)
    await settle(journal, await claim_one(journal), Skipped(reason="x"))


async def prepared_again(journal: Journal) -> None:
    """Let pass at first, and held by the transforms that there are now."""
    await enter(journal, "1", once=ONCE)
    await journal.apply(applied(), {"route": "actor"}, 1, actors={"actor": False}, changed={"route"})
    await journal.prepared([Prepared(id="dlv_1", transition=Hold(reason=HoldReason.UNTRUSTED), once=ONCE)], 2)


async def other_key(journal: Journal) -> None:
    """Let pass with one key at first, and with another by the transforms that there are now."""
    await enter(journal, "1", once=ONCE)
    await journal.apply(applied(), {"route": "actor"}, 1, actors={"actor": False}, changed={"route"})
    await journal.prepared([Prepared(id="dlv_1", transition=Ready(), once=[("other", 100)])], 2)


Way = Callable[[Journal], Awaitable[None]]

LOSERS: list[Way] = [
    untrusted,
    dropped,
    held_late,
    held_by_transform,
    dropped_late,
    dead,
    dead_run,
    discarded,
    expired,
    prepared_again,
    other_key,
]
OWNERS: list[Way] = [held, guarded, delivered, skipped]


@pytest.mark.parametrize("way", LOSERS, ids=lambda way: way.__name__)
async def test_that_owns_no_key_and_the_next_one_passes(journal: Journal, reader: Reader, way: Way) -> None:
    await way(journal)
    await enter(journal, "2", at=50, once=ONCE)
    assert row(reader, "2").state == "pending"
    await enter(journal, "3", at=60, once=ONCE)
    assert (row(reader, "3").state, row(reader, "3").detail) == ("dropped", "dlv_2 came first")


@pytest.mark.parametrize("way", OWNERS, ids=lambda way: way.__name__)
async def test_that_keeps_its_key_and_the_next_one_names_it(
    journal: Journal, reader: Reader, way: Way
) -> None:
    await way(journal)
    await enter(journal, "2", at=50, once=ONCE)
    assert (row(reader, "2").state, row(reader, "2").reason) == ("dropped", "duplicate")
    assert row(reader, "2").detail == "dlv_1 came first"
    assert reader.rival("dlv_1") == ""


@pytest.mark.parametrize("reason", [HoldReason.HOPS, HoldReason.BUDGET, HoldReason.STALE])
async def test_what_a_guard_holds_keeps_its_key_also_when_it_is_released(
    journal: Journal, reader: Reader, reason: HoldReason
) -> None:
    await guarded(journal, reason)
    await journal.operate("dlv_1", Released(), 10)
    await enter(journal, "2", at=50, once=ONCE)
    assert [row(reader, name).state for name in "12"] == ["pending", "dropped"]


@pytest.mark.parametrize(
    ("way", "transition"),
    [
        (untrusted, Released()),
        (held_late, Released()),
        (held_by_transform, Released(skip=True)),
        (dead, Retried()),
        (dead_run, Retried()),
    ],
)
async def test_one_whose_key_has_another_owner_by_now_is_dropped_and_that_is_known_before(
    journal: Journal, reader: Reader, way: Way, transition: Released | Retried
) -> None:
    await way(journal)
    assert reader.rival("dlv_1") == ""
    await enter(journal, "2", at=50, once=ONCE)
    assert reader.rival("dlv_1") == "dlv_2"
    assert (await journal.operate("dlv_1", transition, 60)).state is State.DROPPED
    found = row(reader, "1")
    assert (found.state, found.reason) == ("dropped", "duplicate")
    assert found.detail == "dlv_2 passed with the same key"
    assert reader.counts()["total"]["dropped"] == 1


@pytest.mark.parametrize("way", [untrusted, dead])
async def test_without_another_owner_it_goes_on_and_owns_its_key(
    journal: Journal, reader: Reader, way: Way
) -> None:
    await way(journal)
    transition = Released() if way is untrusted else Retried()
    assert (await journal.operate("dlv_1", transition, 60)).state is State.PENDING
    await enter(journal, "2", at=70, once=ONCE)
    assert row(reader, "2").detail == "dlv_1 came first"


async def test_an_owner_beyond_its_window_is_no_rival(journal: Journal, reader: Reader) -> None:
    await untrusted(journal)
    await enter(journal, "2", at=100, once=ONCE)
    assert reader.rival("dlv_1") == ""
    assert (await journal.operate("dlv_1", Released(), 200)).state is State.PENDING
    await enter(journal, "3", at=150, once=ONCE)
    assert row(reader, "3").detail == "dlv_2 came first", "the later owner has lost nothing"


async def test_what_was_dropped_stays_dropped_when_its_owner_gives_the_key_back(
    journal: Journal, reader: Reader
) -> None:
    await held(journal)
    await enter(journal, "2", at=50, once=ONCE)
    await journal.operate("dlv_1", Discarded(), 60)
    assert (row(reader, "2").state, row(reader, "2").detail) == ("dropped", "dlv_1 came first")


async def test_what_a_transform_held_is_prepared_again_when_it_is_released(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "1", state=State.HELD, reason="transform", once=ONCE, document={"a": 1}, key="k")
    assert (await journal.operate("dlv_1", Released(by="mona"), 5)).state is State.PREPARING
    found = row(reader, "1")
    assert (found.state, found.document, found.steps, found.key) == ("preparing", None, (), "k")
    assert [step.transition for step in reader.steps(Query())] == ["released"]
    assert [one.id for one in await journal.to_prepare("route", 9)] == ["dlv_1"]
    await journal.prepared([Prepared(id="dlv_1", transition=Ready(), once=ONCE)], 6)
    assert row(reader, "1").state == "pending"
    await enter(journal, "2", at=7, once=ONCE)
    assert row(reader, "2").detail == "dlv_1 came first"


async def test_what_a_transform_held_may_skip_it(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", state=State.HELD, reason="transform", document={"a": 1})
    assert (await journal.operate("dlv_1", Released(skip=True), 5)).state is State.PENDING
    assert row(reader, "1").document == {"a": 1}


ENDS = st.sampled_from(["pass", "untrusted", "drop", "die", "discard"])


@settings(max_examples=50, deadline=None)
@given(events=st.lists(st.tuples(st.integers(0, 60), ENDS), min_size=1, max_size=8))
async def test_one_passes_in_each_window_whatever_becomes_of_the_others(
    events: list[tuple[int, str]],
) -> None:
    """Against a model: the owner is the last one that passed and that something may come of."""
    with TemporaryDirectory() as directory:
        async with QUICKEST.open(Path(directory)) as opened:
            with closing(opened.reader()) as reader:
                await one_passes(opened.journal, reader, events)


async def one_passes(journal: Journal, reader: Reader, events: Sequence[tuple[int, str]]) -> None:
    now, owner = 0, None
    for number, (later, end) in enumerate(events):
        now += later
        name = str(number)
        state = {"untrusted": State.HELD, "drop": State.DROPPED}.get(end, State.PENDING)
        reason = "" if state is State.PENDING else "untrusted"
        await enter(journal, name, at=now, state=state, reason=reason, once=ONCE)
        duplicate = owner is not None and now - owner < 100
        assert (row(reader, name).reason == "duplicate") == duplicate
        if duplicate or state is not State.PENDING:
            continue
        wake = await claim_one(journal, now=now)
        if end == "pass":
            owner = now
            await settle(journal, wake, Delivered(), at=now)
        else:
            owner = None
            await settle(journal, wake, Rejected(reason="x"), at=now)
            if end == "discard":
                await journal.operate(f"dlv_{name}", Discarded(), now)
