"""The daemon dies, or the runner does: what is left says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from orgloop import runner
from tests.runner.run_directory import LIMITS, RunDirectory, python, shell
from tests.runner.waiting import DEADLINE_S, alive, until

DAEMON = """
import os, subprocess, sys
subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=subprocess.PIPE)
sys.stdin.read()
"""


def start_daemon(run: RunDirectory) -> subprocess.Popen[bytes]:
    """A process that started the runner and lives until somebody ends it; the program runs by now."""
    daemon = subprocess.Popen(
        [*python(DAEMON), *run.command()], stdin=subprocess.PIPE, start_new_session=True
    )
    run.program()
    return daemon


def end_of(daemon: subprocess.Popen[bytes], number: int) -> None:
    os.killpg(daemon.pid, number)
    assert daemon.stdin
    daemon.stdin.close()
    daemon.wait(DEADLINE_S)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_run_outlives_the_daemon_and_keeps_its_limits(run: RunDirectory, number: int) -> None:
    daemon = start_daemon(run.prepare(shell("exec sleep 1000"), limits={"silence_s": 1.5}))
    end_of(daemon, number)
    assert run.locked()
    assert (run.end()["stopped"], run.end()["signal"]) == ("silence", 15)


def test_a_run_can_be_stopped_after_the_daemons_death(run: RunDirectory) -> None:
    end_of(start_daemon(run.prepare(shell("exec sleep 1000"))), signal.SIGKILL)
    os.kill(run.json(runner.CHILD)["runner_pid"], signal.SIGTERM)
    assert run.end()["stopped"] == "requested"


def test_a_killed_runner_leaves_a_free_lock_and_a_living_program_that_is_named(run: RunDirectory) -> None:
    process = run.prepare(shell("exec sleep 1000")).spawn()
    program = run.program()
    process.kill()
    process.wait(DEADLINE_S)
    assert not run.locked()
    assert alive(program)
    assert {runner.STARTED, runner.CHILD} <= run.names()
    assert runner.EXIT not in run.names()
    assert run.refuse() == runner.WAS_STARTED


def test_a_runner_killed_before_its_program_ran_leaves_started_alone(run: RunDirectory) -> None:
    os.mkfifo(run.path / runner.STDIN)  # the runner waits for its writer before it starts the program
    process = run.prepare(shell("touch ran")).spawn()
    until(run.there(runner.STARTED), "the start")
    process.kill()
    process.wait(DEADLINE_S)
    assert not run.locked()
    assert run.names() & {runner.CHILD, runner.EXIT, "ran"} == set()
    assert run.refuse() == runner.WAS_STARTED


def test_a_runner_that_only_waits_takes_next_to_no_processor_time(run: RunDirectory) -> None:
    process = run.prepare(["sleep", "2"], limits=dict.fromkeys(LIMITS, 60)).spawn()
    pid = run.program()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == runner.ENDED
    assert not alive(pid)
    assert usage.ru_utime + usage.ru_stime < 0.1  # its own start and its program's included
    assert usage.ru_nvcsw < 200


def test_the_runner_loads_nothing_that_is_slow_to_load() -> None:
    script = f"""
import sys
sys.path.append({str(Path(runner.__file__).parents[1])!r})
import runner.hold
print(*sorted(sys.modules))
"""
    loaded = set(subprocess.run(python(script), capture_output=True, check=True, text=True).stdout.split())
    slow = {
        "collections",
        "contextlib",
        "ctypes",
        "enum",
        "json",
        "pathlib",
        "re",
        "signal",
        "subprocess",
        "typing",
    }
    assert loaded & slow == set()


def test_importing_the_runner_changes_nothing(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(runner.__file__).parents[2])!r})
def state():
    signals = [signal.getsignal(n) for n in signal.valid_signals()]
    return signals, signal.set_wakeup_fd(-1), os.getcwd(), os.listdir("/dev/fd"), os.listdir(), sys.argv
before = state()
import orgloop.runner.hold
print(before == state())
"""
    done = subprocess.run(python(script), capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout == b"True\n"
