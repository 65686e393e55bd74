"""`orgloop doctor`: the doctor's findings in a terminal, as data, and as an exit code."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orgloop.cli.exits import Exit
from tests.cli.conftest import Orgloop


@pytest.fixture
def project(orgloop: Orgloop, place: Path) -> Path:
    orgloop("init", "--no-interactive")
    return place


def test_a_fresh_project_is_well(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("doctor")
    assert (said.code, said.err) == (Exit.OK, "")
    assert "✓ acme can run here" in said.out
    assert all(heading in said.out for heading in ("Installed", "Home", "Daemon", "Files", "Services"))


def test_a_variable_that_is_not_set_is_as_wrong_as_for_start(orgloop: Orgloop, project: Path) -> None:
    orgloop("add", "source", "github")
    assert orgloop("start").code == Exit.FAILED
    said = orgloop("doctor")
    assert said.code == Exit.DIFFERENT
    assert "acme cannot run as it is" in said.err
    assert "✗ GITHUB_WEBHOOK_SECRET  not set" in said.out
    assert "https://docs.github.com/" in said.out
    assert "$ openssl rand -hex 32" in said.out
    assert "· github  not checked: one of its variables is not set" in said.out
    assert "deliveries are verified" not in said.out


def test_what_is_wrong_is_an_error(orgloop: Orgloop, project: Path) -> None:
    with socket.create_server(("127.0.0.1", int(os.environ["ORGLOOP_PORT"]))):
        said = orgloop("doctor")
    assert said.code == Exit.DIFFERENT
    assert "is taken by another program" in said.out
    assert "cannot run as it is" in said.err


def test_pipes_in_the_place_of_files_are_told(orgloop: Orgloop, project: Path) -> None:
    """Whoever opened one would wait for whoever writes into it."""
    os.mkfifo(project / "worker", 0o700)
    assert orgloop("add", "actor", "a", "--connector", "process", "--set", "command=[./worker]").code == 0
    said = orgloop("doctor")
    assert "worker that can be run" in said.out
    (project / "orgloop.yaml").unlink()
    os.mkfifo(project / "orgloop.yaml")
    for command in ("doctor", "validate", "status"):
        said = orgloop(command)
        assert (command, said.code) == (command, {"doctor": 2, "validate": 1, "status": 0}[command])
        assert command == "status" or "orgloop.yaml cannot be read: it is a pipe" in said.out


def test_it_is_data_as_well(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("doctor", "--json")
    assert said.code == Exit.OK
    assert (said.json["status"], said.json["project"]) == ("ok", "acme")
    assert {check["category"] for check in said.json["checks"]} == {
        "dependency",
        "home",
        "daemon",
        "config",
        "service",
    }
    assert all(set(check) >= {"category", "name", "status", "detail"} for check in said.json["checks"])


def test_a_wrong_port_is_told_as_such(
    orgloop: Orgloop, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGLOOP_PORT", "many")
    said = orgloop("doctor")
    assert said.code == Exit.FAILED
    assert "ORGLOOP_PORT is 'many', not a port" in said.err
