"""Loops that must not end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from orgloop.journal.model import ClaimWant
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.supervisor import MAX_ERROR_TEXT, Errands, Supervisor, error_text
from tests.runtime.engine import NOON, HandClock, engine, turn, until
from tests.runtime.fakes import Stage

PROJECT = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
"""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("a\nb\t c"), "RuntimeError: a b c"),
        (RuntimeError("\ud800"), "RuntimeError: ?"),
        (RuntimeError("x" * 10**6), "RuntimeError: " + "x" * MAX_ERROR_TEXT + "…"),
        (Mute(), "Mute"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_an_error_is_one_bounded_line_that_can_be_stored(error: Exception, line: str) -> None:
    assert error_text(error) == line


@pytest.mark.parametrize(
    "end", [RuntimeError("boom"), SystemExit(3), asyncio.CancelledError(), None], ids=str
)
async def test_a_loop_that_ends_is_told_of_and_begun_again_after_a_growing_pause(
    end: BaseException | None,
) -> None:
    clock = HandClock()
    supervisor = Supervisor(clock, Mock(spec=EngineEvents))
    calls = []

    async def loop() -> None:
        calls.append(1)
        if end is not None:
            raise end

    task = asyncio.create_task(supervisor.keep("the loop", loop))
    for times, pause in enumerate([1.0, 2.0, 4.0], 1):
        await until(lambda p=pause: clock.waits == [p], f"a pause of {pause} s")  # type: ignore[misc]
        trouble = supervisor.troubles["the loop"]
        assert (trouble.times, len(calls)) == (times, times)
        clock.advance(pause)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_loop_that_worked_for_long_gets_a_short_pause_again() -> None:
    clock = HandClock()

    async def loop() -> None:
        clock.ms += 61_000
        raise RuntimeError("boom")

    task = asyncio.create_task(Supervisor(clock, Mock(spec=EngineEvents)).keep("the loop", loop))
    for _ in range(3):
        await until(lambda: clock.waits == [1.0], "a pause of a second")
        clock.advance(1)
        await turn()
    task.cancel()


async def test_an_errand_that_breaks_is_told_of() -> None:
    supervisor = Supervisor(HandClock(), Mock(spec=EngineEvents))
    errands = Errands(supervisor)

    async def fail() -> None:
        raise RuntimeError("boom")

    errands.run("the errand", fail())
    errands.run("another", asyncio.Event().wait())  # type: ignore[arg-type]
    await until(lambda: supervisor.troubles, "the trouble")
    assert supervisor.troubles["the errand"].error == "RuntimeError: boom"
    await errands.close()
    assert list(supervisor.troubles) == ["the errand"]


async def test_a_dispatcher_that_breaks_goes_on(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, start=False) as it:
        claim, failures = it.journal.claim, [1, 2]

        async def fail(wants: list[ClaimWant], now: int) -> Any:
            if failures:
                failures.pop()
                raise ValueError("no such row")
            return await claim(wants, now)

        it.journal.claim = fail  # type: ignore[method-assign, assignment]
        await it.runtime.start()
        await it.emit()
        for _ in range(2):
            await until(lambda: {1.0, 2.0} & set(it.clock.waits), "the pause")
            await it.pass_time(2)
        await it.delivered(1)
        assert it.runtime.supervisor.troubles["the dispatcher"].times == 2


async def test_housekeeping_that_breaks_goes_on(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, start=False) as it:
        beat, failures = it.journal.beat, [1]
        beats: list[int] = []

        async def fail(life: Any) -> None:
            if failures and beats:
                failures.pop()
                raise KeyError("no such file")
            beats.append(life.last_seen)
            await beat(life)

        it.journal.beat = fail  # type: ignore[method-assign]
        await it.runtime.start()
        await until(lambda: not failures, "the failure")
        await until(lambda: 1.0 in it.clock.waits, "the pause")
        await it.pass_time(1)
        await until(lambda: NOON + 1000 in beats, "the next beat")


async def test_what_is_held_for_too_long_expires_and_old_run_directories_go(tmp_path: Path) -> None:
    project = "defaults: {event_retention: 1d}\n" + PROJECT.replace('["*"]', '["*"], trust: team')
    async with engine(tmp_path, project, Stage()) as it:
        runs = tmp_path / "home" / "runs"
        (runs / "run_0000000000000001").mkdir(parents=True)
        (runs / "a-file").touch()
        await it.emit(author_type="external")
        await it.settled("held")
        await until(lambda: 30.0 in it.clock.waits, "housekeeping")
        it.clock.ms += 8 * 86_400_000
        await it.pass_time(30)
        await until(lambda: it.states() in (["dropped"], []), "the expiry")
        await until(lambda: not (runs / "run_0000000000000001").exists(), "the old directory to go")


async def test_the_journal_is_tidied_by_the_worker_that_has_the_role_and_directories_by_each(
    tmp_path: Path,
) -> None:
    project = "defaults: {event_retention: 1d}\n" + PROJECT.replace('["*"]', '["*"], trust: team')
    async with engine(tmp_path, project, Stage()) as it:
        runs = tmp_path / "home" / "runs"

        async def lead(role: str) -> bool:
            return role in leads

        leads: set[str] = set()
        it.journal.lead = lead  # type: ignore[method-assign]
        await it.emit(author_type="external")
        await it.settled("held")
        for count in (1, 2):
            (runs / f"run_000000000000000{count}").mkdir(parents=True)
            await until(lambda: 30.0 in it.clock.waits, "housekeeping")
            it.clock.ms += 8 * 86_400_000
            await it.pass_time(30)
            await until(lambda: not any(runs.iterdir()), "the old directory to go")
            assert it.states() == (["dropped"] if leads else ["held"])
            leads.add("prune")
