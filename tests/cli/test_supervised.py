"""A supervised daemon: it comes back after whatever killed it, and goes once it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil
import pytest

from orgloop.daemon import supervisor as supervise
from orgloop.project.home import running_daemon
from tests.cli.small import daemon_of, in_foreground, is_gone, said_by, supervisor_of
from tests.e2e.organization import Organization, wait_for


def test_it_comes_back_after_a_kill_without_a_second_start_and_goes_with_stop(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    first = daemon_of(acme)
    supervisor = supervisor_of(first)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)
    try:
        wait_for("its end", lambda: is_gone(first.pid))
        for words in (["start"], ["start", "--daemon", "--supervised"]):
            said = acme.command(*words, check=False)
            assert said.returncode == 1
            assert f"starts again by its supervisor (pid {supervisor})" in said.stderr
            assert "orgloop stop" in said.stderr
    finally:
        os.kill(supervisor, signal.SIGCONT)
    second = wait_for("the daemon to come back", lambda: running_daemon(acme.home))
    assert second.pid != first.pid
    assert acme.post("hook", {"type": "work"})[0] == 200
    log = (acme.home.logs / "daemon.log").read_text()
    assert "the daemon ended by SIGKILL; it starts again in 1 s" in log
    assert acme.command("stop").returncode == 0
    assert is_gone(second.pid)
    assert is_gone(supervisor)


@pytest.mark.parametrize("options", [[], ["--force"]], ids=str)
def test_stop_between_a_crash_and_the_next_start_is_for_good(options: list[str], acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = supervisor_of(info)
    os.kill(info.pid, signal.SIGKILL)
    wait_for("its end", lambda: is_gone(info.pid))
    said = acme.command("stop", *options)
    assert said.stdout.startswith("✓ acme has stopped")
    assert is_gone(supervisor)
    assert running_daemon(acme.home) is None
    assert acme.command("stop").stdout.startswith("nothing runs in ")


def test_a_supervisor_that_was_killed_counts_for_nothing(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = supervisor_of(info)
    os.kill(supervisor, signal.SIGKILL)
    wait_for("its end", lambda: is_gone(supervisor))
    assert acme.command("stop").stdout == f"✓ acme has stopped (pid {info.pid})\n"
    acme.command("start", "--daemon")
    assert supervisor_of(daemon_of(acme)) != supervisor


def test_restart_keeps_it_supervised_and_force_kills_it_for_good(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    first = daemon_of(acme)
    assert f"acme has stopped (pid {first.pid})" in acme.command("restart").stdout
    second = daemon_of(acme)
    assert second.pid != first.pid
    supervisor = supervisor_of(second)
    assert "--supervised" in psutil.Process(supervisor).cmdline()
    assert acme.command("stop", "--force").returncode == 0
    assert is_gone(second.pid)
    assert is_gone(supervisor)
    assert running_daemon(acme.home) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only there does the system tell who holds a lock")
def test_it_is_found_and_ended_without_the_files_that_tell_of_it(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = supervisor_of(info)
    for left in ("nothing", "garbage", "a pipe"):
        for name in ("daemon.json", "journal.lock", "supervisor.json"):
            path = acme.home.path / name
            path.unlink(missing_ok=True)
            if left == "garbage":
                path.write_text('{"pid": 1}')
            elif left == "a pipe" and name == "daemon.json":
                os.mkfifo(path)
        status = json.loads(acme.command("status", "--json").stdout)
        assert (status["running"], status["pid"], status["httpPort"]) == (True, info.pid, info.port), left
        assert (status["answers"], status["attention"]) == (True, []), left
        assert f"process {info.pid} serves acme" in acme.command("doctor").stdout, left
        assert acme.command("emit", "--source", "hook", "--event", "other").returncode == 0, left
    assert "Applied: " in acme.command("start").stdout
    assert acme.command("stop").stdout == f"✓ acme has stopped (pid {info.pid})\n"
    assert is_gone(info.pid)
    wait_for("its supervisor to go", lambda: is_gone(supervisor))


def test_ctrl_c_ends_a_supervised_daemon_softly(acme: Organization) -> None:
    with in_foreground(acme, "--supervised") as process:
        # As a terminal does it: everybody in its foreground hears it.
        os.killpg(process.pid, signal.SIGINT)
        out = said_by(process)
        assert process.returncode == 0
    assert out.endswith("✓ stopped; unfinished work continues at the next start\n")
    assert not acme.home.daemon_file.exists()


# --- its rules ------------------------------------------------------------------------------------


class Supervised:
    """A daemon that lives and ends as the test says, a supervisor that nobody stops, and their time."""

    asked = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lives: Sequence[tuple[float, int]]) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.said: list[str] = []
        self._lives = iter(lives)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: self)
        monkeypatch.setattr(supervise, "Stopping", lambda: self)

    def run(self) -> int:
        return supervise.supervise(["daemon"], self.said.append)

    def watch(self, child: object) -> None:
        """As the supervisor's half."""

    def wait(self, pause: float | None = None) -> int:
        """The daemon's: how it ended. The supervisor's, with a pause: nobody stops it meanwhile."""
        if pause is not None:
            self.pauses.append(pause)
            self.now += pause
            return False
        lasted, status = next(self._lives)
        self.now += lasted
        return status


def test_pauses_grow_and_begin_anew_after_a_stable_life(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Supervised(monkeypatch, [(20, 1), (1, -9), (1, 1), (99, 1), (1, 1), (1, 0)])
    assert daemon.run() == 0
    assert daemon.pauses == [1, 2, 4, 1, 2]


def test_pauses_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Supervised(monkeypatch, [(50, 1)] * 9 + [(1, 0)])
    daemon.run()
    assert daemon.pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_it_gives_up_after_too_many_deaths_in_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Supervised(monkeypatch, [(11, 3)] * 50)
    assert daemon.run() == 3
    assert daemon.said[-1] == "the daemon died 11 times in 300 s: it is not started again"


def test_a_first_start_that_fails_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Supervised(monkeypatch, [(2, 1)])
    assert (daemon.run(), daemon.said) == (1, [])


def test_a_kill_right_after_the_start_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Supervised(monkeypatch, [(2, -9), (1, 0)])
    assert daemon.run() == 0
    assert daemon.said == ["the daemon ended by SIGKILL; it starts again in 1 s"]
