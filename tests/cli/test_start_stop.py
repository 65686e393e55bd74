"""Real daemons: how they start, take a changed project, survive what kills them, and end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from orgloop.daemon import supervisor as supervise
from orgloop.journal.model import Query
from orgloop.journal.sqlite import open_journal
from orgloop.project.home import DaemonInfo, running_daemon
from tests.e2e.organization import Organization, wait_for

PROJECT = """
metadata: {name: acme}
sources: [{id: hook, connector: webhook, config: {}}]
actors: [{id: agent, connector: process, config: {command: [./bin/agent]}}]
routes:
  - {name: work, when: {source: hook, events: [work]}, then: {actor: agent}}
"""

MORE = "  - {name: more, when: {source: hook, events: [more]}, then: {actor: agent}}\n"

AGENT = "#!/bin/sh\ncat > /dev/null\necho done\n"


@pytest.fixture
def acme(organization: Organization) -> Organization:
    """A sound project; nothing runs yet."""
    organization.write({"orgloop.yaml": PROJECT, "bin/agent": AGENT})
    return organization


def daemon_of(organization: Organization) -> DaemonInfo:
    info = running_daemon(organization.home)
    assert info is not None, "no daemon runs"
    return info


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- start and stop -------------------------------------------------------------------------------


def test_a_daemon_in_the_background_answers_once_start_returns(acme: Organization) -> None:
    said = acme.command("start", "--daemon")
    info = daemon_of(acme)
    assert f"acme runs in the background (pid {info.pid}), http://127.0.0.1:{info.port}" in said.stdout
    assert acme.post("hook", {"type": "work"})[0] == 200
    assert os.getsid(info.pid) != os.getsid(0)
    stopped = acme.command("stop")
    assert stopped.stdout == f"✓ acme has stopped (pid {info.pid})\n"
    assert is_gone(info.pid)
    assert not acme.home.daemon_file.exists()
    again = acme.command("stop")
    assert again.stdout.startswith("nothing runs in ")


def test_start_and_stop_speak_json(acme: Organization) -> None:
    started = json.loads(acme.command("start", "--daemon", "--json").stdout)
    assert (started["started"], started["port"]) == (True, daemon_of(acme).port)
    moved = json.loads(acme.command("start", "--json").stdout)
    assert moved["applied"] is True
    stopped = json.loads(acme.command("shutdown", "--json").stdout)
    assert (stopped["shutdown"], stopped["pid"]) == (True, started["pid"])
    assert json.loads(acme.command("stop", "--json").stdout) == {"stopped": False, "running": False}


def test_a_second_start_applies_what_changed_to_the_daemon_that_runs(acme: Organization) -> None:
    acme.command("start", "--daemon")
    before = daemon_of(acme)
    acme.write({"orgloop.yaml": PROJECT + MORE})
    assert acme.post("hook", {"type": "more"})[1]["event_id"]
    said = acme.command("start")
    assert "+ more" in said.stdout
    assert "Applied: 1 added, 0 changed, 0 removed." in said.stdout
    assert daemon_of(acme) == before
    routes = json.loads(acme.command("status", "--json").stdout)["routes"]
    assert [route["name"] for route in routes] == ["work", "more"]


def test_a_new_name_is_applied_to_the_daemon_that_runs(acme: Organization) -> None:
    acme.command("start", "--daemon")
    acme.write({"orgloop.yaml": PROJECT.replace("name: acme", "name: beta")})
    assert "Applied: 0 added, 1 changed, 0 removed." in acme.command("start").stdout
    assert acme.command("status").stdout.startswith("● beta  up ")
    assert acme.command("stop").stdout.startswith("✓ beta has stopped")


def test_a_broken_project_is_refused_and_the_old_one_goes_on(acme: Organization) -> None:
    acme.command("start", "--daemon")
    before = daemon_of(acme)
    acme.write({"orgloop.yaml": PROJECT.replace("actor: agent}", "actor: agnt}")})
    for words in (["start"], ["restart"]):
        said = acme.command(*words, check=False)
        assert said.returncode == 1
        assert "agnt" in said.stderr
    assert daemon_of(acme) == before
    assert acme.post("hook", {"type": "work"})[0] == 200


def test_a_project_file_that_was_lost_takes_nothing_away(acme: Organization) -> None:
    acme.command("start", "--daemon")
    acme.write({"orgloop.yaml": "# nothing\n"})
    said = acme.command("start", check=False)
    assert said.returncode == 1
    assert "orgloop.yaml is empty" in said.stderr
    assert acme.post("hook", {"type": "work"})[0] == 200


def test_the_environment_says_how_large_a_request_may_be(acme: Organization) -> None:
    large = {"type": "work", "text": "x" * 1_500_000}
    acme.environ["ORGLOOP_BODY_LIMIT"] = "lots"
    said = acme.command("start", "--daemon", check=False)
    assert said.returncode == 1
    assert "ORGLOOP_BODY_LIMIT is 'lots', not a size" in said.stderr
    acme.environ["ORGLOOP_BODY_LIMIT"] = "2MB"
    acme.command("start", "--daemon")
    assert acme.post("hook", large)[0] == 200
    assert acme.post("hook", large | {"more": large["text"]})[0] == 413


def test_a_variable_that_only_another_terminal_lacks_needs_nobody(acme: Organization) -> None:
    acme.write({"orgloop.yaml": PROJECT.replace("config: {}", 'config: {secret: "${HOOK_SECRET}"}')})
    acme.environ["HOOK_SECRET"] = "hush"
    acme.command("start", "--daemon")
    del acme.environ["HOOK_SECRET"]
    assert json.loads(acme.command("status", "--json").stdout)["attention"] == []
    acme.write({"orgloop.yaml": PROJECT.replace("config: {}", 'config: {secret: "${OTHER_SECRET}"}')})
    (item,) = json.loads(acme.command("status", "--json").stdout)["attention"]
    assert item["message"] == "the files have 1 error: the variable OTHER_SECRET is not set"


def test_the_last_route_goes_only_if_that_is_said(acme: Organization) -> None:
    acme.command("start", "--daemon")
    acme.write({"orgloop.yaml": PROJECT.partition("routes:")[0]})
    said = acme.command("start", check=False)
    assert said.returncode == 1
    assert "the files have no route any more, and 1 route would go; nothing was applied" in said.stderr
    assert "--yes" in said.stderr
    assert len(json.loads(acme.command("status", "--json").stdout)["routes"]) == 1
    assert "Applied: 0 added, 0 changed, 1 removed." in acme.command("start", "--yes").stdout
    assert "Applied: 0 added, 0 changed, 0 removed." in acme.command("start").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only there does a run end what left its session")
def test_an_agent_may_restart_the_daemon_that_woke_it(acme: Organization) -> None:
    restart = f"{sys.executable} -m orgloop restart --config {acme.root}"
    acme.write({"bin/agent": f"#!/bin/sh\n{restart}\n"})
    acme.command("start", "--daemon")
    before = daemon_of(acme)
    assert acme.post("hook", {"type": "work"})[0] == 200
    with acme.reader() as reader:
        wait_for(
            "the end of the run", lambda: [run for run in reader.runs(Query()) if run.ended_at is not None]
        )
        assert [run.reason for run in reader.runs(Query())] == ["exit_code_0"]
    info = daemon_of(acme)
    assert info.pid != before.pid
    environment = psutil.Process(info.pid).environ()
    assert (environment["ORGLOOP_DAEMON"], environment.get("ORGLOOP_RUN_ID")) == ("1", None)


def test_another_project_is_refused_with_how_to_run_both(acme: Organization, tmp_path: Path) -> None:
    acme.command("start", "--daemon")
    info = daemon_of(acme)
    other = Organization(root=tmp_path / "other", home=acme.home)
    other.root.mkdir()
    other.write({"orgloop.yaml": PROJECT.replace("acme", "other"), "bin/agent": AGENT})
    for words in (["start"], ["start", "--daemon"]):
        said = other.command(*words, check=False)
        assert said.returncode == 1
        assert f"runs the project acme in {acme.root}" in said.stderr
        assert "ORGLOOP_HOME=~/.orgloop-other" in said.stderr
    for words in (["stop"], ["stop", "--force"], ["shutdown"], ["restart"]):
        said = other.command(*words, check=False)
        assert said.returncode == 1
        assert f"not the project in {other.root}" in said.stderr
    assert daemon_of(acme) == info
    assert other.command("stop", "--config", str(acme.root)).returncode == 0
    assert is_gone(info.pid)


def test_a_taken_port_is_named_and_nothing_stays_behind(acme: Organization) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        acme.environ = {"ORGLOOP_PORT": str(port)}
        for words in (["start"], ["start", "--daemon"], ["start", "--daemon", "--supervised"]):
            said = acme.command(*words, check=False)
            assert said.returncode == 1
            # Once: what an earlier start has written into the log is not told again.
            assert said.stderr.count(f"port {port} on 127.0.0.1 is in use") == 1
            assert "has not answered" not in said.stderr
            assert f"ORGLOOP_PORT={port + 1}" in said.stderr
        assert not acme.home.daemon_file.exists()
    assert acme.command("start", "--daemon").returncode == 0
    assert daemon_of(acme).port == port


def test_the_daemons_log_is_for_its_owner_and_one_that_cannot_be_written_is_told(acme: Organization) -> None:
    log = acme.home.logs / "daemon.log"
    log.mkdir(parents=True)
    said = acme.command("start", "--daemon", check=False)
    assert (said.returncode, "cannot be used: Is a directory" in said.stderr) == (1, True)
    log.rmdir()
    acme.command("start", "--daemon")
    assert log.stat().st_mode & 0o777 == 0o600


async def test_whoever_holds_the_journal_is_named(acme: Organization) -> None:
    journal = await open_journal(acme.home.path, project="acme", clock=lambda: 0, holder="a long backup")
    try:
        said = acme.command("start", "--daemon", check=False)
        stopped = acme.command("stop", check=False)
    finally:
        await journal.close()
    assert (said.returncode, "in use by a long backup" in said.stderr) == (1, True)
    assert "its journal is in use by a long backup" in stopped.stdout


def test_a_start_that_fails_leaves_the_other_daemon_alone(acme: Organization) -> None:
    acme.command("start", "--daemon")
    info = daemon_of(acme)
    content = acme.home.daemon_file.read_bytes()
    acme.home.daemon_file.unlink()
    said = acme.command("start", "--daemon", check=False)
    assert f"in use by the daemon of {acme.root} (process {info.pid})" in said.stderr
    acme.home.daemon_file.write_bytes(content)
    assert daemon_of(acme) == info
    assert acme.post("hook", {"type": "work"})[0] == 200


@pytest.mark.parametrize("pid", ["dead", "somebody else's"])
def test_a_stale_daemon_file_counts_for_nothing(pid: str, acme: Organization) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    info = {
        "pid": ended.pid if pid == "dead" else os.getpid(),
        "started_at": 1_000,
        "port": 4800,
        "project": "acme",
        "root": str(acme.root),
        "version": "0.1.0",
    }
    acme.home.ensure()
    acme.home.daemon_file.write_text(json.dumps(info))
    assert acme.command("stop").stdout.startswith("nothing runs in ")
    acme.command("start", "--daemon")
    assert daemon_of(acme).pid != info["pid"]


# --- signals --------------------------------------------------------------------------------------


@contextmanager
def in_foreground(organization: Organization, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`orgloop start` as in a terminal of its own, once its daemon answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orgloop", "start", *options],
        cwd=organization.root,
        env=organization.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for("the daemon", lambda: process.poll() is not None or running_daemon(organization.home))
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said_by(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    return out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_one_signal_stops_it_and_nothing_is_left(number: signal.Signals, acme: Organization) -> None:
    with in_foreground(acme) as process:
        process.send_signal(number)
        out = said_by(process)
        assert process.returncode == 0
    assert "Ctrl-C stops it" in out
    assert out.endswith("✓ stopped; unfinished work continues at the next start\n")
    assert not acme.home.daemon_file.exists()


HOLDING = """
import asyncio
import time

from orgloop.plugin import Connector, Page, Settings, SourceKind


class Nothing(Settings):
    how: str


class Holding:
    def __init__(self, id, settings):
        self.how = settings.how

    async def open(self, ctx): ...

    async def close(self): ...

    async def poll(self, checkpoint):
        print("it holds on", flush=True)
        if self.how == "thread":
            await asyncio.to_thread(time.sleep, 3600)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


source = SourceKind(settings=Nothing, open=Holding, polled=True)
connector = Connector(name="holding", title="Holds on", source=source)
"""


@pytest.mark.parametrize("how", ["thread", "task"])
def test_a_plugin_that_does_not_let_go_does_not_keep_the_daemon(
    how: str, acme: Organization, tmp_path: Path
) -> None:
    """A blocking call in a thread cannot be ended at all, and many libraries make one."""
    package = tmp_path / "package"
    info = package / "holding-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holding\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[orgloop.connectors]\nholding = holding:connector\n")
    (package / "holding.py").write_text(HOLDING)
    acme.environ["PYTHONPATH"] = str(package)
    source = f"sources: [{{id: held, connector: holding, config: {{how: {how}}}}}, "
    acme.write({"orgloop.yaml": PROJECT.replace("sources: [", source)})
    daemon = acme.start()
    assert acme.daemon is not None
    wait_for("the poll", lambda: "it holds on" in acme.log)
    began = time.monotonic()
    os.kill(daemon.pid, signal.SIGTERM)
    assert acme.daemon.wait(30) == 0
    assert time.monotonic() - began < 12
    assert "does not let go" in acme.log
    assert running_daemon(acme.home) is None


def test_the_terminal_may_go_away(acme: Organization) -> None:
    with in_foreground(acme, "--quiet") as process:
        process.send_signal(signal.SIGHUP)
        assert acme.post("hook", {"type": "work"})[0] == 200
        process.terminate()
        assert (said_by(process), process.returncode) == ("", 0)


def test_a_second_signal_ends_it_on_the_spot(acme: Organization) -> None:
    with in_foreground(acme, "--quiet") as process:
        # Asleep, it hears of both at once.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            process.send_signal(number)
        said_by(process)
        assert process.returncode == 130
    assert acme.home.daemon_file.exists()
    assert running_daemon(acme.home) is None
    assert acme.command("start", "--daemon").returncode == 0


# --- supervised -----------------------------------------------------------------------------------


def test_a_supervised_daemon_comes_back_after_a_kill_and_goes_with_stop(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    first = daemon_of(acme)
    supervisor = psutil.Process(first.pid).ppid()
    os.kill(first.pid, signal.SIGKILL)

    def back() -> DaemonInfo | None:
        info = running_daemon(acme.home)
        return info if info is not None and info.pid != first.pid else None

    second = wait_for("the daemon to come back", back)
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
    supervisor = psutil.Process(info.pid).ppid()
    os.kill(info.pid, signal.SIGKILL)
    wait_for("its end", lambda: is_gone(info.pid))
    said = acme.command("stop", *options)
    assert said.stdout.startswith("✓ acme has stopped")
    assert is_gone(supervisor)
    assert running_daemon(acme.home) is None
    assert acme.command("stop").stdout.startswith("nothing runs in ")


def test_a_start_leaves_a_crashed_daemon_to_its_supervisor(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = psutil.Process(info.pid).ppid()
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(info.pid, signal.SIGKILL)
    try:
        wait_for("its end", lambda: is_gone(info.pid))
        for words in (["start"], ["start", "--daemon", "--supervised"]):
            said = acme.command(*words, check=False)
            assert said.returncode == 1
            assert f"starts again by its supervisor (pid {supervisor})" in said.stderr
            assert "orgloop stop" in said.stderr
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for("the daemon to come back", lambda: running_daemon(acme.home))
    assert acme.command("stop").returncode == 0
    assert is_gone(supervisor)


def test_a_supervisor_that_was_killed_counts_for_nothing(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = psutil.Process(info.pid).ppid()
    os.kill(supervisor, signal.SIGKILL)
    wait_for("its end", lambda: is_gone(supervisor))
    assert acme.command("stop").stdout == f"✓ acme has stopped (pid {info.pid})\n"
    acme.command("start", "--daemon")
    assert psutil.Process(daemon_of(acme).pid).ppid() != supervisor


def test_force_kills_a_supervised_daemon_for_good(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = psutil.Process(info.pid).ppid()
    assert acme.command("stop", "--force").returncode == 0
    assert is_gone(info.pid)
    assert is_gone(supervisor)
    assert running_daemon(acme.home) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only there does the system tell who holds a lock")
@pytest.mark.parametrize("left", ["nothing", "garbage", "a pipe"])
def test_a_daemon_is_found_and_ended_without_the_files_that_tell_of_it(left: str, acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    info = daemon_of(acme)
    supervisor = psutil.Process(info.pid).ppid()
    for name in ("daemon.json", "journal.lock", "supervisor.json"):
        path = acme.home.path / name
        path.unlink()
        if left == "garbage":
            path.write_text('{"pid": 1}')
        elif left == "a pipe" and name == "daemon.json":
            os.mkfifo(path)
    status = json.loads(acme.command("status", "--json").stdout)
    assert (status["running"], status["pid"], status["httpPort"]) == (True, info.pid, info.port)
    assert (status["answers"], status["attention"]) == (True, [])
    assert f"process {info.pid} serves acme" in acme.command("doctor").stdout
    assert acme.command("emit", "--source", "hook", "--event", "other").returncode == 0
    assert "Applied: " in acme.command("start").stdout
    assert acme.command("stop").stdout == f"✓ acme has stopped (pid {info.pid})\n"
    assert is_gone(info.pid)
    wait_for("its supervisor to go", lambda: is_gone(supervisor))
    acme.home.daemon_file.unlink(missing_ok=True)


def test_ctrl_c_ends_a_supervised_daemon_softly(acme: Organization) -> None:
    with in_foreground(acme, "--supervised") as process:
        # As a terminal does it: everybody in its foreground hears it.
        os.killpg(process.pid, signal.SIGINT)
        out = said_by(process)
        assert process.returncode == 0
    assert out.endswith("✓ stopped; unfinished work continues at the next start\n")
    assert not acme.home.daemon_file.exists()


def test_restart_keeps_it_supervised(acme: Organization) -> None:
    acme.command("start", "--daemon", "--supervised")
    first = daemon_of(acme)
    assert f"acme has stopped (pid {first.pid})" in acme.command("restart").stdout
    second = daemon_of(acme)
    assert second.pid != first.pid
    words = psutil.Process(psutil.Process(second.pid).ppid()).cmdline()
    assert "--supervised" in words


def test_restart_of_nothing_starts_it(acme: Organization) -> None:
    assert "runs in the background" in acme.command("restart").stdout
    words = psutil.Process(psutil.Process(daemon_of(acme).pid).ppid()).cmdline()
    assert "--supervised" not in words


# --- the supervisor's rules -----------------------------------------------------------------------


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
