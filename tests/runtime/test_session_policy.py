"""`then.session`: a run goes on in the session of its key, in a copy of it, or in a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import Completion, ExitInfo, RunLimitsSpec, RunSpec, Wake, WakeSession
from orgloop.runtime.runs.completion import by_exit_status
from tests.runtime.engine import engine
from tests.runtime.fakes import Stage
from tests.runtime.test_runs import PROJECT
from tests.runtime.test_sessions import WELL, Agent, ends, talks, wakes

__all__ = ["talks"]


def project(session: str) -> str:
    return PROJECT.replace("then: {actor: agent,", f"then: {{actor: agent, session: {session},")


class Copying(Agent):
    """An agent that can work in a copy of a session: `named`, it knows the copy's id before it begins."""

    def __init__(self, resumed: str = WELL, *, named: bool = True) -> None:
        super().__init__(resumed)
        self.named = named
        self.forks: list[bool] = []

    def __call__(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        spec = super().__call__(wake, session)
        forks = session is not None and session.fork and session.id is not None
        self.forks.append(forks)
        if not forks:
            return spec
        own = f"copy{len(self.sessions)}" if self.named else None
        return RunSpec(
            argv=spec.argv, cwd="/", session_id=own, limits=RunLimitsSpec(silence_s=0.5, grace_s=0.1)
        )


@pytest.mark.parametrize("named", [True, False])
async def test_a_copy_leaves_the_session_as_it_is(tmp_path: Path, named: bool) -> None:
    agent = Copying(named=named)
    count = 0

    def finish(exit: ExitInfo) -> Completion:
        nonlocal count
        count += 1
        how = by_exit_status(exit)
        own = exit.session_id if exit.session_id is not None else f"copy{count}"
        return Completion(
            phase=how.phase, outcome=how.outcome, reason="r", session_id=own, session_cost_usd=0.1 * count
        )

    stage = Stage(programs={"agent": agent}, finishes={"agent": finish})
    async with engine(tmp_path, project("fork"), stage) as it:
        await wakes(it, 3)
        assert agent.sessions == [None, "s1", "s1"]
        assert agent.forks == [False, True, True]
        first, second, third = ends(it)
        assert "forked_from" not in first
        assert [end["forked_from"] for end in (second, third)] == ["s1", "s1"]
        assert [end["session"]["id"] for end in (second, third)] == ["copy2", "copy3"]
        assert second["resumed"] is True
        # Each copy begins with what the session had cost.
        assert [run.cost_usd for run in it.runs()] == pytest.approx([0.1, 0.1, 0.2])
        rows = {row.id: row for row in it.reader.sessions(actor="agent")}
        assert {id: row.active for id, row in rows.items()} == {"s1": True, "copy2": False, "copy3": False}
        assert [rows[name].parent for name in ("s1", "copy2", "copy3")] == [None, "s1", "s1"]
        assert rows["s1"].total_usd == pytest.approx(0.1)
        assert rows["copy3"].total_usd == pytest.approx(0.3)


async def test_a_session_that_cannot_be_copied_twice_is_left(tmp_path: Path) -> None:
    agent = Copying("exit 1")
    async with engine(tmp_path, project("fork"), Stage(programs={"agent": agent})) as it:
        await wakes(it, 2)
        assert agent.sessions == [None, "s1", "s1", None]
        assert "the session s1 could not be resumed 2 times" in ends(it)[-1]["fresh_session"]
        rows = {row.id: row for row in it.reader.sessions(actor="agent")}
        assert (rows["s1"].active, rows["s1"].failed) == (False, 2)
        assert rows["s4"].active


async def test_each_wake_may_begin_a_session(tmp_path: Path) -> None:
    agent = Agent(WELL)
    async with engine(tmp_path, project("fresh"), Stage(programs={"agent": agent})) as it:
        await wakes(it, 3)
        assert agent.sessions == [None, None, None]
        assert not any("fresh_session" in end or "resumed" in end for end in ends(it))
        assert [row.id for row in it.reader.sessions(actor="agent", active_only=True)] == ["s3"]


@pytest.mark.parametrize(
    ("limit", "told", "sessions", "why"),
    [
        ("max_wakes: 2", {}, [None, "s1", None, "s3"], "had 2 wakes, and 2 is the most"),
        ("max_age: 1s", {}, [None, None, None, None], "old, and 1s is the most"),
        ("max_context_tokens: 500", {"context_tokens": 499}, [None, "s1", "s1", "s1"], ""),
        ("max_context_tokens: 500", {"context_tokens": 500}, [None] * 4, "has 500 tokens of context"),
        ("max_context_tokens: 500", {}, [None, "s1", "s1", "s1"], ""),
    ],
)
async def test_a_session_that_has_reached_its_limit_is_left(
    tmp_path: Path, limit: str, told: dict[str, Any], sessions: list[str | None], why: str
) -> None:
    agent = Agent(WELL)

    def finish(exit: ExitInfo) -> Completion:
        how = by_exit_status(exit)
        return Completion(phase=how.phase, outcome=how.outcome, reason="r", **told)

    stage = Stage(programs={"agent": agent}, finishes={"agent": finish})
    async with engine(tmp_path, project(f"{{{limit}}}"), stage) as it:
        for number in range(1, 5):
            await it.emit(number, key="k")
            await it.delivered(2 * number)
            it.clock.advance(2)
        assert agent.sessions == sessions
        said = [end.get("fresh_session", "") for end in ends(it)]
        assert [bool(one) for one in said] == [
            number > 0 and known is None for number, known in enumerate(sessions)
        ]
        assert all(why in one for one in said if one)
