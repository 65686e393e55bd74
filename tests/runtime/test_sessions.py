"""Sessions of agents: taken up where they belong, left once they do not go on, and each with its own cost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import (
    Completion,
    ExitInfo,
    Limited,
    NotBegun,
    Progress,
    Retry,
    RunLimitsSpec,
    RunSpec,
    Throttled,
    Unavailable,
    Wake,
    WakeSession,
)
from orgloop.runtime.runs.completion import by_exit_status
from tests.runtime.engine import NOON, Engine, engine, until
from tests.runtime.fakes import FakeAgent, Stage
from tests.runtime.test_runs import PROJECT

WELL = "echo said: hello"


@pytest.fixture(autouse=True)
def talks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the agent begins with `said:`; what it costs stands behind `cost:`."""

    def read(_: FakeAgent, line: str) -> Progress:
        spent = ("request", float(line.partition("cost:")[2])) if "cost:" in line else None
        return Progress(text=line, alive=line.startswith("said:"), spent=spent)

    monkeypatch.setattr(FakeAgent, "read", read)


class Agent:
    """A program for each wake: what it does when it begins a session, and what when it takes one up."""

    def __init__(self, resumed: str, fresh: str = WELL, **spec: Any) -> None:
        self.resumed, self.fresh, self.spec = resumed, fresh, spec
        self.sessions: list[str | None] = []

    def __call__(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        known = session.id if session is not None else None
        self.sessions.append(known)
        spec = {"cwd": "/", "session_id": known or f"s{len(self.sessions)}", **self.spec}
        limits = RunLimitsSpec(silence_s=0.5, grace_s=0.1)
        return RunSpec(argv=["sh", "-c", self.resumed if known else self.fresh], limits=limits, **spec)


async def wakes(it: Engine, count: int) -> None:
    """Wake the agent so often, one after the other; time goes by."""
    for number in range(1, count + 1):
        await it.emit(number, key="k")

        def over(wanted: int = 2 * number) -> bool:
            it.clock.advance(1)
            it.runtime.dispatcher.wake_all()
            return it.states().count("delivered") == wanted

        await until(over, f"the end of wake {number}")


def ends(it: Engine) -> list[dict[str, Any]]:
    """What the ends of the runs carry, oldest first."""
    return [row.document["payload"] for row in it.events() if row.type == "actor.stopped"]


@pytest.mark.parametrize(
    "resumed",
    [
        "exit 0; echo",
        "exit 1",
        "echo greeting; exit 1",
        "echo 'prompt is too long'; exit 1",
        "exec sleep 1000",
        "echo greeting; exec sleep 1000",
        "kill -SEGV $$",
        "kill -KILL $$",
    ],
)
async def test_a_session_that_does_not_go_on_twice_is_left(tmp_path: Path, resumed: str) -> None:
    def finish(exit: ExitInfo) -> Completion | NotBegun:
        if exit.status == 0 and not exit.stdout.strip():
            return NotBegun(outcome=Retry(reason="nothing was written"))
        return by_exit_status(exit)

    agent = Agent(resumed)
    stage = Stage(programs={"agent": agent}, finishes={"agent": finish})
    project = PROJECT.replace("max_attempts: 3", "max_attempts: 1")
    async with engine(tmp_path, project, stage) as it:
        await wakes(it, 2)
        assert agent.sessions == [None, "s1", "s1", None]
        first, second = ends(it)
        assert "fresh_session" not in first
        assert "the session s1 could not be resumed 2 times" in second["fresh_session"]
        assert second["session"]["id"] == "s4"
        assert [row.attempts for row in it.rows(route="work")] == [1, 1], "its wake is not spent"
        left, now = sorted(it.reader.sessions(actor="agent"), key=lambda row: row.id)
        assert (left.id, left.active, left.failed) == ("s1", False, 2)
        assert (now.id, now.active, now.failed, now.runs) == ("s4", True, 0, 1)


@pytest.mark.parametrize(
    "outcome",
    [
        Limited(account="a", until=NOON + 5_000),
        Unavailable(reason="not logged in"),
        Throttled(until=NOON + 5_000),
    ],
)
async def test_what_is_not_the_sessions_fault_leaves_it_alone(tmp_path: Path, outcome: Any) -> None:
    ended: list[ExitInfo] = []

    def finish(exit: ExitInfo) -> Completion | NotBegun:
        ended.append(exit)
        return NotBegun(outcome=outcome) if 2 <= len(ended) <= 5 else by_exit_status(exit)

    agent = Agent("echo greeting; [ -e gate ]")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": agent}, finishes={"agent": finish})) as it:
        await it.emit(1, key="k")
        await it.delivered(2)
        await it.emit(2, key="k")

        def tried() -> bool:
            it.clock.advance(5)
            it.runtime.dispatcher.wake_all()
            return len(ended) >= 5

        await until(tried, "four tries in vain")
        assert agent.sessions[:5] == [None, *["s1"] * 4]
        (row,) = it.reader.sessions(actor="agent")
        assert (row.active, row.failed) == (True, 0)


async def test_a_run_that_we_stopped_leaves_its_session_alone(tmp_path: Path) -> None:
    agent = Agent("echo greeting; exec sleep 1000")
    agent.spec["turns"] = None
    stage = Stage(programs={"agent": agent})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit(1, key="k")
        await it.delivered(2)
        await it.emit(2, key="k")
        await until(lambda: it.programs() and it.programs()[0].last_line == "greeting", "the second run")
        await it.runtime.runs.stop(it.programs()[0].run_id)
        await it.delivered(4)
        (row,) = it.reader.sessions(actor="agent")
        assert (row.active, row.failed) == (True, 0)


async def test_an_agent_that_answers_again_makes_good(tmp_path: Path) -> None:
    marker = tmp_path / "failed-once"
    agent = Agent(f"[ -e {marker} ] && {WELL} || {{ touch {marker}; exit 1; }}")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": agent})) as it:
        await wakes(it, 3)
        assert agent.sessions == [None, "s1", "s1", "s1"]
        (row,) = it.reader.sessions(actor="agent")
        assert (row.failed, row.runs, row.why) == (0, 3, "")


MOVES: dict[str, tuple[Callable[[Agent, pytest.MonkeyPatch], Any], str]] = {
    "a directory": (lambda agent, _: agent.spec.update(cwd="/usr"), "directory /"),
    "a login": (lambda agent, _: agent.spec.update(account="two"), "another login (one)"),
    "a harness": (lambda _, patch: patch.setattr(FakeAgent, "harness", "other"), "one of fake"),
    "a machine": (
        lambda _, patch: patch.setattr("orgloop.runtime.runs.local.launch.MACHINE", "other"),
        "on the machine",
    ),
}


@pytest.mark.parametrize("move", MOVES)
async def test_a_session_is_taken_up_only_where_it_belongs(
    tmp_path: Path, move: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(WELL, account="one")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": agent})) as it:
        await wakes(it, 1)
        change, why = MOVES[move]
        change(agent, monkeypatch)
        await it.emit(2, key="k")
        await it.delivered(4)
        assert agent.sessions[-1] is None
        assert why in ends(it)[-1]["fresh_session"]


async def test_a_session_that_a_person_forgot_is_not_taken_up(tmp_path: Path) -> None:
    agent = Agent(WELL)
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": agent})) as it:
        await wakes(it, 1)
        assert await it.journal.forget_session("agent", "s1", "forgotten", it.clock.now())
        assert not await it.journal.forget_session("agent", "s1", "forgotten", it.clock.now())
        await it.emit(2, key="k")
        await it.delivered(4)
        assert agent.sessions == [None, None]


@asynccontextmanager
async def costs(
    tmp_path: Path, told: list[dict[str, Any]], scripts: tuple[str, str] = (WELL, WELL)
) -> AsyncGenerator[Engine]:
    """An engine after so many wakes of one key, whose ends told this of their costs."""
    answers = iter(told)

    def finish(exit: ExitInfo) -> Completion:
        how = by_exit_status(exit)
        return Completion(phase=how.phase, outcome=how.outcome, reason=how.reason, **next(answers))

    fresh, resumed = scripts
    stage = Stage(programs={"agent": Agent(resumed, fresh)}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await wakes(it, len(told))
        yield it


def session(total: float, **more: Any) -> dict[str, Any]:
    return {"session_cost_usd": total, **more}


@pytest.mark.parametrize(
    ("told", "own", "total"),
    [
        ([session(0.1), session(0.3), session(0.6)], [0.1, 0.2, 0.3], 0.6),
        ([{"cost_usd": 0.1}, {"cost_usd": 0.1}, {"cost_usd": 0.2}], [0.1, 0.1, 0.2], 0.4),
        ([session(0.1, cost_usd=0.1), session(0.3, cost_usd=0.2)], [0.1, 0.2], 0.3),
        ([session(0.5), session(0.2)], [0.5, 0.2], 0.7),
        ([session(0.2), session(0.2)], [0.2, 0.0], 0.2),
        ([session(0.1), session(0.4, session_id="fork")], [0.1, 0.3], 0.4),
    ],
)
async def test_a_run_costs_what_it_adds_to_its_session(
    tmp_path: Path, told: list[dict[str, Any]], own: list[float], total: float
) -> None:
    async with costs(tmp_path, told) as it:
        assert [run.cost_usd for run in it.runs()] == pytest.approx(own)
        (row,) = it.reader.sessions(actor="agent", active_only=True)
        assert row.total_usd == pytest.approx(total)
        assert row.parent == ("s1" if row.id == "fork" else None)


async def test_an_estimate_is_marked_and_not_counted_again(tmp_path: Path) -> None:
    stops = "echo said: cost:0.25; echo said: cost:0.25; exit 1"
    async with costs(tmp_path, [{}, session(0.4)], (stops, WELL)) as it:
        first, second = ends(it)
    assert (first["cost_usd"], first["cost_estimated"]) == (0.25, True)
    assert second["cost_usd"] == pytest.approx(0.15)
    assert "cost_estimated" not in second


async def test_an_agent_that_was_heard_and_failed_has_had_its_run(tmp_path: Path) -> None:
    agent = Agent("echo said: I try; exit 1")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": agent})) as it:
        await wakes(it, 3)
        assert agent.sessions == [None, "s1", "s1"]
        assert [end["lifecycle"]["reason"] for end in ends(it)] == [
            "exit_code_0",
            "exit_code_1",
            "exit_code_1",
        ]
        assert ends(it)[-1]["resumed"] is True
        (row,) = it.reader.sessions(actor="agent")
        assert (row.active, row.failed) == (True, 0)
