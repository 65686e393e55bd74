"""Deliveries whose transforms run after they were accepted."""

from __future__ import annotations

import orjson
import pytest

from orgloop.core.deliveries.delivery import IllegalMove, State
from orgloop.core.deliveries.transition import (
    Delivered,
    Drop,
    DropReason,
    Hold,
    HoldReason,
    Ready,
    Released,
    Retry,
)
from orgloop.journal.model import Prepared, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, applied, claim, claim_one, delivery, enter, event, row, settle


async def preparing(journal: Journal, *names: str, at: int = 0) -> None:
    for name in names:
        await enter(journal, name, state=State.PREPARING, at=at)


async def test_they_come_by_route_in_acceptance_order_a_page_at_a_time(journal: Journal) -> None:
    await preparing(journal, "1", "2", "3")
    await enter(journal, "4")
    first = await journal.to_prepare("route", 2)
    assert [found.id for found in first] == ["dlv_1", "dlv_2"]
    assert [found.id for found in await journal.to_prepare("route", 9)] == ["dlv_1", "dlv_2", "dlv_3"]
    assert await journal.to_prepare("other", 9) == []
    assert (first[0].event_id, first[0].route, first[0].actor) == ("evt_1", "route", "actor")
    assert first[0].document == b'{"id":"evt_1"}'


async def test_they_are_not_claimed(journal: Journal) -> None:
    await preparing(journal, "1")
    assert await claim(journal) == []


async def test_a_ready_one_waits_for_its_turn_as_its_transforms_left_it(
    journal: Journal, reader: Reader
) -> None:
    await preparing(journal, "1")
    result = Prepared(
        id="dlv_1",
        transition=Ready(),
        key="k",
        document=orjson.dumps({"changed": 1}),
        steps=[{"name": "enrich", "result": "change", "at": 5}],
    )
    await journal.prepared([result], 5)
    found = row(reader, "1")
    assert (found.state, found.key, found.head, found.due, found.changed_at) == ("pending", "k", True, 5, 5)
    assert (found.document, found.steps) == (
        {"changed": 1},
        [{"name": "enrich", "result": "change", "at": 5}],
    )
    assert [step.transition for step in reader.steps(Query())] == ["ready"]
    assert (await claim_one(journal, now=5)).document == b'{"changed":1}'


@pytest.mark.parametrize(
    ("transition", "state", "reason"),
    [
        (Drop(reason=DropReason.TRANSFORM, detail="noise"), "dropped", "transform"),
        (Hold(reason=HoldReason.TRANSFORM, detail="broken"), "held", "transform"),
    ],
)
async def test_one_that_does_not_pass_says_why(
    journal: Journal, reader: Reader, transition: Drop | Hold, state: str, reason: str
) -> None:
    await preparing(journal, "1")
    await journal.prepared([Prepared(id="dlv_1", transition=transition, key="k")], 5)
    found = row(reader, "1")
    assert (found.state, found.reason, found.detail, found.head) == (state, reason, transition.detail, False)


async def test_a_result_counts_once(journal: Journal, reader: Reader) -> None:
    await preparing(journal, "1")
    await journal.prepared([Prepared(id="dlv_1", transition=Ready())], 5)
    await journal.prepared([Prepared(id="dlv_1", transition=Drop(reason=DropReason.TRANSFORM))], 6)
    assert row(reader, "1").state == "pending"
    await journal.prepared([Prepared(id="dlv_unknown", transition=Ready())], 6)


async def test_what_no_transform_can_say_is_refused_and_changes_nothing(
    journal: Journal, reader: Reader
) -> None:
    await preparing(journal, "1")
    with pytest.raises(IllegalMove):
        await journal.prepared([Prepared(id="dlv_1", transition=Delivered())], 5)
    assert row(reader, "1").state == "preparing"


class TestOnce:
    async def test_windows_compare_when_things_were_accepted_not_when_they_were_prepared(
        self, journal: Journal, reader: Reader
    ) -> None:
        await preparing(journal, "1", at=0)
        await preparing(journal, "2", at=99)
        await preparing(journal, "3", at=100)
        results = [Prepared(id=f"dlv_{name}", transition=Ready(), once=[("k", 100)]) for name in "123"]
        await journal.prepared(results, 5_000)
        assert [row(reader, name).state for name in "123"] == ["pending", "dropped", "pending"]
        assert row(reader, "2").reason == "duplicate"

    async def test_a_delivery_that_owns_its_key_owns_it_however_often_it_is_prepared(
        self, journal: Journal, reader: Reader
    ) -> None:
        await preparing(journal, "1")
        again = Prepared(id="dlv_1", transition=Ready(), once=[("k", 100)])
        await journal.prepared([again], 5)
        await journal.apply(applied(), {"route": "actor"}, 6, actors={"actor": False}, changed=["route"])
        assert row(reader, "1").state == "preparing"
        await journal.prepared([again], 7)
        assert row(reader, "1").state == "pending"

    async def test_two_that_were_further_apart_than_the_window_both_pass_when_prepared_again(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", at=0, once=[("k", 100)])
        await enter(journal, "2", at=200, once=[("k", 100)])
        await journal.apply(applied(), {"route": "actor"}, 300, actors={"actor": False}, changed=["route"])
        again = [Prepared(id=f"dlv_{name}", transition=Ready(), once=[("k", 100)]) for name in "12"]
        await journal.prepared(again, 301)
        await enter(journal, "3", at=299, once=[("k", 100)])
        assert [row(reader, name).state for name in "123"] == ["pending", "pending", "dropped"]
        assert row(reader, "3").detail == "dlv_2 came first"


class TestKey:
    async def test_one_that_is_prepared_late_goes_before_a_later_one_that_has_not_begun(
        self, journal: Journal, reader: Reader
    ) -> None:
        await preparing(journal, "1")
        await enter(journal, "2", key="k")
        assert row(reader, "2").head
        await journal.prepared([Prepared(id="dlv_1", transition=Ready(), key="k")], 5)
        assert (row(reader, "1").head, row(reader, "2").head) == (True, False)

    async def test_it_waits_for_a_later_one_that_is_awake_but_not_for_its_retry(
        self, journal: Journal, reader: Reader
    ) -> None:
        await preparing(journal, "1")
        await enter(journal, "2", key="k")
        wake = await claim_one(journal)
        await journal.prepared([Prepared(id="dlv_1", transition=Ready(), key="k")], 5)
        assert await claim(journal, now=10) == []
        await settle(journal, wake, Retry(reason="500", after_ms=0), at=10)
        assert (await claim_one(journal, now=10)).id == "dlv_1"

    async def test_one_that_gets_another_key_lets_the_next_of_its_old_one_go(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", state=State.PREPARING, key="old")
        await enter(journal, "2", key="old")
        await enter(journal, "3", key="new")
        await journal.prepared([Prepared(id="dlv_1", transition=Ready(), key="new")], 5)
        assert [row(reader, name).head for name in "123"] == [True, True, False]

    async def test_one_that_keeps_its_key_keeps_its_place(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", state=State.PREPARING, key="k")
        await enter(journal, "2", key="k")
        await journal.prepared([Prepared(id="dlv_1", transition=Ready(), key="k")], 5)
        assert [row(reader, name).head for name in "12"] == [True, False]

    async def test_one_that_is_dropped_lets_the_next_go(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", state=State.PREPARING, key="k")
        await enter(journal, "2", key="k")
        await journal.prepared(
            [Prepared(id="dlv_1", transition=Drop(reason=DropReason.TRANSFORM), key="k")], 5
        )
        assert row(reader, "2").head

    async def test_results_take_their_places_in_acceptance_order(self, journal: Journal) -> None:
        await preparing(journal, "1", "2", "3")
        await journal.prepared(
            [Prepared(id=f"dlv_{name}", transition=Ready(), key="k") for name in ("2", "3", "1")], 5
        )
        for name in "123":
            wake = await claim_one(journal, now=5)
            assert wake.id == f"dlv_{name}"
            await settle(journal, wake, Delivered())


async def test_what_was_held_while_it_was_prepared_is_released_without_preparing_it_again(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, event("a", delivery("1", state=State.PREPARING)))
    await journal.prepared([Prepared(id="dlv_1", transition=Hold(reason=HoldReason.UNTRUSTED), key="k")], 5)
    await journal.operate("dlv_1", Released(), 6)
    found = row(reader, "1")
    assert (found.state, found.key, found.head, found.age_from) == ("pending", "k", True, 6)
