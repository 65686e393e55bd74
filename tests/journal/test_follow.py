"""Following the journal, or one trace of it."""

from __future__ import annotations

from orgloop.core.deliveries.transition import Delivered
from orgloop.core.records.record import RecordPhase
from orgloop.journal.follow import PAGE, Follower
from orgloop.journal.model import Query, SystemEntry
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, applied, claim_one, delivery, enter, event, settle


async def test_a_trace_is_followed_alone_and_goes_on(journal: Journal, reader: Reader) -> None:
    follower = Follower.of_trace(reader, "trc_t")
    assert follower.next() == []
    for name, trace in (("1", "t"), ("2", "other"), ("3", "t")):
        await accept(journal, event(name, delivery(name, actor=f"actor{name}"), trace=trace), at=1)
    assert [record.event_id for record in follower.next()] == ["evt_1", "evt_1", "evt_3", "evt_3"]
    for name in ("2", "3"):
        await settle(journal, await claim_one(journal, actor=f"actor{name}", now=5), Delivered(), at=9)
    assert [(record.phase, record.delivery_id) for record in follower.next()] == [
        ("deliver.attempt", "dlv_3"),
        ("deliver.success", "dlv_3"),
    ]
    assert follower.next() == []


async def test_what_happens_in_one_millisecond_is_told_behind_its_event(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, event("1", delivery("1")), at=5)
    await settle(journal, await claim_one(journal, now=5), Delivered(), at=5)
    assert [record.phase for record in Follower.since(reader, 0).next()] == [
        "source.emit",
        "route.match",
        "deliver.attempt",
        "deliver.success",
    ]


async def test_what_the_daemon_tells_of_itself_is_followed_with_the_rest(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, event("1"), at=5)
    follower = Follower.at_end(reader)
    started = SystemEntry(at=7, phase=RecordPhase.RUNTIME_START, detail="OrgLoop 1")
    failed = SystemEntry(at=9, phase=RecordPhase.SOURCE_FAILED, subject="github", detail="away", times=3)
    await journal.record([started, failed])
    await accept(journal, event("2"), at=8)
    assert [record.phase for record in follower.next()] == [
        "runtime.start",
        "source.emit",
        "route.no_match",
        "source.failed",
    ]
    assert follower.next() == []
    assert [one.times for one in reader.system(Query(source="github"))] == [3]
    assert Follower.of_trace(reader, "trc_2").next()[0].phase == "source.emit"


async def test_where_there_is_less_than_asked_for_all_of_it_is_told(journal: Journal, reader: Reader) -> None:
    await journal.record([SystemEntry(at=3, phase=RecordPhase.RUNTIME_START)])
    await accept(journal, event("1"), at=5)
    assert Follower.last(reader, 50).next()[0].phase == "runtime.start"
    assert Follower.last(reader, 1).next()[0].phase == "source.emit"


async def test_a_page_that_tells_nothing_is_not_the_end(journal: Journal, reader: Reader) -> None:
    await accept(journal, *(event(str(n), delivery(str(n))) for n in range(PAGE + 1)))
    await enter(journal, "last", actor="other")
    last = await claim_one(journal, actor="other")
    await journal.apply(applied(), {"route": "actor"}, 1, actors={"actor": False}, changed=["route"])
    await settle(journal, last, Delivered(), at=3)
    follower = Follower.since(reader, 1)
    assert [record.phase for record in follower.next()] == [
        RecordPhase.DELIVER_ATTEMPT,
        RecordPhase.DELIVER_SUCCESS,
    ]
    assert follower.next() == []
