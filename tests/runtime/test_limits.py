"""The guards before a wake: slots, directories, budgets, hops, age; and who is told when one is free."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orgloop.core.deliveries.admission import ScopeLevel
from orgloop.core.deliveries.transition import Released
from orgloop.core.records.record import RecordPhase
from orgloop.errors import Refused
from orgloop.plugin import Completion, Phase, RunOutcome, RunSpec, Wake, WakeSession
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage, draft

HOUR, DAY = 3_600, 86_400


def project(*, defaults: str = "{}", one: str = "", two: str = "", route: str = "") -> str:
    return f"""
defaults: {defaults}
sources: [{{id: in, connector: receiver}}, {{id: side, connector: receiver}}]
actors: [{{id: one, connector: agent{one}}}, {{id: two, connector: agent{two}}}]
routes:
  - {{name: to-one, when: {{source: in, events: ["*"]}}, then: {{actor: one{route}}}}}
  - {{name: to-two, when: {{source: side, events: ["*"]}}, then: {{actor: two}}}}
"""


class Gates:
    """Programs that go on until their gate is there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def program(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        gate = self.root / f"gate-{wake.event.payload['n']}"
        return RunSpec(argv=["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done"], cwd="/")

    def open(self, *names: object) -> None:
        for name in names:
            (self.root / f"gate-{name}").touch()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


def stage(gates: Gates, **more: dict[str, str]) -> Stage:
    return Stage(programs={"one": gates.program, "two": gates.program}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "limits",
    [
        {"defaults": "{limits: {runs: 1}}"},
        {"one": ", limits: {runs: 1}"},
        {"route": ", limits: {runs: 1}"},
    ],
    ids=["of the home", "of the actor", "of the route"],
)
async def test_a_run_waits_for_the_slot_of_another_and_starts_when_it_is_free(
    tmp_path: Path, gates: Gates, limits: dict[str, str]
) -> None:
    async with engine(tmp_path, project(**limits), stage(gates)) as it:
        for n in (1, 2):
            await it.emit(n)
        await it.settled("started", "pending")
        gates.open(1)
        await it.settled("delivered", "started")
        gates.open(2)
        await it.delivered(2)
        assert it.stage.texts("one") == [1, 2]


async def test_a_wake_that_never_became_a_run_frees_its_slot_for_the_other_actors(
    tmp_path: Path, gates: Gates
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    def refuse(wake: Wake, session: WakeSession | None) -> RunSpec:
        raise Refused("never")

    made = stage(gates)
    made.programs["one"] = refuse
    async with engine(tmp_path, project(defaults="{limits: {runs: 1}}"), made) as it:
        settle = it.journal.settle

        async def slowly(settlement: object) -> bool:
            asked.set()
            await go_on.wait()
            return await settle(settlement)  # type: ignore[arg-type]

        it.journal.settle = slowly  # type: ignore[method-assign]
        gates.open(2)
        await it.emit(1)
        await asked.wait()
        await it.emit(2, source="side")
        await until(lambda: not it.runtime.dispatcher._ready, "a look at the other actor")
        go_on.set()
        await it.settled("dead", "delivered")


async def test_one_run_at_a_time_works_in_a_directory(tmp_path: Path, gates: Gates) -> None:
    shared = {"one": "/repo", "two": "/repo"}
    async with engine(tmp_path, project(), stage(gates, directories=shared)) as it:
        await it.emit(1)
        await it.settled("started")
        await it.emit(2, source="side")
        await until(lambda: len(it.full_scopes()) == 1, "the verdict on the second")
        (scope,) = it.full_scopes()
        assert (scope.level, scope.name, scope.actor) == (ScopeLevel.WORKTREE, "/repo", "two")
        assert it.states() == ["started", "pending"]
        gates.open(1, 2)
        await it.delivered(2)


async def test_runs_overlap_where_directories_differ(tmp_path: Path, gates: Gates) -> None:
    async with engine(tmp_path, project(), stage(gates, directories={"one": "/a", "two": "/b"})) as it:
        await it.emit(1)
        await it.emit(2, source="side")
        await it.settled("started", "started")
        gates.open(1, 2)
        await it.delivered(2)


async def test_too_many_runs_within_an_hour_wait_until_it_is_over_and_go_on_by_themselves(
    tmp_path: Path, gates: Gates
) -> None:
    gates.open(1, 2, 3)
    async with engine(tmp_path, project(defaults="{budget: {runs_per_hour: 2}}"), stage(gates)) as it:
        began = it.clock.now()
        for n in (1, 2):
            await it.emit(n)
        await it.delivered(2)
        await it.emit(3)
        await until(lambda: len(it.full_scopes()) == 1, "the verdict on the third")
        assert it.states() == ["delivered", "delivered", "pending"]
        ((scope, free_at),) = it.full_scopes().items()
        assert (scope.level, free_at) == (ScopeLevel.ORGANIZATION, began + HOUR * 1000)
        it.clock.ms = free_at
        it.runtime.dispatcher.wake_all()
        await it.delivered(3)


@pytest.mark.parametrize(
    ("parts", "level"),
    [
        ({"defaults": "{budget: {day_usd: 5}}"}, ScopeLevel.ORGANIZATION),
        ({"one": ", budget: {day_usd: 5}"}, ScopeLevel.ACTOR),
        ({"route": ", budget: {day_usd: 5}"}, ScopeLevel.ROUTE),
    ],
    ids=["of the home", "of the actor", "of the route"],
)
async def test_what_runs_may_cost_is_reserved_and_what_they_cost_counts_for_a_day(
    tmp_path: Path, gates: Gates, parts: dict[str, str], level: ScopeLevel
) -> None:
    made = stage(gates, caps={"one": 2.0})  # type: ignore[dict-item]
    made.finishes["one"] = lambda _: Completion(
        phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="done", cost_usd=1.5
    )
    async with engine(tmp_path, project(**parts), made) as it:
        for n in (1, 2, 3):
            await it.emit(n)
        await it.settled("started", "started", "pending")
        await until(lambda: len(it.full_scopes()) == 1, "the verdict on the third: two caps are reserved")
        gates.open(1, 3)
        # One has cost 1.5 of its 2 dollars: what is left is no third cap yet.
        await it.settled("delivered", "started", "pending")
        gates.open(2)
        await it.delivered(3)
        await it.emit(4)
        await until(lambda: len(it.full_scopes()) == 1, "the verdict on the fourth: 4.5 of 5 are spent")
        ((scope, free_at),) = it.full_scopes().items()
        assert scope.level is level
        gates.open(4)
        it.clock.ms = free_at
        it.runtime.dispatcher.wake_all()
        await it.delivered(4)


async def test_what_exceeds_the_budget_of_its_trace_is_held_until_a_person_lets_it_go(tmp_path: Path) -> None:
    loop = """
defaults: {budget: {trace_runs: 2}}
sources: [{id: in, connector: receiver}]
actors: [{id: one, connector: agent}]
routes:
  - {name: first, when: {source: in, events: ["*"]}, then: {actor: one}}
  - {name: again, when: {source: one, events: [actor.stopped]}, then: {actor: one}}
"""
    async with engine(tmp_path, loop) as it:
        await it.emit()
        *_, held = await it.settled("delivered", "delivered", "held")
        assert (held.reason, "trace_runs" in held.detail) == ("budget", True)
        await it.runtime.operate(held.id, Released())
        await it.settled("delivered", "delivered", "delivered", "held")


async def test_a_chain_of_runs_that_cause_runs_is_held(tmp_path: Path) -> None:
    """As for an agent that answers its own comments, for ever."""
    loop = """
defaults: {limits: {max_hops: 3}}
sources: [{id: in, connector: receiver}]
actors: [{id: one, connector: agent}]
routes:
  - {name: first, when: {source: in, events: ["*"]}, then: {actor: one}}
  - {name: again, when: {source: one, events: [actor.stopped]}, then: {actor: one}}
"""
    async with engine(tmp_path, loop) as it:
        await it.emit()
        *_, held = await it.settled("delivered", "delivered", "delivered", "held")
        assert held.reason == "hops"
        assert len({row.trace_id for row in it.rows()}) == 1
        await it.runtime.operate(held.id, Released())
        await it.settled(*["delivered"] * 4, "held")


@pytest.mark.parametrize("connector", ["agent", "mind"])
async def test_an_agent_is_not_woken_for_what_is_a_day_old(tmp_path: Path, connector: str) -> None:
    """Neither one that runs here nor one that is only told."""
    text = project().replace("id: one, connector: agent", f"id: one, connector: {connector}")
    async with engine(tmp_path, text) as it:
        old = it.runtime.intake.acceptance("in", [draft(1)])
        it.clock.ms += (DAY + 1) * 1000
        await it.runtime.intake.commit(old)
        (row,) = await it.settled("held")
        assert (row.reason, it.stage.wakes["one"]) == ("stale", [])
        await it.runtime.operate(row.id, Released())
        await it.delivered()


async def test_what_only_hands_over_takes_it_at_any_age(tmp_path: Path) -> None:
    text = project().replace("id: one, connector: agent", "id: one, connector: taker")
    async with engine(tmp_path, text) as it:
        old = it.runtime.intake.acceptance("in", [draft(1)])
        it.clock.ms += 30 * DAY * 1000
        await it.runtime.intake.commit(old)
        await it.delivered()


async def test_what_a_guard_holds_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orgloop.runtime.support.loggers.LOOK_AGAIN", 3_600)
    gate = asyncio.Event()
    text = project() + "loggers: [{name: log, type: fake}]\n"
    async with engine(tmp_path, text, Stage(opens={"one": gate.wait})) as it:  # type: ignore[dict-item]

        def told(phase: RecordPhase) -> bool:
            return phase in [record.phase for record in it.stage.records]

        old = it.runtime.intake.acceptance("in", [draft(1)])
        it.clock.ms += (DAY + 1) * 1000
        await it.runtime.intake.commit(old)
        await until(lambda: told(RecordPhase.ROUTE_MATCH), "the event's record")
        gate.set()
        await it.settled("held")
        await until(lambda: told(RecordPhase.DELIVER_HELD), "the record of the hold")
