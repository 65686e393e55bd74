"""Runs: their start, what they say, their end, the sessions they leave."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    NotStarted,
    Rejected,
    Retry,
    RunEnded,
    Transition,
    Unavailable,
)
from orgloop.journal.model import Acceptance, Cause, ClaimedWake, Query, RunBegun
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import claim, claim_one, delivery, enter, event, row, run_end, run_start, settle


async def begin(
    journal: Journal, name: str, *, at: int = 0, session: str | None = None, **more: Any
) -> ClaimedWake:
    """A delivery whose run has started. Its run is called as it is."""
    await enter(journal, name, runs=True, at=at, **more)
    wake = await claim_one(journal, now=at)
    remembered = None if session is None else (wake.key or "", session)
    assert await journal.start_run(run_start(wake, f"run_{name}", at=at, session=remembered))
    return wake


def follow_up(name: str, *, identity: str | None = None, state: State = State.PENDING) -> Acceptance:
    follower = event(
        name, delivery(name, route="next", actor="next", state=state), source="actor", identity=identity
    )
    return Acceptance(source="actor", at=60, events=[follower])


async def test_a_run_and_its_delivery_commit_together(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", runs=True, key="k", hops=2)
    wake = await claim_one(journal)
    start = run_start(wake, "run_1", at=50, session=("k", "s1"), directory="/work")
    assert await journal.start_run(start)
    found, run = row(reader, "1"), reader.run("run_1")
    assert (found.state, found.run_id, found.attempts, found.head) == ("started", "run_1", 1, True)
    assert run is not None
    assert (run.delivery_id, run.event_id, run.trace_id, run.hops) == ("dlv_1", "evt_1", "trc_1", 2)
    assert (run.actor, run.route, run.harness, run.key, run.session_id) == (
        "actor",
        "route",
        "process",
        "k",
        "s1",
    )
    assert (run.directory, run.run_dir, run.spec) == ("/work", "/runs/run_1", {"argv": ["true"]})
    assert (run.started_at, run.ended_at, run.outcome, run.completion) == (50, None, "", {})
    assert [step.transition for step in reader.steps(Query(delivery_id="dlv_1"))] == ["started"]


def begun(*, at: int = 60, name: str = "1") -> RunBegun:
    return RunBegun(run_id=f"run_{name}", at=at, follow_up=follow_up(f"started{name}"))


async def transitions(reader: Reader, name: str) -> list[str]:
    return [step.transition for step in reader.steps(Query(delivery_id=f"dlv_{name}"))][::-1]


async def test_that_it_has_begun_is_told_once_with_its_event(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal, "1")
    assert [run.begun for run in await journal.open_runs()] == [False]
    assert await journal.run_begun(begun())
    assert [run.begun for run in await journal.open_runs()] == [True]
    assert not await journal.run_begun(begun())
    assert (await claim_one(journal, actor="next", now=60)).id == "dlv_started1"
    await journal.end_run(run_end(wake, "run_1", at=90))
    assert await transitions(reader, "1") == ["started", "begun", "run_ended"]


async def test_a_run_that_ends_before_anybody_looks_tells_of_its_start_with_its_end(
    journal: Journal, reader: Reader
) -> None:
    wake = await begin(journal, "1")
    end = run_end(wake, "run_1", at=90, follow_up=follow_up("stopped"))
    assert await journal.end_run(replace(end, session_started=follow_up("started1")))
    assert await transitions(reader, "1") == ["started", "begun", "run_ended"]
    assert [seen.id for seen in reader.events(Query(source="actor"))] == ["evt_stopped", "evt_started1"]
    assert not await journal.run_begun(begun()), "it has ended"


async def test_a_run_that_never_began_has_no_start(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal, "1")
    gone = NotStarted(outcome=Unavailable(reason="no program"))
    assert await journal.end_run(run_end(wake, "run_1", transition=gone, at=90))
    assert await transitions(reader, "1") == ["started", "not_started"]
    assert not await journal.run_begun(begun())
    assert reader.event("evt_started1") is None


async def test_a_run_is_not_started_by_a_claim_that_is_over(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", runs=True)
    wake = await claim_one(journal)
    await settle(journal, wake, Retry(reason="x"))
    assert not await journal.start_run(run_start(wake, "run_1"))
    assert reader.runs(Query()) == []


async def test_no_other_wake_of_its_key_is_claimed_while_it_goes_on(journal: Journal) -> None:
    wake = await begin(journal, "1", key="k")
    await enter(journal, "2", runs=True, key="k")
    assert await claim(journal) == []
    await journal.end_run(run_end(wake, "run_1"))
    assert (await claim_one(journal)).id == "dlv_2"


async def test_its_end_its_delivery_and_what_follows_commit_together_and_once(
    journal: Journal, reader: Reader
) -> None:
    wake = await begin(journal, "1")
    end = run_end(
        wake,
        "run_1",
        at=90,
        outcome="failure",
        reason="exit_code_1",
        text="it broke",
        completion={"lifecycle": {"outcome": "failure"}},
        exit_status=1,
        cost_usd=0.5,
        follow_up=follow_up("stopped", identity="run_1"),
    )
    assert await journal.end_run(end)
    assert not await journal.end_run(end)
    run, found = reader.run("run_1"), row(reader, "1")
    assert run is not None
    assert (run.ended_at, run.outcome, run.reason, run.text) == (90, "failure", "exit_code_1", "it broke")
    assert (run.exit_status, run.cost_usd, run.completion) == (1, 0.5, {"lifecycle": {"outcome": "failure"}})
    assert (found.state, found.run_id, found.detail) == ("delivered", "run_1", "done")
    assert [step.transition for step in reader.steps(Query(delivery_id="dlv_1"))] == [
        "run_ended",
        "begun",
        "started",
    ]
    assert [seen.id for seen in reader.events(Query(source="actor"))] == ["evt_stopped"]
    assert reader.counts()["total"]["delivered"] == 1
    assert reader.route_stats() == {"route": (1, 0), "next": (1, 60)}


async def test_of_two_ends_at_once_one_counts(journal: Journal) -> None:
    wake = await begin(journal, "1")
    ends = await asyncio.gather(*(journal.end_run(run_end(wake, "run_1")) for _ in range(5)))
    assert sorted(ends) == [False, False, False, False, True]


async def test_a_run_nobody_knows_does_not_end(journal: Journal) -> None:
    wake = await begin(journal, "1")
    assert not await journal.end_run(run_end(wake, "run_other"))


@pytest.mark.parametrize(
    ("transition", "state", "due"),
    [
        (NotStarted(outcome=Unavailable(reason="no program")), "pending", 90),
        (NotStarted(outcome=Retry(reason="exit 75", after_ms=10)), "pending", 100),
        (NotStarted(outcome=Rejected(reason="bad arguments")), "dead", 0),
    ],
)
async def test_a_run_that_never_began_gives_its_delivery_back(
    journal: Journal, reader: Reader, transition: Transition, state: str, due: int
) -> None:
    wake = await begin(journal, "1", key="k")
    assert await journal.end_run(run_end(wake, "run_1", transition=transition, at=90))
    run, found = reader.run("run_1"), row(reader, "1")
    assert run is not None
    assert (run.ended_at, run.outcome, run.reason) == (90, "", "not_started")
    assert run.text == found.detail != ""
    assert (found.state, found.due, found.run_id, found.head) == (state, due, None, state == "pending")
    assert await journal.open_runs() == []


async def test_its_delivery_can_start_another_run(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal, "1")
    await journal.end_run(
        run_end(wake, "run_1", transition=NotStarted(outcome=Retry(reason="x", after_ms=0)))
    )
    again = await claim_one(journal)
    assert await journal.start_run(run_start(again, "run_1b"))
    assert row(reader, "1").run_id == "run_1b"
    assert [run.id for run in reader.runs(Query(), open_only=True)] == ["run_1b"]
    assert [run.id for run in reader.runs(Query(delivery_id="dlv_1"))] == ["run_1b", "run_1"]


async def test_a_starting_daemon_finds_the_runs_that_go_on(journal: Journal) -> None:
    await begin(journal, "1", key="k", session="s1", document={"changed": 1})
    over = await begin(journal, "2")
    await journal.end_run(run_end(over, "run_2"))
    (found,) = await journal.open_runs()
    assert (found.run_id, found.delivery_id, found.event_id, found.actor) == (
        "run_1",
        "dlv_1",
        "evt_1",
        "actor",
    )
    assert (found.route, found.harness, found.run_dir, found.key) == ("route", "process", "/runs/run_1", "k")
    assert (found.session_id, found.resumed, found.started_at, found.offset) == ("s1", False, 0, 0)
    assert found.causes == [Cause(id="evt_1", trace_id="trc_1", hops=0)]
    assert (found.limits, found.directory) == ({"total_ms": 1_000}, None)
    assert (found.facts.state, found.facts.attempts) == (State.STARTED, 1)


class TestNote:
    async def test_what_a_run_said_last_is_written_with_the_next_group(
        self, journal: Journal, reader: Reader
    ) -> None:
        await begin(journal, "1")
        await journal.note_run("run_1", last_line="one", offset=4, at=10)
        await journal.note_run("run_1", last_line="two", offset=8, at=20)
        (found,) = await journal.open_runs()
        assert found.offset == 8
        run = reader.run("run_1")
        assert run is not None
        assert (run.last_line, run.last_seen) == ("two", 20)

    async def test_a_session_that_an_earlier_note_named_is_not_lost(
        self, journal: Journal, reader: Reader
    ) -> None:
        await begin(journal, "1", key="k")
        await journal.note_run("run_1", last_line="session", offset=4, at=10, session_id="s9")
        await journal.note_run("run_1", last_line="work", offset=8, at=20)
        (found,) = await journal.open_runs()
        assert (found.session_id, found.offset) == ("s9", 8)
        await enter(journal, "2", key="k")
        await journal.end_run(run_end(await again(journal, "1"), "run_1"))
        assert (await claim_one(journal)).session_id == "s9"

    async def test_what_it_told_of_its_cost_stays_unless_its_end_knows_better(
        self, journal: Journal, reader: Reader
    ) -> None:
        for name, known in (("1", None), ("2", 0.5)):
            wake = await begin(journal, name)
            await journal.note_run(f"run_{name}", last_line="result", offset=4, at=10, cost_usd=0.25)
            await journal.note_run(f"run_{name}", last_line="work", offset=8, at=20)
            (found,) = await journal.open_runs()
            assert found.cost_usd == 0.25
            await journal.end_run(run_end(wake, f"run_{name}", cost_usd=known))
        runs = [reader.run(id) for id in ("run_1", "run_2")]
        assert [run.cost_usd for run in runs if run] == [0.25, 0.5]

    async def test_its_end_has_its_last_line(self, journal: Journal, reader: Reader) -> None:
        for name, last in (("1", ""), ("2", "bye")):
            wake = await begin(journal, name)
            await journal.note_run(f"run_{name}", last_line="hello", offset=4, at=10)
            await journal.end_run(run_end(wake, f"run_{name}", last_line=last))
        runs = [reader.run(id) for id in ("run_1", "run_2")]
        assert [run.last_line for run in runs if run] == ["hello", "bye"]

    async def test_a_run_that_ended_says_nothing_more(self, journal: Journal, reader: Reader) -> None:
        wake = await begin(journal, "1")
        await journal.end_run(run_end(wake, "run_1"))
        await journal.note_run("run_1", last_line="late", offset=4, at=10)
        await journal.checkpoint("source")
        run = reader.run("run_1")
        assert run is not None
        assert run.last_line == ""


class TestSession:
    async def next_session(self, journal: Journal, key: str = "k") -> str | None:
        await enter(journal, "next", key=key)
        return (await claim_one(journal)).session_id

    async def test_a_key_leads_to_its_last_session(self, journal: Journal, reader: Reader) -> None:
        wake = await begin(journal, "1", key="k", session="s1")
        await journal.end_run(run_end(wake, "run_1"))
        second = await begin(journal, "2", key="k", session="s1")
        assert second.session_id == "s1"
        (found,) = await journal.open_runs()
        assert found.resumed
        await journal.end_run(run_end(second, "run_2", session_id="s2"))
        run = reader.run("run_2")
        assert run is not None
        assert run.session_id == "s2"
        assert await self.next_session(journal) == "s2"

    async def test_another_keys_wake_knows_nothing_of_it(self, journal: Journal) -> None:
        await begin(journal, "1", key="k", session="s1")
        assert await self.next_session(journal, "other") is None

    async def test_it_can_be_forgotten(self, journal: Journal) -> None:
        wake = await begin(journal, "1", key="k", session="s1")
        await journal.end_run(run_end(wake, "run_1", forget_session=True))
        assert await self.next_session(journal) is None

    async def test_one_that_a_run_would_have_begun_is_forgotten_if_it_never_began(
        self, journal: Journal
    ) -> None:
        wake = await begin(journal, "1", key="k", session="s1")
        await journal.end_run(run_end(wake, "run_1", transition=NotStarted(outcome=Rejected(reason="x"))))
        assert await self.next_session(journal) is None

    async def test_one_that_was_resumed_stays_if_the_run_never_began(self, journal: Journal) -> None:
        wake = await begin(journal, "1", key="k", session="s1")
        await journal.end_run(run_end(wake, "run_1"))
        second = await begin(journal, "2", key="k", session="s1")
        await journal.end_run(run_end(second, "run_2", transition=NotStarted(outcome=Rejected(reason="x"))))
        assert await self.next_session(journal) == "s1"

    async def test_a_run_without_a_key_keeps_its_session_to_itself(
        self, journal: Journal, reader: Reader
    ) -> None:
        await begin(journal, "1", session="s1")
        run = reader.run("run_1")
        assert run is not None
        assert run.session_id == "s1"


async def test_the_first_end_makes_the_event_and_a_repeated_one_does_not(
    journal: Journal, reader: Reader
) -> None:
    for name in "12":
        wake = await begin(journal, name)
        await journal.end_run(
            run_end(wake, f"run_{name}", follow_up=follow_up(f"stop{name}", identity="same"))
        )
    assert [seen.id for seen in reader.events(Query(source="actor"))] == ["evt_stop1"]


async def test_a_delivery_with_a_run_cannot_be_settled(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal, "1")
    assert not await settle(journal, wake, Delivered())
    assert row(reader, "1").state == "started"


async def again(journal: Journal, name: str) -> ClaimedWake:
    """A wake whose run goes on, as a daemon that came back knows it."""
    (found,) = [run for run in await journal.open_runs() if run.delivery_id == f"dlv_{name}"]
    facts = type(found.facts)(state=State.RUNNING, accepted_at=0, age_from=0)
    return ClaimedWake(
        id=found.delivery_id,
        seq=0,
        token=1,
        event_id=found.event_id,
        route=found.route,
        actor=found.actor,
        facts=facts,
        key=found.key,
        document=b"{}",
        trace_id=found.causes[0].trace_id,
        hops=found.causes[0].hops,
    )


async def test_an_ended_run_is_delivered_whatever_its_outcome(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal, "1")
    await journal.end_run(
        run_end(wake, "run_1", transition=RunEnded(detail="lost"), outcome="unknown", reason="lost")
    )
    assert (row(reader, "1").state, row(reader, "1").detail) == ("delivered", "lost")
