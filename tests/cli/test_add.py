"""`orgloop add`: one more, and the file stays the writer's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from shlex import split
from textwrap import dedent
from typing import Any

import pytest

from orgloop.cli.exits import Exit
from orgloop.config.reading.yaml import parse
from orgloop.project.packages import connector_package
from tests.cli.conftest import Orgloop
from tests.docs import pages

PROJECT = """\
# Our organization.
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}   # the team

sources:
- id: hook               # from the CI
  connector: webhook

# Who works.
actors:
- {id: worker, connector: process, config: {command: [cat]}}
"""


@pytest.fixture
def project(place: Path) -> Path:
    (place / "orgloop.yaml").write_text(PROJECT)
    return place


def data(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = parse((place / "orgloop.yaml").read_bytes()).data
    return found


ADDED = {
    "source ticks --connector cron": """
        sources:
          - id: ticks
            connector: cron
            config: {schedules: [{name: weekdays-at-nine, cron: 0 9 * * MON-FRI}]}
        """,
    "source claude-code": """
        sources:
          - {id: claude-code, connector: claude-code}
        """,
    "actor chat --connector webhook --set url=https://chat.example/hook": """
        actors:
          - {id: chat, connector: webhook, config: {url: "https://chat.example/hook", method: POST}}
        """,
    "actor agent --connector claude-code --permission-mode plan --set 'allowed_tools=[Read, Grep]'": """
        actors:
          - id: agent
            connector: claude-code
            config: {permission_mode: plan, allowed_tools: [Read, Grep]}
        """,
    "route all": """
        routes:
          - name: all
            when: {source: hook, events: [resource.changed, actor.stopped, message.received]}
            then: {actor: worker}
            with: {prompt_file: sops/all.md}
        """,
    "route failed --source hook --actor worker --events 'build.*, deploy.*' --filter payload.ok=false "
    "--transforms dedup --prompt-file mine.md": """
        routes:
          - name: failed
            when: {source: hook, events: [build.*, deploy.*], filter: {payload.ok: false}}
            transforms: [dedup]
            then: {actor: worker}
            with: {prompt_file: mine.md}
        """,
    "route again --source worker": """
        routes:
          - name: again
            when: {source: worker, events: [actor.stopped]}
            then: {actor: worker}
            with: {prompt_file: sops/again.md}
        """,
    "transform drop-drafts": """
        transforms:
          - {name: drop-drafts, type: script, script: transforms/drop-drafts.sh, on_error: hold}
        """,
    "transform no-bots --type filter --set 'exclude={provenance.author_type: bot}'": """
        transforms:
          - name: no-bots
            type: filter
            config: {exclude: {provenance.author_type: bot}}
            on_error: hold
        """,
    "logger console": """
        loggers:
          - {name: console, type: console}
        """,
    "logger audit --type file --set path=audit.log": """
        loggers:
          - {name: audit, type: file, config: {path: audit.log}}
        """,
}


@pytest.mark.parametrize("command", ADDED)
def test_one_more_is_added_and_the_rest_stays(command: str, orgloop: Orgloop, project: Path) -> None:
    (project / "mine.md").write_text("Do it.\n")
    before = data(project)
    said = orgloop("add", *split(command))
    assert said.code == Exit.OK, said.err
    assert f"added {' '.join(command.split()[:2])} to orgloop.yaml" in said.out
    ((section, items),) = parse(dedent(ADDED[command]).encode()).data.items()
    assert data(project) == before | {section: [*before.get(section, []), *items]}
    assert [line for line in PROJECT.splitlines() if line not in (project / "orgloop.yaml").read_text()] == []
    assert orgloop("validate").code == Exit.OK
    assert [path.name for path in project.iterdir() if path.name.startswith(".orgloop.yaml")] == []


def test_a_script_that_is_added_passes_events_on(orgloop: Orgloop, project: Path) -> None:
    orgloop("add", "transform", "mine")
    orgloop("add", "route", "all", "--transforms", "mine", "--events", "*")
    assert os.access(project / "transforms/mine.sh", os.X_OK)
    event = '{"source": "hook", "provenance": {"platform": "webhook"}, "payload": {"a": 1}}'
    (route,) = orgloop("test", "--json", stdin=event).json["routes"]
    assert [step["result"] for step in route["transforms"]] == ["pass"]


def test_files_that_exist_are_not_overwritten(orgloop: Orgloop, project: Path) -> None:
    (project / "sops").mkdir()
    (project / "sops/all.md").write_text("mine\n")
    said = orgloop("add", "route", "all")
    assert said.code == Exit.OK
    assert (project / "sops/all.md").read_text() == "mine\n"
    for chosen in ("source: ", "events: [", "actor: ", "prompt_file: sops/all.md"):
        assert f"│ {' ' * 4}{chosen}" in said.out, "it says what nobody has named"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["source", "hook", "--connector", "cron"], "the source 'hook' exists already"),
        (["source", "x"], "installed are: claude-code"),
        (["source", "x", "--connector", "process"], "has no source"),
        (["actor", "x", "--connector", "cron"], "has no actor"),
        (["actor", "x", "--connector", "webhook", "--set", "url=7"], "config.url"),
        (["actor", "x", "--connector", "webhook", "--set", "url"], "is not KEY=VALUE"),
        (["actor", "x", "--connector", "webhook", "--set", "url=["], "is not KEY=VALUE"),
        (["route", "x", "--source", "hok"], "did you mean `hook`?"),
        (["route", "x", "--actor", "hook"], "there is no actor 'hook'"),
        (["route", "x", "--filter", "a..b=1"], "bad-filter"),
        (["route", "x", "--transforms", "nope"], "unknown-transform"),
        (["transform", "x", "--type", "fliter"], "'filter'"),
        (["transform", "x", "--type", "dedup", "--set", "windo=5m"], "window"),
        (["logger", "x"], "no logger is called 'x'"),
        (["source", "a/b", "--connector", "cron"], "bad-name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_not_be_sound_is_not_written(
    command: list[str], says: str, orgloop: Orgloop, project: Path
) -> None:
    said = orgloop("add", *command)
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert says in said.err
    assert (project / "orgloop.yaml").read_text() == PROJECT
    assert sorted(path.name for path in project.iterdir()) == ["orgloop.yaml"]


def test_which_one_must_be_said_if_there_are_several(orgloop: Orgloop, project: Path) -> None:
    orgloop("add", "source", "cron")
    said = orgloop("add", "route", "x")
    assert said.code == Exit.FAILED
    assert "there are: hook, cron" in said.err


def test_a_variable_that_is_missing_is_told_and_does_not_hinder(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("add", "source", "github")
    assert said.code == Exit.OK
    assert "GITHUB_WEBHOOK_SECRET is not set" in said.err
    assert "${GITHUB_WEBHOOK_SECRET}" in (project / "orgloop.yaml").read_text()
    assert orgloop("add", "source", "cron").code == Exit.OK, "what was wrong before does not hinder either"


def test_a_project_that_cannot_be_read_is_left_alone(orgloop: Orgloop, project: Path) -> None:
    (project / "orgloop.yaml").write_text("sources: [\n")
    said = orgloop("add", "source", "cron")
    assert said.code == Exit.FAILED
    assert (project / "orgloop.yaml").read_text() == "sources: [\n"


def test_mode_and_link_of_the_file_stay(orgloop: Orgloop, project: Path) -> None:
    real = project / "real.yaml"
    (project / "orgloop.yaml").rename(real)
    real.chmod(0o640)
    (project / "orgloop.yaml").symlink_to(real)
    assert orgloop("add", "source", "cron").code == Exit.OK
    assert (project / "orgloop.yaml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "cron" in real.read_text()


def test_names_in_other_files_count(orgloop: Orgloop, project: Path) -> None:
    (project / "more.yaml").write_text("kind: ConnectorGroup\nsources: [{id: other, connector: webhook}]\n")
    with (project / "orgloop.yaml").open("a") as file:
        file.write("connectors: [more.yaml]\n")
    assert orgloop("add", "source", "other", "--connector", "cron").code == Exit.FAILED
    assert orgloop("add", "route", "r", "--source", "other").code == Exit.OK


def test_it_is_told_in_json_too(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("add", "route", "all", "--json").json
    assert (said["section"], said["entry"]["name"]) == ("routes", "all")
    assert said["created"] == [str(project / "sops/all.md")]


def test_what_is_an_example_is_said_so_that_it_is_replaced(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("add", "actor", "mine", "--connector", "process")
    assert "  in its `config`, replace these example values: `command`\n" in said.out
    assert "replace" not in orgloop("add", "actor", "own", "--connector", "process", "--set", "command=x").out
    assert "replace" not in orgloop("add", "actor", "tell", "--connector", "webhook").out
    assert "`schedules`" in orgloop("add", "source", "cron").out


def test_what_nobody_chose_is_shown_and_what_somebody_said_is_not(orgloop: Orgloop, project: Path) -> None:
    assert (
        "│   permission_mode: acceptEdits" in orgloop("add", "actor", "a", "--connector", "claude-code").out
    )
    said = orgloop("add", "actor", "b", "--connector", "claude-code", "--permission-mode", "plan").out
    assert "│   allowed_tools: " in said
    assert "permission_mode" not in said
    secret = orgloop("add", "actor", "c", "--connector", "webhook", "--set", "url=https://hush.example").out
    assert "hush" not in secret


def test_the_keys_that_can_be_set_are_listed_and_nothing_is_added(orgloop: Orgloop, place: Path) -> None:
    said = orgloop("add", "source", "ticks", "--connector", "cron", "--keys")
    assert (said.code, said.err) == (Exit.OK, "")
    assert "schedules  required  At least one schedule" in said.out
    keys = orgloop("add", "source", "github", "--keys", "--json").json["keys"]
    assert {"secret", "token", "repo", "events", "authors", "team"} <= {one["key"] for one in keys}
    for words in (["actor", "process"], ["logger", "file"], ["transform", "x", "--type", "dedup"]):
        assert orgloop("add", *words, "--keys").code == Exit.OK
    assert list(place.iterdir()) == []


def test_a_key_that_is_not_known_says_how_to_list_those_that_are(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("add", "actor", "mine", "--connector", "process", "--set", "comand=x")
    assert said.code == Exit.FAILED
    assert "--keys" in said.err


def test_the_package_of_a_new_connector_passes_its_tests_as_it_stands(orgloop: Orgloop, place: Path) -> None:
    assert orgloop("add", "connector", "my-tracker", "--package").code == Exit.OK
    package = place / "orgloop-my-tracker"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=package,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(package), "HOME": str(place)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "module", "test"),
    [
        ("x", "orgloop_x", "TestX"),
        ("n-a-m-e", "orgloop_n_a_m_e", "TestNAME"),
        ("a1-2b", "orgloop_a1_2b", "TestA12B"),
        ("module-class", "orgloop_module_class", "TestModuleClass"),
    ],
)
def test_each_name_has_a_package_of_its_own(name: str, module: str, test: str) -> None:
    project, source, tests = connector_package(name).values()
    declared = tomllib.loads(project)["project"]
    assert declared["name"] == f"orgloop-{name}"
    assert declared["entry-points"] == {"orgloop.connectors": {name: f"{module}:connector"}}
    place: dict[str, Any] = {"__name__": module}
    exec(compile(source, f"{module}.py", "exec"), place)
    assert place["connector"].name == name
    assert f"from {module} import connector" in tests
    assert f"class {test}(ConnectorSuite):" in tests


def test_the_page_shows_the_package_as_it_is_written() -> None:
    [toml] = pages.blocks("toml", pages=("docs/connectors/writing.md",))
    module, _, test = pages.blocks("python", pages=("docs/connectors/writing.md",))
    assert [*connector_package("dropbox").values()] == [toml.text, module.text, test.text]


@pytest.mark.parametrize("name", ["My", "-x", "a--b", "a_b", "ü", "x" * 41, "1a", "a/b", ".."])
def test_a_name_that_no_connector_can_have_is_refused(name: str, orgloop: Orgloop, place: Path) -> None:
    said = orgloop("add", "connector", "--package", "--", name)
    assert said.code == Exit.FAILED
    assert "cannot be the name of a connector" in said.err
    assert not [one for one in place.iterdir() if one.name.startswith("orgloop-")]


def test_nothing_is_overwritten_by_a_package(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop-mine").mkdir()
    assert "exists already" in orgloop("add", "connector", "mine", "--package").err
    assert "installed already" in orgloop("add", "connector", "github", "--package").err
    assert "--package" in orgloop("add", "connector", "mine").err
    assert list((place / "orgloop-mine").iterdir()) == []
