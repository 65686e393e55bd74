"""`install-service` and `service`: the files, and what systemd and launchd are told. None is really told."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from orgloop.daemon import service_manager
from orgloop.daemon.service_files import (
    Service,
    home_of_agent,
    home_of_unit,
    label_of,
    launchd_agent,
    name_of,
    root_of_agent,
    root_of_unit,
    systemd_unit,
)
from orgloop.project.home import DaemonInfo
from tests.cli.conftest import Orgloop
from tests.cli.story import a_few, tell, write_project

SERVICE = Service(
    name="orgloop",
    project="acme",
    file=Path("/srv/acme/orgloop.yaml"),
    home=Path("/home/mona/.orgloop"),
    variables={"PATH": "/opt/bin:/usr/bin"},
    python="/opt/venv/bin/python",
)
ODD = replace(
    SERVICE,
    project="100% acme",
    file=Path("/srv/my $org/orgloop.yaml"),
    home=Path('/home/mo "na"/50%'),
    variables={"PATH": "/opt/my bin:/usr/bin"},
)


def settings(unit: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{name}=")]


def test_a_unit_runs_this_python_with_whole_paths() -> None:
    unit = systemd_unit(SERVICE)
    assert settings(unit, "ExecStart") == [
        "/opt/venv/bin/python -m orgloop start --quiet --config /srv/acme/orgloop.yaml"
    ]
    assert settings(unit, "WorkingDirectory") == ["/srv/acme"]
    assert settings(unit, "Environment") == ["ORGLOOP_HOME=/home/mona/.orgloop", "PATH=/opt/bin:/usr/bin"]


def test_a_unit_and_its_agents_end_apart_and_a_crash_starts_it_again() -> None:
    unit = systemd_unit(SERVICE)
    assert settings(unit, "KillMode") == ["process"]
    assert settings(unit, "OOMPolicy") == ["continue"]
    assert settings(unit, "Restart") == ["on-failure"]
    assert settings(unit, "WantedBy") == ["default.target"]


def test_odd_names_are_written_so_that_systemd_reads_them_back() -> None:
    unit = systemd_unit(ODD)
    assert settings(unit, "Description") == ["OrgLoop: 100%% acme"]
    assert settings(unit, "ExecStart")[0].endswith(' --config "/srv/my $$org/orgloop.yaml"')
    assert settings(unit, "Environment") == [
        r'"ORGLOOP_HOME=/home/mo \"na\"/50%%"',
        '"PATH=/opt/my bin:/usr/bin"',
    ]
    assert home_of_unit(unit.encode()) == '/home/mo "na"/50%'
    assert root_of_unit(unit.encode()) == "/srv/my $org"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("service", [SERVICE, ODD], ids=["plain", "odd"])
def test_systemd_finds_nothing_wrong_with_a_unit(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It looks whether the program is there.
    here = replace(service, python=sys.executable, file=tmp_path / service.file.name)
    path = tmp_path / "orgloop.service"
    path.write_text(systemd_unit(here))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("service", [SERVICE, ODD], ids=["plain", "odd"])
def test_a_launchd_agent_runs_the_same(service: Service) -> None:
    content = launchd_agent(service)
    agent = plistlib.loads(content)
    assert agent["Label"] == "com.orgloop.daemon"
    assert agent["ProgramArguments"] == service.command
    assert agent["EnvironmentVariables"] == {"ORGLOOP_HOME": str(service.home), **service.variables}
    assert (agent["AbandonProcessGroup"], agent["RunAtLoad"]) == (True, True)
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert home_of_agent(content) == str(service.home)
    assert root_of_agent(content) == str(service.file.parent)


@pytest.mark.parametrize("name", ["orgloop", "orgloop-acme", "orgloop-my-org"])
def test_a_label_means_one_service(name: str) -> None:
    assert name_of(label_of(name)) == name


@pytest.mark.parametrize("content", [b"", b"[Unit]\n", b"\xff\xfe", plistlib.dumps({"Label": "com.acme"})])
def test_what_somebody_else_wrote_is_nobodys(content: bytes) -> None:
    assert home_of_unit(content) is None
    assert home_of_agent(content) is None


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def acme(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; units lie in a folder of this test."""
    write_project(place)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("USER", "mona")
    return place


class Manager:
    """Stands in for systemctl and launchctl: remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.told.append(" ".join(command))
        code, text = next(
            (answer for word, answer in self.answers.items() if word in command), (0, "enabled")
        )
        return subprocess.CompletedProcess(command, code, text, text if code else "")


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    told = Manager()
    monkeypatch.setattr(service_manager, "_run", told)
    return told


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return tmp_path / "config/systemd/user/orgloop-acme.service"


def test_install_writes_a_unit_and_shows_it(
    acme: Path, home: Path, unit: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    said = orgloop("install-service")
    assert said.code == 0
    text = unit.read_text()
    assert all(f"  │ {line}".rstrip() in said.out for line in text.splitlines())
    assert "orgloop service start " in said.out
    assert "loginctl enable-linger " in said.out
    assert settings(text, "ExecStart")[0].endswith(f"--config {acme / 'orgloop.yaml'}")
    assert home_of_unit(unit.read_bytes()) == str(home)
    assert orgloop("install-service").out.splitlines()[0].endswith("was so already")
    assert orgloop("install-service", "--json").json == {
        "platform": "systemd",
        "config": str(unit),
        "name": "orgloop-acme",
        "changed": False,
    }


def test_the_home_everybody_has_gets_the_plain_name(
    acme: Path, tmp_path: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGLOOP_HOME", str(tmp_path / ".orgloop"))
    assert orgloop("install-service", "--json").json["name"] == "orgloop"


@pytest.mark.parametrize("option", ["--print", "--dry-run"])
def test_print_writes_nothing(option: str, acme: Path, unit: Path, orgloop: Orgloop) -> None:
    said = orgloop("install-service", option)
    assert said.out.startswith("# Written by")
    assert not unit.exists()
    agent = orgloop("install-service", option, "--launchd").out
    assert plistlib.loads(agent.encode())["Label"] == "com.orgloop.daemon.acme"


def test_a_foreign_file_is_never_replaced(acme: Path, unit: Path, orgloop: Orgloop) -> None:
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    said = orgloop("install-service")
    assert (said.code, "was not written by" in said.err) == (1, True)
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"


def test_another_homes_file_is_never_replaced(
    acme: Path, unit: Path, tmp_path: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orgloop("install-service")
    before = unit.read_text()
    monkeypatch.setenv("ORGLOOP_HOME", str(tmp_path / "other"))
    said = orgloop("install-service")
    assert (said.code, "running" in said.err) == (1, True)
    assert unit.read_text() == before


def test_a_changed_file_of_our_own_is_replaced(
    acme: Path, unit: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orgloop("install-service")
    monkeypatch.setenv("ORGLOOP_PORT", "4812")
    assert orgloop("install-service", "--json").json["changed"] is True
    assert "Environment=ORGLOOP_PORT=4812\n" in unit.read_text()


def test_a_variable_that_only_this_terminal_has_is_refused(
    acme: Path, unit: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (acme / ".env").write_text("NOTIFY_URL=http://127.0.0.1:9/notify\n")
    monkeypatch.setenv("HOOK_SECRET", "hush")
    said = orgloop("install-service")
    assert said.code == 1
    assert "HOOK_SECRET is set in this terminal only" in said.err
    assert ".env" in said.err
    assert "hush" not in said.err
    assert not unit.exists()


def test_a_variable_that_an_agent_would_go_without_is_told(
    place: Path, tmp_path: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (place / "orgloop.yaml").write_text(
        "metadata: {name: acme}\n"
        "sources: [{id: hook, connector: webhook}]\n"
        "actors:\n"
        "  - {id: a, connector: process, config: {command: [x], env_pass: [GH_TOKEN, NPM_TOKEN, LANG]}}\n"
        "routes: [{name: work, when: {source: hook, events: ['*']}, then: {actor: a}}]\n"
    )
    (place / ".env").write_text("NPM_TOKEN=hush\n")
    for name in ("GH_TOKEN", "NPM_TOKEN", "LANG"):
        monkeypatch.setenv(name, "hush")
    said = orgloop("install-service", "--systemd")
    assert said.code == 0
    told = [line for line in said.err.splitlines() if "set in this terminal only" in line]
    assert told == ["! GH_TOKEN is set in this terminal only: the service does not get it"]
    assert "hush" not in said.out + said.err


def test_a_project_with_errors_is_not_installed(acme: Path, unit: Path, orgloop: Orgloop) -> None:
    (acme / "orgloop.yaml").write_text("nonsense: true\n")
    assert orgloop("install-service").code == 1
    assert not unit.exists()


def test_start_makes_it_begin_with_the_machine(acme: Path, orgloop: Orgloop, manager: Manager) -> None:
    orgloop("install-service")
    said = orgloop("service", "start")
    assert (said.code, said.out.splitlines()[0]) == (
        0,
        "✓ orgloop-acme is started, and starts at each boot",
    )
    assert manager.told == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now orgloop-acme.service",
    ]


def test_stop_and_uninstall(acme: Path, unit: Path, orgloop: Orgloop, manager: Manager) -> None:
    orgloop("install-service")
    assert orgloop("service", "stop").code == 0
    assert orgloop("service", "uninstall", "--json").json["name"] == "orgloop-acme"
    assert manager.told == [
        "systemctl --user stop orgloop-acme.service",
        "systemctl --user disable --now orgloop-acme.service",
    ]
    assert not unit.exists()


def test_status_says_how_it_is(acme: Path, unit: Path, orgloop: Orgloop, manager: Manager) -> None:
    orgloop("install-service")
    manager.answers = {"is-active": (0, "active\n"), "is-enabled": (1, "disabled\n")}
    said = orgloop("service", "status", "--json").json
    assert (said["installed"], said["active"], said["enabled"], said["config"]) == (
        True,
        True,
        False,
        str(unit),
    )
    assert "runs, does not start at boot: active, disabled" in orgloop("service", "status").out


@pytest.mark.parametrize("verb", ["start", "stop", "uninstall"])
def test_without_a_file_there_is_nothing_to_tell(
    verb: str, acme: Path, orgloop: Orgloop, manager: Manager
) -> None:
    said = orgloop("service", verb)
    assert (said.code, "orgloop install-service" in said.err, manager.told) == (1, True, [])
    assert orgloop("service", "status", "--json").json == {"installed": False, "running": False}


def test_what_the_manager_complains_of_is_passed_on(acme: Path, orgloop: Orgloop, manager: Manager) -> None:
    orgloop("install-service")
    manager.answers = {"daemon-reload": (1, "Failed to connect to bus")}
    said = orgloop("service", "start")
    assert said.code == 1
    assert "systemd says: Failed to connect to bus" in said.err
    assert "orgloop start --daemon --supervised" in said.err


def test_a_system_without_systemctl_is_told_what_works_instead(
    acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orgloop("install-service")
    monkeypatch.setenv("PATH", "/nowhere")
    said = orgloop("service", "start")
    assert said.code == 1
    assert "there is no systemctl on this system" in said.err
    assert "orgloop start --daemon --supervised" in said.err


def test_on_macos_launchd_is_told(
    acme: Path, tmp_path: Path, orgloop: Orgloop, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert orgloop("install-service").code == 0
    agent = tmp_path / "Library/LaunchAgents/com.orgloop.daemon.acme.plist"
    manager.answers = {"print": (113, "Could not find service")}
    assert orgloop("service", "start").code == 0
    assert manager.told[-1].startswith("launchctl bootstrap gui/")
    assert manager.told[-1].endswith(str(agent))
    manager.answers = {"print": (0, "state = running")}
    assert orgloop("service", "status", "--json").json["active"] is True
    assert orgloop("service", "uninstall").code == 0
    assert "launchctl bootout gui/" in manager.told[-1]
    assert not agent.exists()


@pytest.fixture
def running(acme: Path, monkeypatch: pytest.MonkeyPatch) -> DaemonInfo:
    """A daemon serves the home, so it seems."""
    info = DaemonInfo(pid=4711, started_at=1, port=4800, project="acme", root=str(acme), version="0.1.0")
    for module in ("orgloop.project.home", "orgloop.operations.ownership"):
        monkeypatch.setattr(f"{module}.running_daemon", lambda _: info)
    return info


def test_a_daemon_that_was_started_by_hand_goes_first(
    running: DaemonInfo, orgloop: Orgloop, manager: Manager
) -> None:
    orgloop("install-service")
    manager.answers = {"is-active": (3, "inactive\n")}
    said = orgloop("service", "start")
    assert (said.code, "runs already (pid 4711)" in said.err) == (1, True)
    assert not any("enable" in words.split() for words in manager.told)


def test_restart_leaves_it_to_whoever_keeps_it_running(
    running: DaemonInfo, orgloop: Orgloop, manager: Manager
) -> None:
    orgloop("install-service")
    manager.answers = {"is-active": (0, "active\n")}
    said = orgloop("restart")
    assert (said.code, said.out) == (0, "✓ orgloop-acme is restarted by systemd\n")
    assert [words.split()[2] for words in manager.told] == [
        "is-active",
        "is-enabled",
        "stop",
        "daemon-reload",
        "enable",
    ]


@pytest.mark.parametrize("verb", ["start", "stop", "uninstall"])
def test_the_service_of_another_project_is_left_alone(
    verb: str,
    acme: Path,
    unit: Path,
    orgloop: Orgloop,
    manager: Manager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orgloop("install-service")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    write_project(other)
    said = orgloop("service", verb)
    assert said.code == 1
    assert f"orgloop-acme keeps the project in {acme} running; the project in {other} is" in said.err
    assert (manager.told, unit.exists()) == ([], True)
    assert orgloop("service", verb, "--config", str(acme)).code == 0


def test_a_service_does_not_start_on_the_unfinished_work_of_another_project(
    acme: Path, home: Path, orgloop: Orgloop, manager: Manager, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    write_project(before)
    tell(home, partial(a_few, root=before))
    orgloop("install-service")
    said = orgloop("service", "start")
    assert said.code == 1
    assert f"last ran acme in {before}, which has work that is not finished: 1 held, 1 pending" in said.err
    assert manager.told == []


def test_logs_are_the_daemons_own(acme: Path, home: Path, orgloop: Orgloop) -> None:
    assert "nothing is in" in orgloop("service", "logs").out
    (home / "logs").mkdir()
    (home / "logs/daemon.log").write_text("".join(f"line {n}\n" for n in range(60)))
    assert orgloop("service", "logs", "-n", "2").out == "line 58\nline 59\n"
    assert len(orgloop("service", "logs", "--json").json["lines"]) == 50


def test_both_systems_at_once_cannot_be_meant(acme: Path, orgloop: Orgloop) -> None:
    assert orgloop("install-service", "--systemd", "--launchd").code == 1
