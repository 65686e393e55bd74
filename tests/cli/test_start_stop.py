"""A daemon in the background: how it starts, takes a changed project, and ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orgloop.daemon.background import stop_daemon
from orgloop.daemon.client import Client
from orgloop.journal.model import Query
from orgloop.journal.sqlite import open_journal
from orgloop.project.home import Home
from tests.cli.small import FILES, PROJECT, daemon_of, is_gone, supervisor_of
from tests.e2e.organization import Organization, wait_for

MORE = "  - {name: more, when: {source: hook, events: [more]}, then: {actor: agent}}\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """A sound project and a home for the daemon that several tests share."""
    folder = tmp_path_factory.mktemp("shared")
    (root := folder / "org").mkdir()
    made = Organization(root=root, home=Home(folder / "home"), environ={"ORGLOOP_BODY_LIMIT": "2MB"})
    yield made
    stop_daemon(made.home, force=True)


@pytest.fixture
def running(shared: Organization) -> Organization:
    """Its daemon runs, with the project as it was written first."""
    shared.write(FILES)
    client = Client.of_home(shared.home)
    if client is None:
        shared.command("start", "--daemon")
    else:
        client.apply(shared.root)
    return shared


# --- start and stop -------------------------------------------------------------------------------


def test_a_daemon_in_the_background_answers_once_start_returns(acme: Organization) -> None:
    said = acme.command("start", "--daemon")
    info = daemon_of(acme)
    assert f"acme runs in the background (pid {info.pid}), http://127.0.0.1:{info.port}" in said.stdout
    assert acme.post("hook", {"type": "work"})[0] == 200
    assert os.getsid(info.pid) != os.getsid(0)
    assert (acme.home.logs / "daemon.log").stat().st_mode & 0o777 == 0o600, "its log is for its owner"
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
    # A restart of nothing starts it.
    assert "runs in the background" in acme.command("restart").stdout
    assert daemon_of(acme).pid != info["pid"]
    assert "--supervised" not in psutil.Process(supervisor_of(daemon_of(acme))).cmdline()


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


# --- what changes while it runs --------------------------------------------------------------------


def test_a_second_start_applies_what_changed_to_the_daemon_that_runs(running: Organization) -> None:
    before = daemon_of(running)
    running.write({"orgloop.yaml": PROJECT + MORE})
    assert running.post("hook", {"type": "more"})[1]["event_id"]
    said = running.command("start")
    assert "+ more" in said.stdout
    assert "Applied: 1 added, 0 changed, 0 removed." in said.stdout
    assert daemon_of(running) == before
    routes = json.loads(running.command("status", "--json").stdout)["routes"]
    assert [route["name"] for route in routes] == ["work", "more"]


def test_a_new_name_is_applied_to_the_daemon_that_runs(running: Organization) -> None:
    running.write({"orgloop.yaml": PROJECT.replace("name: acme", "name: beta")})
    assert "Applied: 0 added, 1 changed, 0 removed." in running.command("start").stdout
    assert running.command("status").stdout.startswith("● beta  up ")
    assert running.command("stop").stdout.startswith("✓ beta has stopped")


def test_a_broken_project_is_refused_and_the_old_one_goes_on(running: Organization) -> None:
    before = daemon_of(running)
    running.write({"orgloop.yaml": PROJECT.replace("actor: agent}", "actor: agnt}")})
    for words in (["start"], ["restart"]):
        said = running.command(*words, check=False)
        assert said.returncode == 1
        assert "agnt" in said.stderr
    assert daemon_of(running) == before
    assert running.post("hook", {"type": "work"})[0] == 200


def test_a_variable_that_only_the_daemon_lacks_is_told_once(running: Organization) -> None:
    running.write(
        {"orgloop.yaml": PROJECT + MORE.replace("actor: agent", 'actor: agent, config: {note: "${NEW}"}')}
    )
    running.environ["NEW"] = "2"
    said = running.command("start", check=False)
    assert said.returncode == 1
    assert said.stderr.count("NEW is not set in the environment of the running daemon") == 1
    assert said.stderr.count("orgloop restart") == 1
    failure = json.loads(running.command("start", "--json", check=False).stdout)["error"]
    assert [(one["code"], one["severity"]) for one in failure["findings"]] == [("missing-variable", "error")]


def test_a_project_file_that_was_lost_takes_nothing_away(running: Organization) -> None:
    running.write({"orgloop.yaml": "# nothing\n"})
    said = running.command("start", check=False)
    assert said.returncode == 1
    assert "orgloop.yaml is empty" in said.stderr
    assert running.post("hook", {"type": "work"})[0] == 200


def test_the_last_route_goes_only_if_that_is_said(running: Organization) -> None:
    running.write({"orgloop.yaml": PROJECT.partition("routes:")[0]})
    said = running.command("start", check=False)
    assert said.returncode == 1
    assert "the files have no routes any more, and 1 route would go; nothing was applied" in said.stderr
    assert "--yes" in said.stderr
    assert len(json.loads(running.command("status", "--json").stdout)["routes"]) == 1
    assert "Applied: 0 added, 0 changed, 1 removed." in running.command("start", "--yes").stdout
    assert "Applied: 0 added, 0 changed, 0 removed." in running.command("start").stdout


def test_another_project_is_refused_with_how_to_run_both(running: Organization, tmp_path: Path) -> None:
    info = daemon_of(running)
    other = Organization(root=tmp_path / "other", home=running.home)
    other.root.mkdir()
    other.write(FILES | {"orgloop.yaml": PROJECT.replace("acme", "other")})
    for words in (["start"], ["start", "--daemon"]):
        said = other.command(*words, check=False)
        assert said.returncode == 1
        assert f"runs the project acme in {running.root}" in said.stderr
        assert "ORGLOOP_HOME=~/.orgloop-other" in said.stderr
    for words in (["stop"], ["stop", "--force"], ["shutdown"], ["restart"]):
        said = other.command(*words, check=False)
        assert said.returncode == 1
        assert f"the project in {other.root} is another one" in said.stderr
    assert daemon_of(running) == info
    assert other.command("stop", "--config", str(running.root)).returncode == 0
    assert is_gone(info.pid)


def test_a_variable_that_only_another_terminal_lacks_needs_nobody(acme: Organization) -> None:
    acme.write({"orgloop.yaml": PROJECT.replace("config: {}", 'config: {secret: "${HOOK_SECRET}"}')})
    acme.environ["HOOK_SECRET"] = "hush"
    acme.command("start", "--daemon")
    del acme.environ["HOOK_SECRET"]
    assert json.loads(acme.command("status", "--json").stdout)["attention"] == []
    acme.write({"orgloop.yaml": PROJECT.replace("config: {}", 'config: {secret: "${OTHER_SECRET}"}')})
    (item,) = json.loads(acme.command("status", "--json").stdout)["attention"]
    assert item["message"] == "the files have 1 error: the variable OTHER_SECRET is not set"


# --- what keeps it from starting ------------------------------------------------------------------


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


def test_the_environment_says_how_large_a_request_may_be(running: Organization, acme: Organization) -> None:
    large = {"type": "work", "text": "x" * 1_500_000}
    assert running.post("hook", large)[0] == 200
    assert running.post("hook", large | {"more": large["text"]})[0] == 413
    acme.environ["ORGLOOP_BODY_LIMIT"] = "lots"
    said = acme.command("start", "--daemon", check=False)
    assert said.returncode == 1
    assert "ORGLOOP_BODY_LIMIT is 'lots', not a size" in said.stderr


def test_a_log_that_cannot_be_written_is_told(acme: Organization) -> None:
    (acme.home.logs / "daemon.log").mkdir(parents=True)
    said = acme.command("start", "--daemon", check=False)
    assert (said.returncode, "cannot be used: Is a directory" in said.stderr) == (1, True)


async def test_whoever_holds_the_journal_is_named(acme: Organization) -> None:
    journal = await open_journal(acme.home.path, project="acme", clock=lambda: 0, holder="a long backup")
    try:
        said = acme.command("start", "--daemon", check=False)
        stopped = acme.command("stop", check=False)
    finally:
        await journal.close()
    assert (said.returncode, "in use by a long backup" in said.stderr) == (1, True)
    assert "its journal is in use by a long backup" in stopped.stdout
