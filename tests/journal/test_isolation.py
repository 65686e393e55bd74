"""One bad piece of work fails alone, whatever travels with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from orgloop.core.deliveries.transition import Delivered, Released
from orgloop.errors import JournalError, NotFound
from orgloop.journal.model import Acceptance, Accepted, ClaimWant, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, claim_one, delivery, enter, event, row, settle


class TestIsolation:
    async def test_one_bad_row_fails_alone(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        results: Sequence[Any] = await asyncio.gather(
            enter(journal, "2"),
            accept(journal, event("1", delivery("other"))),
            enter(journal, "3"),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), JournalError, type(None)]
        assert "events.id" in str(results[1])
        assert [found.id for found in reader.deliveries(Query())] == ["dlv_3", "dlv_2", "dlv_1"]
        assert reader.route_stats() == {"route": (3, 0)}
        assert reader.sources()[0].events == 3

    async def test_what_a_bad_one_had_begun_is_taken_back(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        bad = Acceptance(
            source="source", at=0, events=[event("2", identity="i"), event("1")], request="r", checkpoint="c"
        )
        with pytest.raises(JournalError):
            await journal.accept(bad)
        assert reader.event("evt_2") is None
        assert await journal.checkpoint("source") is None
        (answer,) = await accept(journal, event("3", identity="i"), request="r")
        assert answer == Accepted(event_id="evt_3", duplicate=False)

    async def test_an_event_whose_last_delivery_is_refused_is_not_there(
        self, journal: Journal, reader: Reader
    ) -> None:
        good, bad = event("1", delivery("1"), delivery("2")), event("2", delivery("3"), delivery("1"))
        results = await asyncio.gather(
            accept(journal, good), accept(journal, bad, request="r"), return_exceptions=True
        )
        assert [type(result) for result in results] == [list, JournalError]
        assert [found.id for found in reader.events(Query())] == ["evt_1"]
        assert [found.id for found in reader.deliveries(Query())] == ["dlv_2", "dlv_1"]
        (answer,) = await accept(journal, event("4"), request="r")
        assert not answer.duplicate

    async def test_an_operators_mistake_disturbs_nobody(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        wake = await claim_one(journal)
        results: Sequence[Any] = await asyncio.gather(
            journal.operate("dlv_x", Delivered(), 0),
            journal.operate("dlv_x", Released(), 0),
            settle(journal, wake, Delivered()),
            enter(journal, "2"),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [TypeError, NotFound, bool, type(None)]
        assert row(reader, "1").state == "delivered"
        assert len(reader.steps(Query())) == 1

    async def test_a_guard_that_breaks_fails_its_claim_alone(self, journal: Journal, reader: Reader) -> None:
        def broken(*_: object) -> Any:
            raise ZeroDivisionError

        await enter(journal, "1", runs=True)
        results: Sequence[Any] = await asyncio.gather(
            journal.claim([ClaimWant(actor="actor", slots=1, admit=broken)], 0),
            enter(journal, "2"),
            return_exceptions=True,
        )
        assert isinstance(results[0], ZeroDivisionError)
        assert [row(reader, name).state for name in "12"] == ["pending", "pending"]
