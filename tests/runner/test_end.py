"""How a run ends, and that its end is on disk, whole and once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from typing import Any

import pytest

from orgloop import runner
from tests.runner.run_directory import FULL, RunDirectory, python, shell
from tests.runner.waiting import DEADLINE_S, alive, until


@pytest.mark.parametrize("status", [0, 1, 75, 127, 255])
def test_the_exit_status_is_the_programs(run: RunDirectory, status: int) -> None:
    end = run.prepare(shell(f"exit {status}")).hold()
    assert (end["status"], end["signal"], end["stopped"], end["not_started"]) == (status, None, None, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, signal.SIGUSR1])
def test_a_death_by_signal_says_which(run: RunDirectory, number: signal.Signals) -> None:
    end = run.prepare(shell(f"kill -{number} $$; exec sleep 1000")).hold()
    assert (end["status"], end["signal"], end["stopped"]) == (128 + number, number, None)


def test_the_end_has_its_times(run: RunDirectory) -> None:
    before = time.time()
    end = run.prepare(shell("true")).hold()
    assert end["version"] == runner.VERSION
    assert before <= end["started_at"] <= end["ended_at"] <= time.time()
    assert 0 < end["duration_s"] <= time.time() - before


def test_output_goes_to_the_files_while_the_program_runs(run: RunDirectory) -> None:
    run.prepare(shell("echo out; echo err >&2; exec sleep 1000"), grace_s=0).spawn()
    run.said(b"out\n")
    until(lambda: run.read(runner.STDERR) == b"err\n", "the program complains")
    assert run.locked()


def test_no_output_is_lost_or_bounded_by_a_pipe(run: RunDirectory) -> None:
    run.prepare(python("import sys; sys.stdout.buffer.write(bytes(range(256)) * 40000)")).hold()
    assert run.read(runner.STDOUT) == bytes(range(256)) * 40000


def test_a_good_run_leaves_exactly_its_files(run: RunDirectory) -> None:
    run.prepare(shell("true"), stdin=b"prompt").hold()
    names = {
        runner.LOCK,
        runner.STDIN,
        runner.STARTED,
        runner.CHILD,
        runner.STDOUT,
        runner.STDERR,
        runner.EXIT,
    }
    assert run.names() == {*names, runner.LOG}
    assert run.read(runner.LOG) == b""


def left_behind(run: RunDirectory, script: str) -> int:
    """Hold a run whose program ends well and leaves a process behind. Returns the pid of what it left."""
    wait = "while ! test -e ready; do :; done"
    end = run.prepare(shell(f"({script}) & echo $! > left; {wait}")).hold()
    assert (end["status"], end["stopped"], end["duration_s"] < runner.LINGER_S) == (0, None, True)
    assert run.read(runner.LOG) == b"", "the runner knows that it died"
    return int(run.read("left"))


def test_what_the_program_left_behind_is_ended(run: RunDirectory) -> None:
    assert not alive(left_behind(run, "touch ready; exec sleep 1000"))


def test_what_the_program_left_behind_may_end_softly(run: RunDirectory) -> None:
    assert not alive(left_behind(run, "trap 'echo tidied; exit' TERM; sleep 1000 & touch ready; wait"))
    assert run.read(runner.STDOUT) == b"tidied\n"


def test_what_was_left_behind_and_ignores_a_soft_stop_is_killed(run: RunDirectory) -> None:
    started = time.monotonic()
    assert not alive(left_behind(run, "trap '' TERM; touch ready; exec sleep 1000"))
    assert time.monotonic() - started >= runner.LINGER_S


JOB = """
import os
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    os.execvp("sleep", ["sleep", "1000"])
while os.getpgid(pid) != pid: pass
print(pid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="without /proc only the program's own group is known")
def test_a_job_of_its_own_group_is_ended_too(run: RunDirectory) -> None:
    end = run.prepare(python(JOB)).hold()
    assert end["status"] == 0
    assert not alive(int(run.read(runner.STDOUT)))


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells who descends from whom")
def test_what_leaves_the_session_while_the_program_ends_at_once_is_ended_too(run: RunDirectory) -> None:
    end = run.prepare(shell("setsid sleep 1000 & echo $!")).hold()
    assert end["status"] == 0
    assert not alive(int(run.read(runner.STDOUT)))


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells who descends from whom")
def test_a_daemon_that_the_program_started_in_the_background_lives_on(run: RunDirectory) -> None:
    daemon = "ORGLOOP_DAEMON=1 setsid sh -c 'sleep 1000 & echo $$ $!; touch begun; wait' & "
    run.prepare(shell(daemon + "while [ ! -e begun ]; do sleep 0.01; done")).hold()
    pids = [int(pid) for pid in run.read(runner.STDOUT).split()]
    try:
        assert [alive(pid) for pid in pids] == [True, True]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_exit_json_is_never_seen_in_part(run: RunDirectory) -> None:
    process = run.prepare(shell("true")).spawn()
    seen: list[dict[str, Any]] = []

    def ended() -> bool:
        text = run.read(runner.EXIT)
        if text:
            seen.append(json.loads(text))
        return process.poll() is not None

    until(ended, "the runner has ended")
    assert run.json(runner.EXIT)["status"] == 0
    assert all(record == run.json(runner.EXIT) for record in seen)


def test_an_end_that_cannot_be_written_is_tried_until_it_can(run: RunDirectory) -> None:
    run.on_a_full_disk = True
    run.prepare(shell(f"touch {FULL}{runner.EXIT}; exit 3")).spawn()
    until(lambda: run.read(runner.LOG).count(b"cannot write exit.json") >= 2, "a second try")
    assert run.locked()
    assert runner.EXIT not in run.names()
    run.path.joinpath(FULL + runner.EXIT).unlink()
    assert run.end()["status"] == 3


def test_a_signal_hastens_the_next_try(run: RunDirectory) -> None:
    run.on_a_full_disk = True
    process = run.prepare(shell(f"touch {FULL}{runner.EXIT}; exit 3")).spawn()
    until(lambda: run.read(runner.LOG), "the first try")

    def many_tries() -> bool:
        process.terminate()
        return run.read(runner.LOG).count(b"\n") > 12

    until(many_tries, "a dozen tries, which would take minutes without a signal")
    run.path.joinpath(FULL + runner.EXIT).unlink()
    process.terminate()
    assert run.end()["stopped"] is None


def test_a_runner_whose_directory_is_gone_ends(run: RunDirectory) -> None:
    process = run.prepare(shell("exec sleep 1000"), cwd=run.path.parent).spawn()
    pid = run.program()
    shutil.rmtree(run.path)
    process.terminate()
    assert process.wait(DEADLINE_S) == runner.ENDED
    assert not alive(pid)
