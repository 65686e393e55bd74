"""Routes that say what becomes of an event while another of its key goes on, and what makes it needless."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import Delivered, Pass, Wake
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Stage
from tests.runtime.test_limits import Gates


def project(then: str, *, connector: str = "taker", steps: str = "") -> str:
    return f"""
sources: [{{id: in, connector: receiver}}, {{id: side, connector: receiver}}]
actors: [{{id: one, connector: {connector}}}]
routes:
  - name: work
    when: {{source: in, events: ["*"], filter: {{payload.kind: work}}}}
    transforms: [{steps}]
    then: {{actor: one, config: {{session_key: "{{{{payload.pr}}}}"}}, {then}}}
"""


async def work(it: Engine, n: int, pr: int = 1) -> None:
    await it.emit(n, pr=pr, kind="work")


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_later_event_stops_the_run_of_its_key_and_starts_its_own(
    tmp_path: Path, gates: Gates, restarted: bool
) -> None:
    text = project("on_busy: cancel_in_progress", connector="agent")
    stage = Stage(programs={"one": gates.program})
    async with engine(tmp_path, text, stage, on_disk=True) as it:
        await work(it, 1)
        await work(it, 2, pr=2)
        await until(lambda: len(it.programs()) == 2, "both runs")
        if restarted:
            # Nobody is left who could stop it when the next event comes.
            it.runtime.dispatcher._cancelling._asked.add(it.runs()[0].id)
        await work(it, 3)
        clock = it.clock
        if not restarted:
            await until(lambda: len(stage.wakes["one"]) == 3, "the next run")
    async with engine(tmp_path, text, stage, on_disk=True, clock=clock) as it:
        await until(lambda: len(stage.wakes["one"]) == 3, "the next run")
        runs = it.runs()
        assert [(run.outcome, run.reason) for run in runs[:2]] == [("cancelled", "requested"), ("", "")]
        first, other, later = it.rows(route="work")
        assert (first.cancelled_by, other.cancelled_by, later.cancelled_by) == (later.id, None, None)
        gates.open(1, 2, 3)
        await it.delivered(3, route="work")


async def test_one_that_is_answered_at_once_goes_on_and_the_last_that_waits_is_left(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def answer(_: Wake) -> Delivered:
        await gate.wait()
        return Delivered()

    async with engine(tmp_path, project("on_busy: replace_pending"), Stage(answers={"one": answer})) as it:
        await work(it, 1)
        await until(lambda: it.stage.wakes["one"], "the first")
        for n in (2, 3, 4):
            await work(it, n)
        gate.set()
        await it.settled("delivered", "dropped", "dropped", "delivered")
        assert it.stage.texts("one") == [1, 4]
        assert [row.reason for row in it.rows()[1:3]] == ["replaced"] * 2


async def test_while_one_goes_on_others_of_its_key_are_skipped(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def answer(_: Wake) -> Delivered:
        await gate.wait()
        return Delivered()

    async with engine(tmp_path, project("on_busy: skip"), Stage(answers={"one": answer})) as it:
        await work(it, 1)
        await work(it, 2)
        await work(it, 3, pr=2)
        gate.set()
        await it.settled("delivered", "dropped", "delivered")
        assert (it.rows()[1].reason, it.rows()[1].detail) == ("busy", f"{it.rows()[0].id} has not finished")
        await work(it, 4)
        await it.settled("delivered", "dropped", "delivered", "delivered")


async def test_what_lacks_a_part_of_its_key_is_nobodys_rival(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def answer(_: Wake) -> Delivered:
        await gate.wait()
        return Delivered()

    async with engine(tmp_path, project("on_busy: skip"), Stage(answers={"one": answer})) as it:
        for n in (1, 2):
            await it.emit(n, kind="work")
        gate.set()
        await it.delivered(2)


DROPS = "drop_when: {events: ['*'], filter: {payload.kind: closed}}, batch: {window: 1h, max_wait: 2h}"


@pytest.mark.parametrize("slow", [False, True])
async def test_what_waits_is_dropped_once_an_event_says_that_it_is_needless(
    tmp_path: Path, slow: bool
) -> None:
    gate = asyncio.Event()

    async def step(_: Any) -> Any:
        await gate.wait()
        return Pass()

    steps = "{ref: slow, config: {name: wait}}" if slow else ""
    async with engine(tmp_path, project(DROPS, steps=steps), Stage(steps={"wait": step})) as it:
        await work(it, 1)
        await work(it, 2, pr=2)
        closed = await it.emit(3, pr=1, kind="closed")
        await work(it, 4)
        gate.set()
        await it.settled("dropped", "pending", "pending")
        assert (it.rows()[0].reason, it.rows()[0].detail) == (
            "needless",
            f"{closed} came later: resource.changed",
        )


async def test_another_source_may_make_it_needless_by_a_key_of_its_own(tmp_path: Path) -> None:
    then = "drop_when: {source: side, events: ['*'], key: '{{payload.n}}'}, batch: {window: 1h, max_wait: 2h}"
    async with engine(tmp_path, project(then)) as it:
        await work(it, 7)
        await work(it, 8)
        await it.emit(7, source="in", kind="other")
        await it.emit(7, source="side")
        await it.settled("dropped", "pending")
