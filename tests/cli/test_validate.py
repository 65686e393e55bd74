"""`orgloop validate`, `env` and `schema`: what they say of sound and of broken projects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orgloop.cli.exits import Exit
from tests.cli.conftest import Orgloop

SOUND = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
sources:
  - {id: hook, connector: webhook}
actors:
  - {id: worker, connector: process, config: {command: [cat]}}
routes:
  - name: one
    when: {source: hook, events: ["*"]}
    then: {actor: worker}
"""

BROKEN = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
sources:
  - {id: hook, connector: webhok}
actors:
  - {id: worker, connector: process, config: {comand: [cat]}}
  - {id: idle, connector: process, config: {command: [cat]}}
routes:
  - name: one
    when: {source: hook, events: ["*"]}
    then: {actor: wroker}
    with: {prompt_file: missing.md}
"""


def test_a_sound_project_is_told_to_be_sound(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(SOUND)
    said = orgloop("validate")
    assert (said.code, said.err) == (Exit.OK, "")
    assert "acme is valid: 1 source, 1 actor, 1 route" in said.out


def test_all_problems_are_told_at_once_with_their_place(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(BROKEN)
    said = orgloop("validate")
    assert said.code == Exit.FAILED
    for line, code, word in [
        (5, "unknown-connector", "webhook"),
        (7, "unknown-key", "command"),
        (8, "unreachable-actor", "idle"),
        (12, "unknown-actor", "worker"),
        (13, "missing-sop", "missing.md"),
    ]:
        found = [text for text in said.out.split("\n") if f"orgloop.yaml:{line}:" in text]
        assert any(code in text for text in found), code
        assert word in said.out
    assert "4 errors" in said.err


def test_problems_are_data_as_well(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(BROKEN)
    said = orgloop("validate", "--json")
    assert said.code == Exit.FAILED
    assert said.json["errors"] == sum(one["severity"] == "error" for one in said.json["findings"])
    assert said.json["warnings"] == sum(one["severity"] == "warning" for one in said.json["findings"]) > 0
    first = said.json["findings"][0]
    assert set(first) == {"severity", "code", "message", "hint", "file", "line", "column", "path"}
    assert (first["code"], first["line"], first["column"]) == ("unknown-connector", 5, 27)


def test_warnings_do_not_count(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(
        SOUND.replace("routes:", "  - {id: idle, connector: process, config: {command: [cat]}}\nroutes:")
    )
    said = orgloop("validate")
    assert said.code == Exit.OK
    assert "unreachable-actor" in said.out
    assert "2 warnings" in said.out  # the two actors share a work tree, too


def test_places_are_written_so_that_they_can_be_opened_from_here(
    orgloop: Orgloop, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "orgloop.yaml").write_text(BROKEN)
    (place / "deep/below").mkdir(parents=True)
    monkeypatch.chdir(place / "deep/below")
    assert f"{place.parent.name}" not in orgloop("validate").out.split("orgloop.yaml")[0].replace(
        "~/acme/", ""
    )
    assert "~/acme/orgloop.yaml:5:" in orgloop("validate").out


def test_the_project_is_looked_for_upwards(
    orgloop: Orgloop, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "orgloop.yaml").write_text(SOUND)
    (place / "deep/below").mkdir(parents=True)
    monkeypatch.chdir(place / "deep/below")
    assert orgloop("validate").code == Exit.OK


@pytest.mark.parametrize("option", ["proj", "proj/orgloop.yaml", "proj/other.yaml"])
def test_config_names_a_directory_or_a_file(option: str, orgloop: Orgloop, place: Path) -> None:
    (place / "proj").mkdir()
    for name in ("orgloop.yaml", "other.yaml"):
        (place / "proj" / name).write_text(SOUND)
    assert orgloop("--config", option, "validate").code == Exit.OK
    assert orgloop("validate", "-c", option).code == Exit.OK


@pytest.mark.parametrize("command", ["validate", "env", "routes", "plan", "doctor"])
def test_without_a_project_it_says_how_to_get_one(command: str, orgloop: Orgloop) -> None:
    said = orgloop(command)
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert "orgloop init" in said.err
    assert "--config" in said.err


def test_a_named_project_that_is_not_there_is_an_error(orgloop: Orgloop) -> None:
    said = orgloop("validate", "--config", "nowhere/orgloop.yaml", "--json")
    assert said.code == Exit.FAILED
    assert [one["code"] for one in said.json["findings"]] == ["no-project"]


WITH_VARIABLES = SOUND.replace(
    "{id: hook, connector: webhook}",
    '{id: hook, connector: webhook, config: {secret: "${WEBHOOK_SECRET}"}}\n'
    '  - {id: gh, connector: github, config: {secret: "${GITHUB_WEBHOOK_SECRET:-s}"}}\n',
)


def test_variables_are_listed_with_what_they_are_for(
    orgloop: Orgloop, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "orgloop.yaml").write_text(WITH_VARIABLES)
    said = orgloop("env")
    assert said.code == Exit.FAILED, "a script that goes on without it would be wrong"
    assert "WEBHOOK_SECRET  missing  orgloop.yaml:5:" in said.out
    assert "$ openssl rand -hex 32" in said.out
    assert "GITHUB_WEBHOOK_SECRET  not set; its default is used" in said.out

    (place / ".env").write_text("WEBHOOK_SECRET=hush\n")
    assert "WEBHOOK_SECRET  set in .env" in orgloop("env").out
    monkeypatch.setenv("WEBHOOK_SECRET", "hush-hush")
    said = orgloop("env")
    assert "WEBHOOK_SECRET  set in the environment" in said.out
    assert "hush" not in said.out + said.err


def test_variables_are_data_as_well(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(WITH_VARIABLES)
    said = orgloop("env", "--json").json
    assert (said["set"], said["missing"]) == (0, 1)
    assert said["variables"]["WEBHOOK_SECRET"]["set"] is False
    assert said["variables"]["WEBHOOK_SECRET"]["required"] is True
    assert said["variables"]["WEBHOOK_SECRET"]["source"].startswith("orgloop.yaml:5:")
    assert said["variables"]["GITHUB_WEBHOOK_SECRET"]["required"] is False
    assert said["variables"]["GITHUB_WEBHOOK_SECRET"]["help_url"].startswith("https://")
    assert "WEBHOOK_URL" in said["optional"]


def test_env_fails_while_something_is_missing(orgloop: Orgloop, place: Path) -> None:
    ways = (["env"], ["env", "list"], ["env", "check"], ["env", "--json"])
    (place / "orgloop.yaml").write_text(WITH_VARIABLES)
    assert [orgloop(*words).code for words in ways] == [Exit.FAILED] * len(ways)
    (place / ".env").write_text("WEBHOOK_SECRET=hush\n")
    assert [orgloop(*words).code for words in ways] == [Exit.OK] * len(ways)
    (place / ".env").write_text("WEBHOOK_SECRET=\n")
    said = orgloop("env", "check")
    assert said.code == Exit.FAILED
    assert "set to nothing" in said.out


def test_a_project_without_variables_says_so(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text(SOUND)
    assert "uses no variables" in orgloop("env").out
    assert orgloop("env", "--json").json["variables"] == {}


def test_the_schema_is_printed_or_written(orgloop: Orgloop, place: Path) -> None:
    printed = orgloop("schema")
    assert printed.code == Exit.OK
    schema = json.loads(printed.out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "permission_mode" in printed.out

    said = orgloop("schema", "--output", "s.json")
    assert said.code == Exit.OK
    assert json.loads((place / "s.json").read_text()) == schema
    assert orgloop("schema", "--output", "no/such/s.json").code == Exit.FAILED
