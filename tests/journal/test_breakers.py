"""Circuit breakers: an actor that fails in a row waits, one wake probes it, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import pytest

from orgloop.core.deliveries.breaker import QUICK_MS, BreakerPolicy, Sign
from orgloop.core.deliveries.transition import Delivered, NotStarted, Rejected, Retry, Transition, Unavailable
from orgloop.journal.model import ClaimedWake, PauseKind, PauseRow
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.verbs.ledger import waited_for_actor
from tests.journal.build import (
    applied,
    claim,
    claim_one,
    enter,
    run_end,
    run_start,
    settle,
)
from tests.journal.stores import Opened

POLICY = BreakerPolicy(failure_threshold=3, cooldown_ms=1_000)
FAILED = Sign(failed=True, policy=POLICY, what="runs", why="exit 3")
WORKS = Sign(failed=False, policy=POLICY)


async def fail(journal: Journal, *, times: int = 3, at: int = 0, actor: str = "actor") -> None:
    """So many runs in a row that fail at once."""
    for number in range(times):
        name = f"{actor}-{at}-{number}"
        await enter(journal, name, at=at, runs=True, actor=actor)
        await end(journal, await claim_one(journal, now=at, actor=actor), FAILED, at=at)


async def end(
    journal: Journal, wake: ClaimedWake, sign: Sign | None, *, at: int, began: int | None = None
) -> None:
    """The wake's run, which began at that time."""
    assert await journal.start_run(run_start(wake, f"run_{wake.id}", at=at if began is None else began))
    assert await journal.end_run(run_end(wake, f"run_{wake.id}", at=at, sign=sign))


def breaker(reader: Reader) -> PauseRow | None:
    found = [pause for pause in reader.pauses() if pause.kind is PauseKind.BREAKER]
    return found[0] if found else None


async def test_it_opens_with_the_last_of_so_many_failures_in_a_row(journal: Journal, reader: Reader) -> None:
    await fail(journal, times=2, at=5)
    assert breaker(reader) is None
    await fail(journal, times=1, at=6)
    assert breaker(reader) == PauseRow(
        actor="actor",
        since=6,
        until=1_006,
        tries=1,
        reason="3 runs in a row failed within 30 s, the last: exit 3",
        kind=PauseKind.BREAKER,
    )


async def test_one_that_works_in_between_begins_the_count_anew(journal: Journal, reader: Reader) -> None:
    await fail(journal, times=2)
    await enter(journal, "good", runs=True)
    await end(journal, await claim_one(journal), WORKS, at=0)
    await fail(journal, times=2, at=1)
    assert breaker(reader) is None


async def test_each_actor_has_its_own(journal: Journal, reader: Reader) -> None:
    await fail(journal, times=2, actor="one")
    await fail(journal, times=2, actor="two")
    assert reader.pauses() == []


async def test_while_it_is_open_nothing_is_claimed_and_then_one_probes(journal: Journal) -> None:
    await fail(journal)
    for name in "abc":
        await enter(journal, name, at=1, runs=True)
    assert await claim(journal, now=999) == []
    probe = await claim_one(journal, now=1_000)
    assert await claim(journal, now=1_001) == []
    await end(journal, probe, WORKS, at=1_002, began=1_000)
    assert len(await claim(journal, now=1_002)) == 2


async def test_a_probe_that_fails_doubles_the_time(journal: Journal, reader: Reader) -> None:
    await fail(journal)
    await enter(journal, "probe", at=1, runs=True)
    await end(journal, await claim_one(journal, now=1_000), FAILED, at=1_100, began=1_000)
    pause = breaker(reader)
    assert pause is not None
    assert (pause.since, pause.until, pause.tries) == (0, 3_100, 2)
    assert pause.reason.startswith("4 runs")


async def test_wakes_that_were_on_their_way_when_it_opened_are_no_probes(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "slow", runs=True)
    slow = await claim_one(journal)
    await fail(journal, at=10)
    before = breaker(reader)
    await end(journal, slow, FAILED, at=20, began=0)
    assert breaker(reader) == before


async def test_one_that_was_on_its_way_and_works_closes_it(journal: Journal, reader: Reader) -> None:
    await enter(journal, "slow", runs=True)
    slow = await claim_one(journal)
    await fail(journal, at=10)
    await end(journal, slow, WORKS, at=20, began=0)
    assert breaker(reader) is None


@pytest.mark.parametrize(("after", "closed"), [(QUICK_MS - 1, False), (QUICK_MS, True)])
async def test_a_probe_that_goes_on_for_long_enough_closes_it(
    journal: Journal, reader: Reader, after: int, closed: bool
) -> None:
    await fail(journal)
    for name in ("probe", "next"):
        await enter(journal, name, at=1, runs=True)
    probe = await claim_one(journal, now=1_000)
    await journal.start_run(run_start(probe, "run_probe", at=1_000))
    assert bool(await claim(journal, now=1_000 + after)) is closed
    assert (breaker(reader) is None) is closed


async def test_a_run_that_only_says_something_does_not_close_it(journal: Journal, reader: Reader) -> None:
    await fail(journal)
    await enter(journal, "probe", at=1, runs=True)
    probe = await claim_one(journal, now=1_000)
    await journal.start_run(run_start(probe, "run_probe", at=1_000))
    await journal.note_run("run_probe", last_line="hello", offset=1, at=1_001)
    assert await claim(journal, now=1_002) == []
    assert breaker(reader) is not None


@pytest.mark.parametrize(
    ("transition", "sign", "opens"),
    [
        (Retry(reason="500", after_ms=0), FAILED, True),
        (Rejected(reason="404"), WORKS, False),
        (Delivered(), WORKS, False),
        (Delivered(), None, False),
    ],
)
async def test_tries_of_an_actor_that_answers_at_once_count_as_well(
    journal: Journal, reader: Reader, transition: Transition, sign: Sign | None, opens: bool
) -> None:
    for number in range(3):
        await enter(journal, str(number))
    for wake in await claim(journal):
        await settle(journal, wake, transition, sign=sign)
    assert (breaker(reader) is not None) is opens


async def test_a_probe_for_which_nobody_answers_leaves_it_open(journal: Journal, reader: Reader) -> None:
    await fail(journal)
    await enter(journal, "probe", at=1, runs=True)
    wake = await claim_one(journal, now=1_000)
    await settle(journal, wake, Unavailable(reason="refused"), at=1_001, began=1_000, pause_until=1_500)
    pause = breaker(reader)
    assert pause is not None
    assert (pause.until, pause.tries, pause.reason) == (1_500, 2, "refused")
    wake = await claim_one(journal, now=1_500)
    await settle(journal, wake, Delivered(), at=1_501, began=1_500, sign=WORKS)
    assert breaker(reader) is None


async def test_starts_that_fail_open_it_too(journal: Journal, reader: Reader) -> None:
    await enter(journal, "one", runs=True)
    for number in range(3):
        wake = await claim_one(journal, now=number)
        run = f"run_{number}"
        await journal.start_run(run_start(wake, run, at=number))
        nothing = NotStarted(outcome=Retry(reason="exit 75", after_ms=0))
        done = run_end(wake, run, transition=nothing, at=number, sign=FAILED)
        await journal.end_run(done)
    assert breaker(reader) is not None


async def test_age_does_not_run_while_it_is_open(opened: Opened, journal: Journal) -> None:
    await fail(journal)
    await enter(journal, "probe", at=1, runs=True)
    assert await opened.run(lambda tx: waited_for_actor(tx, "actor", 0, 900)) == 900
    await end(journal, await claim_one(journal, now=1_000), WORKS, at=1_010, began=1_000)
    assert await opened.run(lambda tx: waited_for_actor(tx, "actor", 0, 2_000)) == 1_010


async def test_a_person_closes_it(journal: Journal, reader: Reader) -> None:
    await fail(journal)
    await enter(journal, "waits", at=1, runs=True)
    assert await journal.resume_actor("actor", 2)
    assert not await journal.resume_actor("actor", 2)
    assert not await journal.resume_actor("nobody", 2)
    assert reader.pauses() == []
    await end(journal, await claim_one(journal, now=2), FAILED, at=2)
    assert breaker(reader) is None, "the count begins anew"


async def test_a_person_lets_an_actor_that_nobody_answers_for_be_tried_at_once(
    journal: Journal, reader: Reader
) -> None:
    await enter(journal, "one")
    await settle(journal, await claim_one(journal), Unavailable(reason="refused"), pause_until=100)
    assert await journal.resume_actor("actor", 2)
    await claim_one(journal, now=2)


@pytest.mark.parametrize(
    ("actors", "closed", "left"),
    [
        ({"actor": True}, [], True),
        ({"actor": True}, ["actor"], False),
        ({"other": True}, [], False),
        ({"actor": True}, ["other"], True),
    ],
)
async def test_a_new_configuration_closes_it_if_its_actor_is_another_one_or_gone(
    journal: Journal, reader: Reader, actors: Mapping[str, bool], closed: list[str], left: bool
) -> None:
    await fail(journal)
    await journal.apply(applied(), {}, 1, actors=actors, closed=closed)
    assert (breaker(reader) is not None) is left


async def test_it_is_open_still_after_a_restart_and_counts_on(opened: Opened) -> None:
    await fail(opened.journal, times=2)
    await opened.restart()
    await fail(opened.journal, times=1, at=1)
    await opened.restart()
    with closing(opened.reader()) as reader:
        pause = breaker(reader)
    assert pause is not None
    assert pause.until == 1_001
