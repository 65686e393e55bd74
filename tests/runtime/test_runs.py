"""Runs: committed before they start, followed, ended once, adopted after a stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop import runner
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.records.record import RecordPhase
from orgloop.errors import JournalUnavailable, NotFound, Refused
from orgloop.journal.model import Query
from orgloop.plugin import Completion, ExitInfo, NotBegun, Retry, RunSpec, Unavailable, Wake, WakeSession
from orgloop.runtime.runs.local import local_runner, run_directory
from tests.runtime.engine import engine, turn, until
from tests.runtime.fakes import FakeAgent, Stage, draft

PROJECT = """
defaults: {delivery: {retry: {max_attempts: 3, backoff: fixed, initial_delay: 10s}}}
sources: [{id: in, connector: receiver}]
actors: [{id: agent, connector: agent}, {id: taker, connector: taker}]
routes:
  - name: work
    when: {source: in, events: ["*"]}
    then: {actor: agent, config: {session_key: "{{payload.key}}"}}
  - {name: told, when: {source: agent, events: [actor.stopped]}, then: {actor: taker}}
"""

Program = Callable[[Wake, WakeSession | None], RunSpec]


def program(*argv: str) -> Program:
    return lambda *_: RunSpec(argv=argv, cwd="/")


def shell(script: str) -> Program:
    return program("sh", "-c", script)


def waits_for(gate: Path, then: str = "echo done") -> Program:
    """A program that goes on until `gate` exists."""
    return shell(f"while [ ! -e {gate} ]; do sleep 0.01; done; {then}")


async def test_a_run_is_delivered_when_it_ends_and_its_end_continues_the_trace(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell("echo thinking; exit 3")})) as it:
        cause = await it.emit(1, key="k")
        await it.delivered(2)
        root, started, stopped = it.events()
        assert (started.type, started.platform_event) == ("resource.changed", "session.started")
        assert (stopped.type, stopped.platform_event) == ("actor.stopped", "session.failed")
        for event in (started, stopped):
            assert (event.trace_id, event.hops, event.document["parents"]) == (root.trace_id, 1, [cause])
        assert stopped.document["payload"]["exit_status"] == 3
        assert stopped.document["payload"]["result"]["text"] == "thinking"
        (run,) = it.runs()
        assert (run.outcome, run.reason, run.exit_status) == ("failure", "exit_code_3", 3)
        assert it.runtime.runs.live == {}
        assert not (Path(run.run_dir) / runner.SPEC).exists(), "the environment is not kept"


async def test_what_a_run_marks_as_its_own_continues_its_trace(tmp_path: Path) -> None:
    told = shell('printf "%s\\n%s" "$ORGLOOP_MARKER" "$ORGLOOP_TRAILER"')
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": told})) as it:
        cause = await it.emit(1, key="k")
        await it.delivered(2)
        (run,) = it.runs()
        marks = [it.runtime._lend("in").mark_in(line) for line in run.text.splitlines()]
        assert [mark and (mark.run_id, mark.actor, mark.event_id) for mark in marks] == [
            (run.id, "agent", cause)
        ] * 2
        (accepted,) = await it.runtime.intake.take("in", [replace(draft(2, key="k"), cause=marks[0])])
        row = next(row for row in it.events() if row.id == accepted.event_id)
        assert (row.trace_id, row.hops, row.document["parents"]) == (run.trace_id, 1, [cause])


async def test_an_actor_that_refuses_a_wake_gets_it_never_again(tmp_path: Path) -> None:
    def refuse(wake: Wake, session: WakeSession | None) -> RunSpec:
        raise Refused("this prompt is too long")

    async with engine(tmp_path, PROJECT, Stage(programs={"agent": refuse})) as it:
        await it.emit()
        (row,) = await it.settled("dead")
        assert (row.reason, row.detail) == ("rejected", "this prompt is too long")
        assert list((tmp_path / "home" / "runs").glob("*")) == []


@pytest.mark.parametrize("error", [KeyError("model"), SystemExit(3)], ids=["an error", "an exit"])
async def test_an_actor_that_breaks_while_it_makes_a_run_holds_the_wake(
    tmp_path: Path, error: BaseException
) -> None:
    def broken(wake: Wake, session: WakeSession | None) -> RunSpec:
        raise error

    async with engine(tmp_path, PROJECT, Stage(programs={"agent": broken})) as it:
        await it.emit()
        (row,) = await it.settled("held")
        assert (row.reason, row.attempts) == ("config", 0)


async def test_a_run_directory_that_cannot_be_written_leaves_no_secrets_and_its_work_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = run_directory.write, [1]

    def fail(directory: Path, *args: Any) -> None:
        write(directory, *args)
        if failures:
            failures.pop()
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("orgloop.runtime.runs.local.run_directory.write", fail)
    async with engine(tmp_path, PROJECT) as it:
        await it.emit()
        (pause,) = await until(lambda: it.reader.pauses(), "the pause")
        assert pause.reason.endswith("cannot be written: No space left on device")
        assert [row.attempts for row in it.rows()] == [0]
        assert list((tmp_path / "home" / "runs").glob("*")) == []
        await it.pass_time(31)
        await it.delivered(2)


async def test_a_program_that_is_not_there_pauses_its_actor_and_counts_nothing(tmp_path: Path) -> None:
    there = tmp_path / "agent"
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": program(str(there))})) as it:
        await it.emit(1, key="k")
        await until(lambda: it.reader.pauses(), "the pause")
        (row,) = it.rows()
        assert (row.state.value, row.attempts) == ("pending", 0)
        assert it.reader.pauses()[0].actor == "agent"
        assert it.names() == [""], "no run began"
        there.write_text("#!/bin/sh\necho here\n")
        there.chmod(0o755)
        await it.pass_time(31)
        await it.delivered(2)
        assert it.reader.pauses() == []
        assert it.names() == ["", "session.started", "session.completed"]


@pytest.mark.parametrize("says", ["", "echo not logged in;"], ids=["silent", "says why"])
async def test_a_run_that_never_began_tells_of_no_start_however_often_it_is_tried(
    tmp_path: Path, says: str
) -> None:
    def nothing(exit: ExitInfo) -> NotBegun:
        return NotBegun(outcome=Unavailable(reason="not logged in"))

    stage = Stage(programs={"agent": shell(f"{says} exit 75")}, finishes={"agent": nothing}, mute={"agent"})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit(1, key="k")
        for tries in (1, 2, 3):
            await until(lambda n=tries: [row.tries for row in it.reader.pauses()] == [n], "the pause")  # type: ignore[misc]
            await it.pass_time(31)
        await until(lambda: len([run for run in it.runs() if run.reason == "not_started"]) >= 3, "3 tries")
        assert it.names() == [""]
        assert "begun" not in [step.transition for step in it.reader.steps(Query())]


async def test_the_start_of_a_run_is_told_at_its_first_words_and_once_whoever_follows_it(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    stage = Stage(programs={"agent": shell(f"echo hello; while [ ! -e {gate} ]; do sleep 0.01; done")})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await it.emit(1, key="k")
        await until(lambda: it.names() == ["", "session.started"], "the start")
        assert [run.ended_at for run in it.runs()] == [None], "it goes on"
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await until(lambda: it.runtime.runs.live, "the run is adopted")
        gate.touch()
        await it.delivered(2)
        assert it.names() == ["", "session.started", "session.completed"]
        begun = [step.transition for step in it.reader.steps(Query())].count("begun")
        assert begun == 1


async def test_a_silent_run_whose_daemon_died_tells_of_its_start_with_its_end(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stage = Stage(programs={"agent": waits_for(gate, "true")})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await it.emit(1, key="k")
        await until(lambda: [*(tmp_path / "home" / "runs").glob("*/" + runner.CHILD)], "the run")
        assert it.names() == [""]
    gate.touch()
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await it.delivered(2)
        assert it.names() == ["", "session.started", "session.completed"]


async def test_a_run_lasts_equally_long_wherever_that_is_shown(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell("echo done")})) as it:
        await it.emit(1, key="k")
        await it.delivered(2)
        (run,) = it.runs()
        assert run.ended_at is not None
        lasted = run.ended_at - run.started_at
        (ended,) = [record for record in it.records() if record.phase is RecordPhase.RUN_ENDED]
        payload = it.events()[-1].document["payload"]
        assert (ended.duration_ms, payload["duration"]) == (lasted, lasted / 1000)


async def test_a_program_that_is_there_again_ends_the_pause_while_its_run_goes_on(tmp_path: Path) -> None:
    there, gate = tmp_path / "agent", tmp_path / "gate"
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": program(str(there))})) as it:
        await it.emit(1, key="k")
        await until(lambda: it.reader.pauses(), "the pause")
        there.write_text(f"#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.01; done\n")
        there.chmod(0o755)
        await it.pass_time(31)
        await until(lambda: [*(tmp_path / "home" / "runs").glob("*/" + runner.CHILD)], "the run")
        await it.pass_time(31)
        await until(lambda: not it.reader.pauses(), "the end of the pause")
        assert [row.state.value for row in it.rows()] == ["started"]
        gate.touch()
        await it.delivered(2)


async def test_a_probe_that_outlived_its_daemon_ends_the_pause_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, gate = tmp_path / "agent", tmp_path / "gate"
    stage = Stage(programs={"agent": program(str(there))})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await it.emit(1, key="k")
        await until(lambda: it.reader.pauses(), "the pause")
        there.write_text(f"#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.01; done\n")
        there.chmod(0o755)
        await it.pass_time(31)
        await it.settled("started")
        assert it.reader.pauses()
        (live,) = await until(lambda: it.programs(), "the run")
        await until((live.directory / runner.CHILD).exists, "its program")
        assert live.process is not None
    monkeypatch.setattr("orgloop.runtime.runs.local.local_holder.ALIVE_AFTER", 0.0)
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await until(lambda: not it.reader.pauses(), "the end of the pause")
        assert it.states() == ["started"]
        gate.touch()
        await it.delivered(2)
    await asyncio.to_thread(live.process.wait)


async def test_a_runner_that_cannot_be_started_pauses_the_actor_and_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, failures = local_runner.spawn, [1, 2, 3, 4]

    def fail(directory: Path, lock: int | None) -> Any:
        if failures:
            failures.pop()
            raise OSError(11, "Resource temporarily unavailable")
        return spawn(directory, lock)

    monkeypatch.setattr("orgloop.runtime.runs.local.local_runner.spawn", fail)
    async with engine(tmp_path, PROJECT) as it:
        await it.emit()
        for tries in (1, 2, 3, 4):
            await until(
                lambda n=tries: [row.tries for row in it.reader.pauses()] == [n],  # type: ignore[misc]
                f"probe {tries}",
            )
            await it.pass_time(31)
        row, _ = await it.delivered(2)
        assert row.crashes == 0


async def test_a_watch_that_breaks_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conclude, failures = local_runner.conclude, [1]

    async def fail(directory: Path, spawned: Any) -> Any:
        if failures:
            failures.pop()
            raise OSError(24, "Too many open files")
        return await conclude(directory, spawned)

    monkeypatch.setattr("orgloop.runtime.runs.local.local_runner.conclude", fail)
    async with engine(tmp_path, PROJECT) as it:
        await it.emit()
        await until(lambda: it.runtime.supervisor.troubles, "the trouble")
        (trouble,) = it.runtime.supervisor.troubles.values()
        assert "Too many open files" in trouble.error
        await it.pass_time(1)
        await it.delivered(2)


async def test_a_runner_that_dies_before_the_program_pauses_the_actor_and_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orgloop.runtime.runs.local.local_runner.spawn", lambda *_: subprocess.Popen(["false"])
    )
    async with engine(tmp_path, PROJECT) as it:
        await it.emit()
        (pause,) = await until(lambda: it.reader.pauses(), "the pause")
        assert pause.reason == "the runner ended with status 1 before the program began"
        assert it.rows()[0].crashes == 0


async def test_a_session_is_remembered_for_its_key_and_forgotten_when_it_is_gone(tmp_path: Path) -> None:
    asked: list[str | None] = []
    gone = False

    def start(wake: Wake, session: WakeSession | None) -> RunSpec:
        known = session.id if session else None
        asked.append(known)
        return RunSpec(argv=["true"], cwd="/", session_id=known or f"s{len(asked)}")

    def finish(exit: ExitInfo) -> Any:
        if gone and exit.resumed:
            return NotBegun(outcome=Retry(reason="no such session", after_ms=0), forget_session=True)
        return Completion(
            phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="ok", session_id=exit.session_id
        )

    async with engine(tmp_path, PROJECT, Stage(programs={"agent": start}, finishes={"agent": finish})) as it:
        for n, key in enumerate(["a", "b", "a"]):
            await it.emit(n, key=key)
            await it.delivered(n + 1, route="work")
        assert asked == [None, None, "s1"]
        gone = True
        await it.emit(3, key="a")
        await it.delivered(4, route="work")
        assert asked[3:] == ["s1", None]


async def test_a_run_without_a_key_has_its_session_from_the_start_and_leaves_none_behind(
    tmp_path: Path,
) -> None:
    asked: list[WakeSession | None] = []

    def start(wake: Wake, session: WakeSession | None) -> RunSpec:
        asked.append(session)
        return RunSpec(argv=["true"], cwd="/", session_id=f"s{len(asked)}")

    project = PROJECT.replace(', config: {session_key: "{{payload.key}}"}', "")
    async with engine(tmp_path, project, Stage(programs={"agent": start})) as it:
        for n in (1, 2):
            await it.emit(n)
            await it.delivered(n, route="work")
        assert asked == [None, None]
        assert [run.session_id for run in it.runs()] == ["s1", "s2"]


async def test_a_run_is_stopped_on_request(tmp_path: Path) -> None:
    stage = Stage(programs={"agent": waits_for(tmp_path / "never")})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.runs() and (Path(it.runs()[0].run_dir) / runner.CHILD).exists(), "the run")
        (run,) = it.runs()
        await it.runtime.runs.stop(run.id)
        await it.delivered(2)
        assert it.runs()[0].outcome == "cancelled"
        with pytest.raises(NotFound, match="goes on"):
            await it.runtime.runs.stop(run.id)


async def test_a_run_outlives_a_stop_and_its_end_is_known_after_the_restart(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stage = Stage(programs={"agent": waits_for(gate)})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        event = await it.emit()
        await until(lambda: it.runs() and (Path(it.runs()[0].run_dir) / runner.CHILD).exists(), "the run")
        process = it.programs()[0].process
        assert process is not None
    gate.touch()
    await asyncio.to_thread(process.wait)
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        await it.delivered(2)
        (run,) = it.runs()
        assert (run.outcome, run.text) == ("success", "done")
        stopped = [one for one in it.events() if one.type == "actor.stopped"]
        assert [one.document["parents"] for one in stopped] == [[event]]


async def test_a_run_that_vanished_with_its_runner_is_lost_and_not_started_again(tmp_path: Path) -> None:
    stage = Stage(programs={"agent": waits_for(tmp_path / "never")})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.runs() and (Path(it.runs()[0].run_dir) / runner.CHILD).exists(), "the run")
        pid = local_runner.runner_pid(Path(it.runs()[0].run_dir))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await it.delivered(2)
        (run,) = it.runs()
        assert (run.outcome, run.reason) == ("unknown", "lost")
        assert len(it.stage.wakes["agent"]) == 1


async def test_a_run_that_was_committed_and_never_begun_is_woken_again(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orgloop.runtime.runs.local.local_runner.spawn", lambda *_: None)
        patch.setattr("orgloop.runtime.runs.runs.Runs._to_its_end", _never)
        async with engine(tmp_path, PROJECT, on_disk=True) as it:
            await it.emit()
            await it.settled("started")
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        work, _ = await it.delivered(2)
        assert (work.crashes, work.attempts) == (1, 1)
        assert [run.reason for run in it.runs()] == ["not_started", "exit_code_0"]


async def _never(*_: Any) -> None:
    await asyncio.Event().wait()


async def test_a_run_of_another_kind_of_agent_is_judged_by_its_exit_alone(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stage = Stage(programs={"agent": waits_for(gate, "echo whole output")})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        await it.emit()
        await until(lambda: it.runs() and (Path(it.runs()[0].run_dir) / runner.CHILD).exists(), "the run")
        process = it.programs()[0].process
        assert process is not None
    gate.touch()
    await asyncio.to_thread(process.wait)

    def wrong(exit: ExitInfo) -> Completion:
        return Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="", text="misread")

    other = Stage(finishes={"agent": wrong})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeAgent, "harness", "another")
        async with engine(tmp_path, PROJECT, other, on_disk=True) as it:
            await it.delivered(2)
            assert it.runs()[0].text == "whole output"
            assert it.runs()[0].harness == "fake"


async def test_a_stop_while_a_run_starts_lets_it_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned = []
    spawn = local_runner.spawn

    def remembered(directory: Path, lock: int | None) -> Any:
        spawned.append(spawn(directory, lock))
        return spawned[-1]

    monkeypatch.setattr("orgloop.runtime.runs.local.local_runner.spawn", remembered)
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        start_run, asked, go_on = it.journal.start_run, asyncio.Event(), asyncio.Event()

        async def slowly(start: Any) -> bool:
            written = await start_run(start)
            asked.set()
            await go_on.wait()
            return written

        monkeypatch.setattr(it.journal, "start_run", slowly)
        await it.emit()
        await asked.wait()
        stopping = asyncio.create_task(it.runtime.stop(grace=0))
        await turn()
        go_on.set()
        await stopping
    await asyncio.to_thread(spawned[0].wait)
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        work, _ = await it.delivered(2)
        assert (work.crashes, work.attempts) == (0, 1)
        assert len(it.runs()) == 1


async def test_an_end_waits_for_the_journal_and_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path, PROJECT) as it:
        end_run, failures = it.journal.end_run, [1, 2]

        async def refuse(end: Any) -> bool:
            if failures:
                failures.pop()
                raise JournalUnavailable("the disk is full", hint="")
            return await end_run(end)

        monkeypatch.setattr(it.journal, "end_run", refuse)
        await it.emit()
        for pause in (0.1, 0.2):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s")  # type: ignore[misc]
            await it.pass_time(pause)
        await it.delivered(2)
        assert [event.type for event in it.events()].count("actor.stopped") == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"env": {"KEY": "a\0b"}},
        {"env": {"KEY": "x" * 200_000}},
        {"argv": ["true", "a\0b"]},
        {"argv": ["true", "x" * 200_000]},
        {"argv": ["true", *["x" * 100_000] * 40]},
        {"cwd": "/\0"},
    ],
    ids=["NUL in a variable", "a long variable", "NUL in a word", "a long word", "many words", "NUL in cwd"],
)
async def test_what_no_program_can_be_given_fails_its_own_wake_alone(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    def made(wake: Wake, session: WakeSession | None) -> RunSpec:
        poison = spec if wake.event.payload["n"] == 1 else {}
        return RunSpec(**{"argv": ["true"], "cwd": "/", **poison})

    async with engine(tmp_path, PROJECT, Stage(programs={"agent": made})) as it:
        await it.emit(1, key="a")
        await it.settled("dead", route="work")
        await it.emit(2, key="b")
        await it.settled("dead", "delivered", route="work")
        assert it.reader.pauses() == []
