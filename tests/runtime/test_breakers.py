"""Circuit breakers in the engine: an actor that fails at once is left alone, and goes on by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orgloop.core.deliveries.breaker import QUICK_MS
from orgloop.journal.model import PauseKind
from orgloop.operations.views.waits import Waits
from orgloop.plugin import (
    Completion,
    Delivered,
    DeliverOutcome,
    Phase,
    Retry,
    RunOutcome,
    RunSpec,
    Wake,
    WakeSession,
)
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Stage


def project(*, defaults: str = "", actor: str = "", connector: str = "agent") -> str:
    return f"""
defaults: {{budget: {{runs_per_hour: null}}, limits: {{max_repeats: null}}{defaults}}}
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: {connector}{actor}}}]
routes:
  - {{name: begin, when: {{source: in, events: ["*"]}}, then: {{actor: one}}}}
"""


LOOP = "  - {name: again, when: {source: one, events: [actor.stopped]}, then: {actor: one}}\n"


def exits(*statuses: int) -> Any:
    """A program whose runs end with these, and then with the last of them."""
    left = list(statuses)

    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        status = left.pop(0) if len(left) > 1 else left[0]
        return RunSpec(argv=["sh", "-c", f"exit {status}"], cwd="/")

    return program


def breakers(running: Engine) -> list[str]:
    return [row.actor for row in running.reader.pauses() if row.kind is PauseKind.BREAKER]


async def test_an_agent_that_wakes_itself_and_fails_at_once_runs_five_times(tmp_path: Path) -> None:
    stage = Stage(programs={"one": exits(3)})
    async with engine(tmp_path, project() + LOOP, stage) as it:
        await it.emit()
        await it.settled(*["delivered"] * 5, "pending")
        assert breakers(it) == ["one"]
        (waits,) = it.rows(states=("pending",))
        why = Waits(it.reader, it.clock.now(), lambda: True).why(waits)
        assert "circuit breaker of one is open: 5 runs in a row failed within 30 s" in why
        assert "one wake probes it in 30s" in why
        await it.pass_time(29)
        assert len(it.runs()) == 5
        # Each probe fails, too, and doubles the time.
        await it.pass_time(1)
        await it.settled(*["delivered"] * 6, "pending")
        await it.pass_time(59)
        assert len(it.runs()) == 6


async def test_it_goes_on_by_itself_once_it_works_again(tmp_path: Path) -> None:
    stage = Stage(programs={"one": exits(3, 3, 3, 3, 3, 0)})
    async with engine(tmp_path, project(), stage) as it:
        for n in range(5):
            await it.emit(n)
            await it.delivered(n + 1)
        for n in range(5, 9):
            await it.emit(n)
        assert breakers(it) == ["one"]
        await it.pass_time(30)
        await it.delivered(9)
        assert breakers(it) == []
        assert it.stage.texts("one") == list(range(9))


async def test_runs_that_used_what_is_paid_are_no_failures_of_the_actor(tmp_path: Path) -> None:
    def finish(_: Any) -> Completion:
        return Completion(phase=Phase.STOPPED, outcome=RunOutcome.FAILURE, reason="gave_up", cost_usd=0.01)

    stage = Stage(programs={"one": exits(3)}, finishes={"one": finish})
    async with engine(tmp_path, project(), stage) as it:
        for n in range(7):
            await it.emit(n)
        await it.delivered(7)
        assert breakers(it) == []


async def test_no_breaker_where_the_project_says_so(tmp_path: Path) -> None:
    stage = Stage(programs={"one": exits(3)})
    off = project(actor=", delivery: {circuit_breaker: null}")
    async with engine(tmp_path, off, stage) as it:
        for n in range(7):
            await it.emit(n)
        await it.delivered(7)


async def test_a_new_configuration_of_its_actor_closes_it_and_another_one_does_not(tmp_path: Path) -> None:
    stage = Stage(programs={"one": exits(3)})
    async with engine(tmp_path, project(), stage) as it:
        for n in range(5):
            await it.emit(n)
        await it.delivered(5)
        await it.apply(project(defaults=", log_level: debug"))
        assert breakers(it) == ["one"]
        await it.apply(project(actor=", config: {note: another}"))
        assert breakers(it) == []


async def test_an_actor_that_answers_at_once_has_one_where_the_project_says_so(tmp_path: Path) -> None:
    works: list[bool] = []

    async def answer(wake: Wake) -> DeliverOutcome:
        return Delivered() if works else Retry(reason="500")

    stage = Stage(answers={"one": answer})
    delivery = "{retry: {initial_delay: 1s}, circuit_breaker: {failure_threshold: 2, cooldown: 1h}}"
    two = project(connector="taker", actor=f", delivery: {delivery}")
    async with engine(tmp_path, two, stage) as it:
        for n in (1, 2):
            await it.emit(n)
        await until(lambda: breakers(it) == ["one"], "the breaker opens")
        tries = len(stage.wakes["one"])
        await it.pass_time(3_599)
        assert len(stage.wakes["one"]) == tries
        works.append(True)
        assert await it.runtime.resume_actor("one")
        await it.delivered(2)
        assert not await it.runtime.resume_actor("one")


async def test_a_probe_that_goes_on_lets_the_others_go(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        waits = f"while [ ! -e {gate} ]; do sleep 0.01; done"
        return RunSpec(argv=["sh", "-c", "exit 3" if wake.event.payload["n"] < 5 else waits], cwd="/")

    async with engine(tmp_path, project(), Stage(programs={"one": program})) as it:
        for n in range(5):
            await it.emit(n)
        await it.delivered(5)
        for n in (5, 6):
            await it.emit(n)
        await it.pass_time(30)
        await it.settled(*["delivered"] * 5, "started", "pending")
        await it.pass_time(QUICK_MS / 1_000)
        await it.settled(*["delivered"] * 5, "started", "started")
        gate.touch()
        await it.delivered(7)
