"""Looking at the journal."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered, Hold, HoldReason, Rejected, Retry, Transition
from orgloop.journal.model import START, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, claim, claim_one, delivery, enter, event, run_end, run_start, settle


async def story(journal: Journal) -> None:
    """Four events: 1 delivered, 2 held, 3 dead of one trace; 4 with a run of another source."""
    endings: dict[str, Transition] = {
        "1": Delivered(detail="200 OK"),
        "2": Hold(reason=HoldReason.NO_SOP),
        "3": Rejected(reason="400"),
    }
    for number, (name, transition) in enumerate(endings.items(), 1):
        made = delivery(name, route=f"route{name}", actor=f"actor{name}")
        await accept(journal, event(name, made, trace="t"), at=number * 10)
        await settle(
            journal, await claim_one(journal, actor=f"actor{name}", now=99), transition, at=number * 100
        )
    made = delivery("4", route="route4", actor="actor4", runs=True)
    await accept(journal, event("4", made, source="other"), at=40, source="other")
    wake = await claim_one(journal, actor="actor4", now=99)
    await journal.start_run(run_start(wake, "run_4", at=400))


FILTERS = [
    (Query(), "4321"),
    (Query(limit=2), "43"),
    (Query(after=START), "1234"),
    (Query(after=START, limit=2), "12"),
    (Query(source="other"), "4"),
    (Query(route="route2"), "2"),
    (Query(actor="actor3"), "3"),
    (Query(event_id="evt_2"), "2"),
    (Query(delivery_id="dlv_2"), "2"),
    (Query(trace_id="trc_t"), "321"),
    (Query(trace_id="trc_t", after=START, limit=2), "12"),
    (Query(states=[State.HELD]), "2"),
    (Query(states=[State.HELD, State.DEAD]), "32"),
    (Query(states=[State.STARTED]), "4"),
    (Query(states=[State.DELIVERED, State.HELD]), "21"),
    (Query(states=[State.PREPARING]), ""),
    (Query(reason="no_sop"), "2"),
    (Query(source="source", states=[State.HELD, State.DEAD], route="route3"), "3"),
    (Query(route="nobody"), ""),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=str)
async def test_events_and_deliveries_are_found_by_every_filter(
    journal: Journal,
    reader: Reader,
    query: Query,
    expected: str,
) -> None:
    await story(journal)
    assert "".join(found.id.removeprefix("evt_") for found in reader.events(query)) == expected
    assert "".join(found.id.removeprefix("dlv_") for found in reader.deliveries(query)) == expected


TIMES = [
    (Query(since=20), "432"),
    (Query(since=21), "43"),
    (Query(until=20), "1"),
    (Query(since=20, until=40), "32"),
    (Query(after=START, since=20, until=40), "23"),
]


@pytest.mark.parametrize(("query", "expected"), TIMES, ids=str)
async def test_times_bound_when_events_were_accepted(
    journal: Journal,
    reader: Reader,
    query: Query,
    expected: str,
) -> None:
    await story(journal)
    assert "".join(found.id.removeprefix("evt_") for found in reader.events(query)) == expected
    assert "".join(found.id.removeprefix("dlv_") for found in reader.deliveries(query)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ["started", "rejected", "hold", "delivered"]),
        (Query(after=START), ["delivered", "hold", "rejected", "started"]),
        (Query(since=200, until=400), ["rejected", "hold"]),
        (Query(states=[State.HELD]), ["hold"]),
        (Query(reason="rejected"), ["rejected"]),
        (Query(source="other"), ["started"]),
        (Query(trace_id="trc_t", limit=1), ["rejected"]),
        (Query(delivery_id="dlv_1"), ["delivered"]),
        (Query(event_id="evt_1"), ["delivered"]),
        (Query(route="route2"), ["hold"]),
        (Query(actor="actor1"), ["delivered"]),
    ],
    ids=str,
)
async def test_steps_are_found_by_every_filter(
    journal: Journal, reader: Reader, query: Query, expected: list[str]
) -> None:
    await story(journal)
    assert [step.transition for step in reader.steps(query)] == expected


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), True),
        (Query(actor="actor4", route="route4", source="other", trace_id="trc_4"), True),
        (Query(event_id="evt_4", delivery_id="dlv_4", states=[State.STARTED]), True),
        (Query(since=400), True),
        (Query(until=400), False),
        (Query(states=[State.DELIVERED]), False),
        (Query(reason="exit_code_1"), False),
        (Query(actor="actor1"), False),
    ],
    ids=str,
)
async def test_runs_are_found_by_every_filter(
    journal: Journal, reader: Reader, query: Query, *, found: bool
) -> None:
    await story(journal)
    assert [run.id for run in reader.runs(query)] == (["run_4"] if found else [])


async def test_runs_can_be_followed_and_asked_for_while_they_go_on(journal: Journal, reader: Reader) -> None:
    wakes = []
    for name in "12":
        await enter(journal, name, runs=True)
        wakes.append(await claim_one(journal))
        await journal.start_run(run_start(wakes[-1], f"run_{name}"))
    first = reader.runs(Query(after=START, limit=1))
    assert [run.id for run in first] == ["run_1"]
    assert [run.id for run in reader.runs(Query(after=first[0].cursor))] == ["run_2"]
    await journal.end_run(run_end(wakes[1], "run_2", reason="exit_code_1"))
    assert [run.id for run in reader.runs(Query(), open_only=True)] == ["run_1"]
    assert [run.id for run in reader.runs(Query(reason="exit_code_1"))] == ["run_2"]


async def test_what_does_not_exist_is_none(reader: Reader) -> None:
    assert (reader.event("evt_x"), reader.delivery("dlv_x"), reader.run("run_x")) == (None, None, None)
    assert (reader.events(Query()), reader.events(Query(after=START)), reader.steps(Query())) == ([], [], [])
    assert (reader.sources(), reader.pauses(), reader.daemons(), reader.route_stats()) == ([], [], [], {})
    assert reader.counts() == {"total": {"delivered": 0, "dropped": 0, "discarded": 0}}


async def test_a_follower_sees_each_step_once_and_in_order(journal: Journal, reader: Reader) -> None:
    last, seen = START, []
    for number in range(5):
        await enter(journal, str(number))
        await settle(journal, await claim_one(journal), Delivered(detail=str(number)))
        for step in reader.steps(Query(after=last)):
            last = step.cursor
            seen.append(step.detail)
    assert seen == list("01234")


async def test_a_trace_is_all_of_one_chain_oldest_first(journal: Journal, reader: Reader) -> None:
    await story(journal)
    events, deliveries, steps, runs = reader.trace("trc_t")
    assert [found.id for found in events] == ["evt_1", "evt_2", "evt_3"]
    assert [found.id for found in deliveries] == ["dlv_1", "dlv_2", "dlv_3"]
    assert ([step.transition for step in steps], runs) == (["delivered", "hold", "rejected"], [])
    assert [run.id for run in reader.trace("trc_4")[3]] == ["run_4"]
    assert reader.trace("trc_x") == ([], [], [], [])


async def test_a_sound_journal_has_nothing_to_report(journal: Journal, reader: Reader) -> None:
    await story(journal)
    assert reader.check() == []


async def test_readers_in_threads_see_whole_commits_while_the_journal_is_written(
    journal: Journal, reader: Reader
) -> None:
    def look() -> tuple[int, int]:
        deliveries = reader.deliveries(Query(limit=10_000))
        return len(deliveries), len({found.event_id for found in deliveries})

    async def write() -> None:
        for number in range(50):
            made = [delivery(f"{number}-{route}", route=route) for route in ("one", "two")]
            await accept(journal, event(str(number), *made))

    async def watch() -> None:
        while (await asyncio.to_thread(look))[0] < 100:
            deliveries, events = await asyncio.to_thread(look)
            assert deliveries == events * 2

    async with asyncio.timeout(60):
        await asyncio.gather(write(), watch(), watch())


async def test_a_wake_that_waits_for_a_retry_says_when_and_why(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1")
    (wake,) = await claim(journal)
    await settle(journal, wake, Retry(reason="500", after_ms=70), at=30)
    (found,) = reader.deliveries(Query(states=[State.PENDING]))
    assert (found.due, found.detail, found.attempts) == (100, "500", 1)


async def test_lists_can_do_without_large_payloads(journal: Journal, reader: Reader) -> None:
    large = {
        "id": "evt_1",
        "timestamp": "then",
        "payload": {"text": "\u00e9" * 50_000, "n": 2**53},
        "hops": 0,
    }
    small = {"id": "evt_2", "timestamp": "now", "payload": {"n": 1}, "hops": 0}
    for number, document in enumerate([large, small], 1):
        changed = delivery(str(number))._replace(document=orjson.dumps(document))
        await accept(journal, event(str(number), changed)._replace(document=orjson.dumps(document)))
    light = Query(payloads=False)
    without = {name: value for name, value in large.items() if name != "payload"}
    assert [row.document for row in reader.events(light)] == [small, without]
    assert [row.document for row in reader.deliveries(light)] == [small, without]
    assert [row.document for row in reader.events(Query())] == [small, large]
    assert [row.document for row in reader.deliveries(Query())] == [small, large]
    assert (len(reader.steps(light)), len(reader.runs(light))) == (0, 0)
