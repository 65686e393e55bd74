"""What all actors with runs can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.connectors.agents.settings import KEY_LIMIT, RunSettings
from orgloop.errors import Refused
from orgloop.plugin import RunLimitsSpec, WakeSession
from orgloop.plugin.variables import ARGUMENT_LIMIT
from tests.connectors.doubles import wake


def settings(config: dict[str, Any], **context: Any) -> RunSettings:
    return RunSettings.model_validate(config, context=context)


def test_a_run_works_in_the_project_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "actors"
    (folder / "near").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    places = {"base": folder, "project": tmp_path}
    assert settings({}, **places).directory == str(tmp_path)
    assert settings({"cwd": None}, **places).directory == str(tmp_path)
    assert settings({"cwd": "near"}, **places).directory == str(folder / "near")
    assert settings({"cwd": "far"}, **places).directory == str(tmp_path / "far")
    assert settings({"cwd": "/"}, **places).directory == "/"


def test_two_names_of_one_directory_are_one_directory(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "link").symlink_to("app")
    for name in ("app", "link", "app/../link/."):
        assert settings({"cwd": name}, project=tmp_path).directory == str(tmp_path / "app")


def test_limits_are_durations_and_null_lifts_them() -> None:
    config = {"timeout": None, "start_timeout": "90s", "silence_timeout": "1500ms", "grace": "2s"}
    limits = settings({**config, "max_output": "1KB"}).limits
    assert limits == RunLimitsSpec(start_s=90, silence_s=1.5, total_s=None, output_bytes=1024, grace_s=2)
    assert settings({}).limits.total_s == 3600


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"timeout": 90}, "must have a unit"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"grace": None}, "valid integer"),
        ({"env": {"ORGLOOP_RUN_ID": "x"}}, "set by OrgLoop"),
        ({"env": {"A B": "x"}}, "not the name of a variable"),
        ({"env": {"A": "x\0y"}}, "NUL"),
        ({"env": {"A": "x" * (ARGUMENT_LIMIT + 1)}}, "bytes"),
        ({"env": {"A": None}}, "valid string"),
        ({"env_pass": ["1A"]}, "not the name of a variable"),
        ({"env_pass": "A"}, "tuple"),
        ({"max_output": "0B"}, "greater than 0"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused_at_once(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(config)


def test_variables_are_text_and_never_print() -> None:
    found = settings({"env": {"PORT": 8080, "DEBUG": True, "RATIO": 0.5, "TOKEN": "s3cret"}})
    assert found.variables == {"PORT": "8080", "DEBUG": "true", "RATIO": "0.5", "TOKEN": "s3cret"}
    assert "s3cret" not in f"{found!r} {found} {found.model_dump_json()}"


def test_a_child_gets_the_allow_list_what_is_passed_and_what_is_set() -> None:
    environment = {"PATH": "/bin", "TOKEN": "t", "OTHER": "o", "CLAUDECODE": "1", "ORGLOOP_HOME": "/h"}
    found = settings({"env": {"SET": "s", "PATH": "/own"}})
    assert found.child(environment, ("TOKEN", "MISSING")) == {
        "PATH": "/own",
        "TOKEN": "t",
        "ORGLOOP_HOME": "/h",
        "SET": "s",
    }


def test_a_wake_gives_the_routes_config_and_the_session_key() -> None:
    woken = wake(config={"session_key": "pr:7", "label": "ä"})
    found = settings({"env": {"SET": "s"}})
    assert found.for_wake(woken, WakeSession(key="pr:7")) == {
        "SET": "s",
        "ORGLOOP_CONFIG": '{"session_key":"pr:7","label":"ä"}',
        "ORGLOOP_SESSION_KEY": "pr:7",
    }
    assert found.for_wake(wake(), None) == {"SET": "s", "ORGLOOP_CONFIG": "{}"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"timeout": "5m"}, "`then.config.timeout` has no effect"),
        ({"x": "y" * ARGUMENT_LIMIT}, "longer than"),
    ],
)
def test_a_routes_config_that_cannot_be_honoured_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        settings({}).for_wake(wake(config=config), None)


@pytest.mark.parametrize("key", ["a\0b", "x" * 100_000, "a" * KEY_LIMIT + "\0", "line\nline", "…"])
def test_any_session_key_can_be_a_variable(key: str) -> None:
    made = settings({"cwd": "/"}).for_wake(wake(), WakeSession(key=key))["ORGLOOP_SESSION_KEY"]
    assert "\0" not in made
    assert len(made) <= KEY_LIMIT + 20
    other = settings({"cwd": "/"}).for_wake(wake(), WakeSession(key=key + "!"))["ORGLOOP_SESSION_KEY"]
    assert made != other
