"""Runs whose runner or directory vanished: what they left is ended, and their work is not begun again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from orgloop import runner
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.journal.model import RunStart
from orgloop.plugin import Completion, ExitInfo, RunSpec, Wake, WakeSession
from orgloop.runtime.runs.local import local_runner
from tests.runner.waiting import alive
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Stage
from tests.runtime.test_runs import PROJECT, shell


async def begun(it: Engine, pids: Path, count: int) -> Path:
    """The directory of the one run, once its program runs and has written so many pids."""
    await it.emit()
    await until(lambda: it.runs() and (Path(it.runs()[0].run_dir) / runner.CHILD).exists(), "the run")
    await until(lambda: pids.exists() and pids.read_text().count("\n") == count, "the pids")
    return Path(it.runs()[0].run_dir)


def kill_runner(directory: Path) -> None:
    pid = local_runner.runner_pid(directory)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def is_lost(it: Engine, pids: Path) -> None:
    """It ended once, is told of, was woken once, and nothing of it lives on."""
    await it.delivered(2)
    (run,) = it.runs()
    assert (run.outcome, run.reason) == ("unknown", "lost")
    assert len(it.stage.wakes["agent"]) == 1
    assert not [pid for pid in pids.read_text().split() if alive(int(pid))]


async def test_what_a_killed_runner_leaves_behind_ends_in_whatever_session_it_is(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"setsid sleep 1000 & echo $! >> {pids}; (setsid sleep 1000 & echo $! >> {pids}); "
    program = shell(script + f"echo $$ >> {pids}; exec sleep 1000")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": program})) as it:
        kill_runner(await begun(it, pids, 3))
        await is_lost(it, pids)


async def test_what_a_lost_run_said_until_then_is_kept(tmp_path: Path) -> None:
    def finish(exit: ExitInfo) -> Completion:
        assert (exit.status, exit.stopped) == (None, "lost")
        return Completion(
            phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="x", text=exit.stdout, cost_usd=0.5
        )

    pids = tmp_path / "pids"
    program = shell(f"echo half done; echo $$ >> {pids}; exec sleep 1000")
    stage = Stage(programs={"agent": program}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        kill_runner(await begun(it, pids, 1))
        await is_lost(it, pids)
        (run,) = it.runs()
        assert (run.text, run.cost_usd) == ("half done\n", 0.5)


async def test_a_run_is_stopped_though_its_directory_takes_no_new_file(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    stage = Stage(programs={"agent": shell(f"echo $$ >> {pids}; exec sleep 1000")})
    async with engine(tmp_path, PROJECT, stage) as it:
        directory = await begun(it, pids, 1)
        (directory / runner.STOP).symlink_to(tmp_path / "nowhere" / "stop")
        await it.runtime.runs.stop(directory.name)
        await it.delivered(2)
        assert it.runs()[0].reason == "requested"


async def test_a_program_that_no_record_names_ends_with_its_runner(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = shell(f"echo $$ >> {pids}; exec sleep 1000")
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": program})) as it:
        directory = await begun(it, pids, 1)
        pid = local_runner.runner_pid(directory)
        assert pid is not None
        (directory / runner.CHILD).unlink()
        os.kill(pid, signal.SIGKILL)
        await is_lost(it, pids)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_whose_directory_is_deleted_is_lost_and_not_started_again(
    tmp_path: Path, restarted: bool
) -> None:
    pids = tmp_path / "pids"
    stage = Stage(programs={"agent": shell(f"echo $$ >> {pids}; exec sleep 1000")})
    async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
        directory = await begun(it, pids, 1)
        if not restarted:
            pid = local_runner.runner_pid(directory)
            assert pid is not None
            shutil.rmtree(directory)
            os.kill(pid, signal.SIGTERM)
            await is_lost(it, pids)
        process = it.programs()[0].process if restarted else None
    if process is not None:
        shutil.rmtree(directory)
        async with engine(tmp_path, PROJECT, stage, on_disk=True) as it:
            await is_lost(it, pids)
        await asyncio.to_thread(process.wait)


async def test_a_run_whose_start_is_cancelled_at_its_commit_is_woken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        start_run = it.journal.start_run

        async def cancelled(start: RunStart) -> bool:
            await start_run(start)
            raise asyncio.CancelledError

        monkeypatch.setattr(it.journal, "start_run", cancelled)
        await it.emit()
        await it.settled("started")
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        work, _ = await it.delivered(2)
        assert (work.crashes, work.attempts) == (1, 1)
        assert [run.reason for run in it.runs()] == ["not_started", "exit_code_0"]
        assert not [*(tmp_path / "home" / "runs").glob("*/" + runner.SPEC)], "no secrets are left"


async def test_what_has_ended_is_not_waited_for_though_its_parent_never_asks_how(tmp_path: Path) -> None:
    (directory := tmp_path / "run_1").mkdir()
    (directory / runner.STARTED).touch()
    script = "ORGLOOP_RUN_ID=run_1 sleep 1000 & echo $!; exec sleep 1000 > /dev/null"
    parent = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    try:
        orphan = int(await parent.stdout.readline())
        await until(lambda: "sleep" in psutil.Process(orphan).cmdline(), "the program")
        async with asyncio.timeout(local_runner.GRACE):
            await local_runner.conclude(directory)
        assert not alive(orphan)
    finally:
        parent.kill()
        await parent.communicate()


async def at_work(it: Engine, pids: Path, count: int) -> Path:
    """The directory of the run with this number, once its program is at work."""

    def ready() -> Path | None:
        runs = it.runs()
        if len(runs) != count or not pids.exists() or pids.read_text().count("\n") != count:
            return None
        directory = Path(runs[-1].run_dir)
        return directory if (directory / runner.CHILD).exists() else None

    found = await until(ready, f"run {count}")
    assert found is not None
    return found


def ended(it: Engine, count: int) -> bool:
    return it.runs()[count - 1].ended_at is not None


async def test_a_lost_run_goes_on_in_its_session_if_its_route_says_so_and_is_held_in_the_end(
    tmp_path: Path,
) -> None:
    sessions: list[str | None] = []
    pids = tmp_path / "pids"

    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        sessions.append(session.id if session is not None else None)
        script = f"echo at work; echo $$ >> {pids}; exec sleep 1000"
        return RunSpec(argv=["sh", "-c", script], cwd="/", session_id="s1")

    project = PROJECT.replace("then: {actor: agent,", "then: {actor: agent, on_lost: resume,")
    async with engine(tmp_path, project, Stage(programs={"agent": program})) as it:
        await it.emit(key="k")
        for count in (1, 2, 3):
            kill_runner(await at_work(it, pids, count))
            await until(partial(ended, it, count), "its end")
        (row,) = it.rows(route="work")
        assert (row.state, row.reason) == ("held", "crashes")
        assert sessions == [None, "s1", "s1"]
        ends = [one.document["payload"] for one in it.events() if one.type == "actor.stopped"]
        assert [one["lifecycle"]["reason"] for one in ends] == ["lost"] * 3
        assert [one.get("resumes") for one in ends] == [True, True, None]
