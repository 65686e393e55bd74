"""Loops that no limit of hops would stop soon are held, and chains that get on are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.core.deliveries.transition import Released
from orgloop.plugin import RunSpec, Wake, WakeSession
from tests.runtime.engine import engine
from tests.runtime.fakes import Stage


def project(limits: str = "{}", key: str = "") -> str:
    return f"""
defaults: {{limits: {limits}, budget: {{runs_per_hour: null}}}}
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: agent}}, {{id: two, connector: agent}}]
routes:
  - {{name: begin, when: {{source: in, events: ["*"]}}, then: {{actor: one{key}}}}}
  - {{name: to-two, when: {{source: one, events: [actor.stopped]}}, then: {{actor: two{key}}}}}
  - {{name: to-one, when: {{source: two, events: [actor.stopped]}}, then: {{actor: one{key}}}}}
"""


def says(text: str) -> RunSpec:
    return RunSpec(argv=["echo", text], cwd="/")


def same(wake: Wake, session: WakeSession | None) -> RunSpec:
    """Says the same each time, but for its id."""
    return says(f"{wake.event.payload.get('run_id', 'run_0000000000000000')} is not done yet")


def counts(wake: Wake, session: WakeSession | None) -> RunSpec:
    """Says how far it is."""
    return says(f"step {wake.event.hops}")


@pytest.mark.parametrize(("limits", "runs"), [("{}", 7), ("{max_repeats: 0}", 3)])
async def test_two_agents_that_say_the_same_to_each_other_are_held(
    limits: str, runs: int, tmp_path: Path
) -> None:
    stage = Stage(programs={"one": same, "two": same})
    async with engine(tmp_path, project(limits), stage) as it:
        await it.emit()
        rows = await it.settled(*["delivered"] * (runs + 1), "held")
        assert (rows[-1].reason, "defaults.limits.max_repeats" in rows[-1].detail) == ("loop", True)
        # Another event from outside begins another chain.
        await it.emit()
        await it.settled(*["delivered"] * (runs + 1), "held", *["delivered"] * (runs + 1), "held")
        await it.runtime.operate(rows[-1].id, Released())
        await it.settled(*["delivered"] * (runs + 2), *["delivered"] * (runs + 1), "held", "held")


@pytest.mark.parametrize(
    ("limits", "program"), [("{}", counts), ("{max_repeats: null}", same)], ids=["it gets on", "no guard"]
)
async def test_a_chain_goes_on_up_to_its_hops(limits: str, program: object, tmp_path: Path) -> None:
    stage = Stage(programs={"one": program, "two": program})  # type: ignore[dict-item]
    async with engine(tmp_path, project(limits), stage) as it:
        await it.emit()
        rows = await it.settled(*["delivered"] * 25, "held")
        assert rows[-1].reason == "hops"


async def test_a_key_with_too_many_runs_in_an_hour_is_held_and_others_go_on(tmp_path: Path) -> None:
    key = ", config: {session_key: '{{payload.key}}'}"
    only = "\n".join(project("{runs_per_key: 3}", key).splitlines()[:6])
    async with engine(tmp_path, only, Stage(programs={"one": same})) as it:
        for n in range(4):
            await it.emit(n, key="hot")
        await it.emit(5, key="other")
        rows = await it.settled("delivered", "delivered", "delivered", "held", "delivered")
        assert rows[3].reason == "loop"
        assert "3 runs an hour for key hot; defaults.limits.runs_per_key is 3" in rows[3].detail
        await it.runtime.operate(rows[3].id, Released())
        await it.delivered(5)
