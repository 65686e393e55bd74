"""Ending a run from outside."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from orgloop import runner
from orgloop.runner.spec import TICK_S
from tests.runner.run_directory import RunDirectory, shell
from tests.runner.waiting import alive, session, until

TIDY = "trap 'echo bye; exit 7' TERM; sleep 1000 & echo ready; wait"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def test_a_signal_to_the_runner_stops_the_program_softly(run: RunDirectory) -> None:
    process = run.prepare(shell(TIDY)).spawn()
    run.said(b"ready")
    process.terminate()
    end = run.end()
    assert (end["stopped"], end["status"], end["signal"]) == ("requested", 7, None)
    assert run.read(runner.STDOUT) == b"ready\nbye\n"


def test_a_stop_file_stops_the_program_softly(run: RunDirectory) -> None:
    run.prepare(shell(TIDY)).spawn()
    run.said(b"ready")
    run.write(runner.STOP, b"")
    end = run.end()
    assert (end["stopped"], end["status"], end["signal"]) == ("requested", 7, None)


def test_a_stop_file_that_is_there_before_stops_the_program_at_once(run: RunDirectory) -> None:
    run.prepare(shell("exec sleep 1000")).write(runner.STOP, b"")
    end = run.hold()
    assert (end["stopped"], end["signal"]) == ("requested", 15)
    assert end["duration_s"] < TICK_S


def test_a_stubborn_program_is_killed_after_the_grace(run: RunDirectory) -> None:
    process = run.prepare(shell(STUBBORN), grace_s=0.5).spawn()
    run.said(b"ready")
    process.terminate()
    end = run.end()
    assert (end["stopped"], end["status"], end["signal"]) == ("requested", 128 + 9, 9)
    assert end["duration_s"] >= 0.5


def test_a_second_signal_kills_at_once(run: RunDirectory) -> None:
    trap = "trap 'echo soft' TERM; echo ready; while :; do sleep 0.1; done"
    process = run.prepare(shell(trap), grace_s=3600).spawn()
    run.said(b"ready")
    process.terminate()
    run.said(b"soft")
    process.terminate()
    assert (run.end()["stopped"], run.end()["signal"]) == ("requested", 9)


def test_a_second_signal_also_kills_what_the_program_left_behind(run: RunDirectory) -> None:
    noted = "while ! [ -s left ]; do sleep 0.01; done"
    child = f"(trap 'echo soft' TERM; {noted}; echo ready; while :; do sleep 0.1; done) & echo $! > left"
    process = run.prepare(shell(f"{child}; sleep 1000"), grace_s=3600).spawn()
    run.said(b"ready")
    process.terminate()
    run.said(b"soft")
    process.terminate()
    assert run.end()["stopped"] == "requested"
    assert not alive(int(run.read("left")))


def test_a_stop_asks_each_process_once(run: RunDirectory) -> None:
    child = "(trap 'echo soft' TERM; echo ready; while :; do sleep 0.1; done) & wait"
    process = run.prepare(shell(child), grace_s=0.5).spawn()
    run.said(b"ready")
    process.terminate()
    assert run.end()["signal"] == 15
    assert run.read(runner.STDOUT) == b"ready\nsoft\n"


@pytest.mark.parametrize("grace_s", [0.0, 0.5])
def test_the_whole_group_ends_though_grandchildren_ignore_the_soft_stop(
    run: RunDirectory, grace_s: float
) -> None:
    deaf = "deaf() { trap '' TERM; sh -c 'echo $$ >> pids; exec sleep 1000'; }; "
    process = run.prepare(
        shell(deaf + "deaf & (deaf & (deaf & wait) & wait) & wait"), grace_s=grace_s
    ).spawn()
    program = run.program()
    until(lambda: run.read("pids").count(b"\n") == 3, "the grandchildren run")
    assert len(session(program)) > 3
    process.terminate()
    assert run.end()["stopped"] == "requested"
    assert session(program) == []
    assert not any(alive(int(pid)) for pid in run.read("pids").split())


def test_hangup_and_interrupt_do_not_end_the_runner(run: RunDirectory) -> None:
    process = run.prepare(shell(TIDY)).spawn()
    run.said(b"ready")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.terminate()  # delivered after the other two
    assert (run.end()["stopped"], run.end()["status"]) == ("requested", 7)


def test_a_signal_before_the_program_runs_is_not_lost(run: RunDirectory) -> None:
    os.mkfifo(run.path / runner.STDIN)  # the runner waits for its writer before it starts the program
    process = run.prepare(shell("exec sleep 1000")).spawn()
    until(run.there(runner.STARTED), "the start")
    process.terminate()
    (run.path / runner.STDIN).write_bytes(b"")
    assert (run.end()["stopped"], run.end()["signal"]) == ("requested", 15)


def test_the_stop_signal_is_the_one_that_the_run_asks_for(run: RunDirectory) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    process = run.prepare(shell(script), stop_signal=signal.SIGINT).spawn()
    run.said(b"ready")
    process.terminate()
    end = run.end()
    assert (end["stopped"], end["status"]) == ("requested", 3)
    assert run.read(runner.STDOUT) == b"ready\ninterrupted\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells who descends from whom")
@pytest.mark.parametrize("ending", ["exit 0", "exec sleep 1000"])
def test_what_made_a_session_of_its_own_ends_with_its_run(run: RunDirectory, ending: str) -> None:
    script = f"setsid sh -c 'trap \"\" TERM INT; echo $$; while :; do sleep 0.1; done' & sleep 0.3; {ending}"
    process = run.prepare(shell(script), grace_s=0.2).spawn()
    run.said(b"\n")
    stray = int(run.read(runner.STDOUT))
    if "1000" in ending:
        process.terminate()
    run.end()
    until(lambda: not alive(stray), "the stray ends")
