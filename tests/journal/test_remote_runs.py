"""Runs that are jobs of another system: their request, their ref, a callback, a wish to end them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered, DeliverOutcome, Skipped, Unavailable
from orgloop.journal.model import ClaimedWake, OpenRemote, RunBegun
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import claim_one, enter, row, run_end, run_start, settle
from tests.journal.test_runs import follow_up

REQUEST = b"\x00\xff do it"


async def begin(journal: Journal, name: str = "1", *, at: int = 0) -> ClaimedWake:
    """A delivery whose run is on disk, with what it will send."""
    await enter(journal, name, runs=True, key="k", at=at)
    wake = await claim_one(journal, now=at)
    assert await journal.start_run(replace(run_start(wake, f"run_{name}", at=at), request=REQUEST))
    return wake


def begun(*, at: int = 60) -> RunBegun:
    return RunBegun(
        run_id="run_1",
        at=at,
        ref={"id": "job_1", "session_id": "s1"},
        session_id="s1",
        follow_up=follow_up("started"),
    )


async def opened(journal: Journal) -> OpenRemote:
    (run,) = await journal.open_runs()
    assert run.remote is not None
    return run.remote


async def test_what_will_be_sent_is_there_with_the_run_and_a_program_has_none(journal: Journal) -> None:
    await begin(journal)
    await enter(journal, "2", runs=True, at=1)
    await journal.start_run(run_start(await claim_one(journal, now=1), "run_2", at=1))
    first, second = await journal.open_runs()
    assert first.remote == OpenRemote(request=REQUEST, ref=None, stop_at=None, called_back=None)
    assert second.remote is None


async def test_its_ref_its_session_and_the_event_of_its_start_commit_together(
    journal: Journal, reader: Reader
) -> None:
    wake = await begin(journal)
    assert await journal.run_begun(begun())
    assert (await opened(journal)).ref == {"id": "job_1", "session_id": "s1"}
    assert (await claim_one(journal, actor="next", now=60)).id == "dlv_started"
    await journal.end_run(run_end(wake, "run_1", at=65))
    run = reader.run("run_1")
    assert run is not None
    assert (run.session_id, run.spec["job"]) == ("s1", "job_1")
    await enter(journal, "2", runs=True, key="k", at=70)
    assert (await claim_one(journal, now=70)).session_id == "s1", "its key leads there"


async def test_that_it_has_begun_ends_the_pause_of_its_actor(journal: Journal, reader: Reader) -> None:
    await enter(journal, "0", runs=True)
    gone = Unavailable(reason="away")
    await settle(journal, await claim_one(journal), gone, at=0, pause_until=10)
    wake = await claim_one(journal, now=20)
    await journal.start_run(replace(run_start(wake, "run_1", at=20), request=REQUEST))
    assert reader.pauses()
    await journal.run_begun(begun(at=21))
    assert not reader.pauses()


async def test_the_first_callback_counts_and_is_found_by_the_next_daemon(journal: Journal) -> None:
    await begin(journal)
    assert await journal.run_called_back("run_1", b"first", 10)
    assert not await journal.run_called_back("run_1", b"second", 11)
    assert not await journal.run_called_back("run_2", b"of nobody", 11)
    assert (await opened(journal)).called_back == b"first"


async def test_a_wish_to_end_it_is_found_by_the_next_daemon(journal: Journal) -> None:
    await begin(journal)
    assert await journal.stop_run("run_1", 10)
    assert await journal.stop_run("run_1", 20)
    assert (await opened(journal)).stop_at == 10, "since when"


async def test_a_run_that_has_ended_takes_nothing_more(journal: Journal, reader: Reader) -> None:
    wake = await begin(journal)
    assert await journal.end_run(run_end(wake, "run_1"))
    assert not await journal.run_begun(begun())
    assert not await journal.run_called_back("run_1", b"late", 10)
    assert not await journal.stop_run("run_1", 10)
    assert reader.event("evt_started") is None


@pytest.mark.parametrize(
    ("transition", "state", "reason"),
    [
        (Delivered(detail="they have it"), State.DELIVERED, ""),
        (Skipped(reason="nothing to do"), State.DROPPED, "skipped"),
    ],
)
async def test_an_end_without_a_result_is_an_end(
    journal: Journal, reader: Reader, transition: DeliverOutcome, state: State, reason: str
) -> None:
    wake = await begin(journal)
    end = run_end(wake, "run_1", transition=transition, outcome="", reason="handed over")
    assert await journal.end_run(end)
    assert not await journal.end_run(end)
    found, run = row(reader, "1"), reader.run("run_1")
    assert (found.state, found.reason, found.attempts) == (state, reason, 1)
    assert run is not None
    assert (run.outcome, run.reason) == ("", "handed over")
    await enter(journal, "2", runs=True, key="k", at=1)
    assert (await claim_one(journal, now=1)).id == "dlv_2", "its key goes on"


async def test_all_of_it_goes_with_its_event(journal: Journal, reader: Reader) -> None:
    for at, name in enumerate("12"):
        wake = await begin(journal, name, at=at)
        await journal.run_called_back(f"run_{name}", b"end", at)
        await journal.end_run(run_end(wake, f"run_{name}", at=at))
    assert await journal.prune(before=1, seen_before=0, limit=10) == 1
    assert (reader.run("run_1"), reader.check()) == (None, [])
    # What is gone leaves room for a run of the same name.
    await enter(journal, "3", runs=True, at=5)
    again = run_start(await claim_one(journal, now=5), "run_1", at=5)
    assert await journal.start_run(replace(again, request=b"again"))
    assert (await opened(journal)).called_back is None
