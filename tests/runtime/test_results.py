"""An agent's result decides how its run ended, and when."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from orgloop import runner
from orgloop.plugin import Completion, ExitInfo, Phase, Progress, RunLimitsSpec, RunOutcome, RunSpec, Turns
from orgloop.runtime.runs.local import local_run
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import FakeAgent, Stage
from tests.runtime.test_run_ends import PROJECT, Program

DONE = '{"type":"result","text":"done"}'
TWO = '{"type":"result","text":"two"}'
TURNS = Turns(ends=(("type", "result"),), begins=(("type", "works"),))


def talks(script: str, *, grace_s: float = 0.3, **limits: Any) -> Program:
    spec = RunLimitsSpec(grace_s=grace_s, **limits)
    return lambda *_: RunSpec(argv=["sh", "-c", script], cwd="/", limits=spec, turns=TURNS)


def said(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def finish(exit: ExitInfo) -> Completion:
    lines = [said(line) for line in [*exit.stdout.splitlines(), exit.result or ""]]
    result = next((line for line in reversed(lines) if line.get("type") == "result"), None)
    if not result:
        return Completion(phase=Phase.FAILED, outcome=RunOutcome.FAILURE, reason="no_result")
    text = result["text"][:100]
    return Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="success", text=text)


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: FakeAgent, line: str) -> Progress:
        kind = said(line).get("type")
        return Progress(text=line[:100], result=kind == "result", alive=kind in ("result", "works"))

    monkeypatch.setattr(FakeAgent, "read", read)


async def ended(tmp_path: Path, program: Program) -> tuple[str, str, str]:
    stage = Stage(programs={"agent": program}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: passes(it) and it.states() == ["delivered"] * 2, "its end")
        (run,) = it.runs()
        assert len(stage.wakes["agent"]) == 1
        return run.outcome, run.reason, run.text


def passes(it: Engine) -> bool:
    """Time goes by; it is held otherwise."""
    it.clock.advance(0.1)
    return True


@pytest.mark.parametrize("after", ["", "echo hook;", "trap '' TERM;"], ids=["silent", "hooks", "deaf"])
async def test_a_program_that_goes_on_after_its_result_is_ended_and_the_result_counts(
    after: str, tmp_path: Path
) -> None:
    script = f"echo '{DONE}'; {after} while true; do sleep 0.05; done"
    assert await ended(tmp_path, talks(script)) == ("success", "success", "done")


async def test_an_agent_that_works_on_after_a_result_is_let_to_its_next_one(tmp_path: Path) -> None:
    gate, works = tmp_path / "gate", '{"type":"works"}'
    script = f"echo '{DONE}'; echo '{works}'; while [ ! -e {gate} ]; do sleep 0.01; done; echo '{TWO}'"
    stage = Stage(programs={"agent": talks(script, grace_s=0.05)}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.programs() and it.programs()[0].last_line == works, "it works on")
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + 1.5, "more than its grace")
        assert it.programs()
        gate.touch()
        await it.delivered(2)
        assert it.runs()[0].text == "two"


@pytest.mark.parametrize(
    "limits",
    [{"silence_s": 0.3}, {"total_s": 0.3}, {"output_bytes": 10}],
    ids=["silence", "total", "output"],
)
async def test_a_limit_does_not_overrule_a_result(limits: dict[str, Any], tmp_path: Path) -> None:
    script = f"echo '{DONE}'; while true; do sleep 0.05; done"
    assert (await ended(tmp_path, talks(script, grace_s=10, **limits)))[0] == "success"


async def test_a_result_counts_though_its_runner_is_killed(tmp_path: Path) -> None:
    stage = Stage(
        programs={"agent": talks(f"echo '{DONE}'; exec sleep 1000", grace_s=1000)},
        finishes={"agent": finish},
    )
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.programs() and it.programs()[0].resulted, "the result")
        process = it.programs()[0].process
        assert process is not None
        process.kill()
        await it.delivered(2)
        assert it.runs()[0].outcome == "success"


async def test_a_later_daemon_knows_of_a_result_that_it_did_not_see(tmp_path: Path) -> None:
    stage = Stage(
        programs={"agent": talks(f"echo '{DONE}'; exec sleep 1000", grace_s=1000)},
        finishes={"agent": finish},
    )
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.programs() and it.programs()[0].resulted, "the result")
        before = it.programs()[0]
        later = local_run.LocalRun(
            run_id=before.run_id,
            directory=before.directory,
            actor=before.actor,
            facts=before.facts,
            lineage=before.lineage,
            delivery_id="",
            route="",
            actor_id="",
            harness="",
            session_id=None,
            resumed=False,
            cwd=None,
            started_at=0,
            offset=max(0, before.read_offset - local_run.REREAD),
        )
        later.take_in(1.0)
        assert later.resulted
        await it.runtime.runs.stop(before.run_id)
        await it.delivered(2)
        assert (before.directory / runner.EXIT).exists()


async def test_a_result_of_several_megabytes_counts_behind_which_more_is_said(tmp_path: Path) -> None:
    script = (
        'printf \'{"type":"result","text":"\'; head -c 3000000 /dev/zero | tr \'\\0\' x; echo \'"}\'; '
        "head -c 3000000 /dev/zero | tr '\\0' y; echo; echo hook"
    )
    outcome, _, text = await ended(tmp_path, talks(script))
    assert (outcome, text[:3]) == ("success", "xxx")
