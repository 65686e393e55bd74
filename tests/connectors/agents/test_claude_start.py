"""What Claude Code is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from orgloop.connectors.agents.claude_code import connector
from orgloop.connectors.agents.claude_code.actor import PROMPT_LIMIT, ClaudeCodeActor
from orgloop.connectors.agents.claude_code.settings import SCHEDULING, ClaudeCodeSettings
from orgloop.core.runs.environment import child_environment
from orgloop.errors import Refused
from orgloop.plugin import Completion, ExitInfo, RunSpec, Supervised, WakeSession
from tests.connectors.doubles import FakeContext, as_context, wake

RUN = "run_0000000000000001"


def settings(config: dict[str, Any] | None = None, **context: Any) -> ClaudeCodeSettings:
    return ClaudeCodeSettings.model_validate(config or {}, context=context)


def start(own: dict[str, Any] | None = None, session: WakeSession | None = None, **woken: Any) -> RunSpec:
    actor = ClaudeCodeActor("engineer", settings({"cwd": "/", **(own or {})}))
    return actor.start(wake(**{"prompt": "Review.", "run_id": RUN, **woken}), session)


def after(argv: Any, option: str) -> str:
    return str(argv[list(argv).index(option) + 1])


def test_the_connector_is_an_agent_with_runs_and_a_source() -> None:
    assert connector.actor is not None
    assert connector.source is not None
    assert connector.actor.has_runs
    assert connector.actor.wakes_agent
    actor = connector.actor.open("engineer", settings(dict(connector.actor.scaffold)))
    assert isinstance(actor, Supervised)
    assert actor.harness == "claude-code"


def test_the_prompt_is_on_standard_input_and_nowhere_else() -> None:
    spec = start(prompt="Review `rm -rf` $HOME.")
    assert spec.argv[:5] == ["claude", "-p", "--output-format", "stream-json", "--verbose"]
    assert spec.stdin == "Review `rm -rf` $HOME."
    assert not any("Review" in word for word in spec.argv)


def test_a_prompt_is_never_a_command_of_the_cli() -> None:
    assert start(prompt="/cost").stdin == "\n/cost"
    assert start(prompt=" /cost").stdin == " /cost"


@pytest.mark.parametrize("prompt", ["", " \n", "x" * (PROMPT_LIMIT + 1), "ä" * (PROMPT_LIMIT // 2 + 1)])
def test_a_prompt_that_the_cli_would_not_take_is_refused(prompt: str) -> None:
    with pytest.raises(Refused):
        start(prompt=prompt)


def test_a_new_session_has_an_id_of_ours_that_belongs_to_the_run() -> None:
    for session in (None, WakeSession(key="pr:7")):
        spec = start(session=session)
        assert after(spec.argv, "--session-id") == spec.session_id
        assert str(UUID(spec.session_id)) == spec.session_id
        assert "--resume" not in spec.argv
    assert start().session_id == start().session_id
    assert start().session_id != start(run_id="run_0000000000000002").session_id


def test_a_restricted_run_says_so_and_does_not_bypass_permissions() -> None:
    assert "--restricted" in start({"sandbox": "restricted"}).argv
    assert "--restricted" not in start().argv
    with pytest.raises(ValidationError, match="bypassPermissions"):
        settings({"sandbox": "restricted", "permission_mode": "bypassPermissions"})
    for rule in ("Bash(git *)", "WebFetch"):
        found = settings({"sandbox": "restricted", "allowed_tools": ["Edit", rule]}).warnings()
        assert rule in found["allowed_tools"]
    assert "allowed_tools" not in settings({"sandbox": "restricted", "allowed_tools": ["Edit"]}).warnings()


def test_a_known_session_is_resumed() -> None:
    known = WakeSession(key="pr:7", id="0c8b9f20-dc7e-457f-83c9-52ebfd27e696")
    spec = start(session=known)
    assert after(spec.argv, "--resume") == spec.session_id == known.id
    assert "--session-id" not in spec.argv
    assert spec.env["ORGLOOP_SESSION_KEY"] == "pr:7"
    assert spec.take_over == ["claude", "--resume", known.id]


def test_every_setting_reaches_the_cli() -> None:
    config = {
        "permission_mode": "acceptEdits",
        "model": "opus",
        "fallback_model": "sonnet, haiku",
        "max_turns": 30,
        "max_budget_usd": 0.0000005,
        "append_system_prompt": "-- be brief",
        "allowed_tools": ["Edit", "Bash(git log, --all)"],
        "disallowed_tools": "WebFetch, Bash(rm *)",
    }
    spec = start({**config, "timeout": "5m", "env": {"A": "b"}, "env_pass": ["DEPLOY_KEY"]})
    options = " ".join(spec.argv[7:])
    assert options == (
        "--permission-mode acceptEdits --model opus --fallback-model sonnet,haiku --max-turns 30 "
        "--max-budget-usd 0.0000005 "
        "--append-system-prompt -- be brief --allowedTools Edit Bash(git log, --all) "
        "--disallowedTools WebFetch Bash(rm *) CronCreate ScheduleWakeup RemoteTrigger"
    )
    assert "CronCreate" not in start({"scheduling": True}).argv
    assert spec.env["A"] == "b"
    assert "DEPLOY_KEY" in spec.env_pass
    assert (spec.limits.start_s, spec.limits.silence_s, spec.limits.total_s) == (120, 900, 300)
    assert start().argv[7:] == ["--permission-mode", "default", "--disallowedTools", *SCHEDULING]


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        ("Edit, Bash(git log, x),Read", ("Edit", "Bash(git log, x)", "Read")),
        (["Edit", " Read "], ("Edit", "Read")),
        ("Bash(a(b,c),d)", ("Bash(a(b,c),d)",)),
        ("", ()),
    ],
)
def test_rules_are_a_list_or_one_line(written: Any, rules: tuple[str, ...]) -> None:
    assert settings({"allowed_tools": written}).allowed_tools == rules


def test_the_projects_budget_holds_unless_the_actor_has_its_own() -> None:
    assert settings({}, run_usd=5.0).max_budget_usd == 5.0
    assert settings({"max_budget_usd": None}, run_usd=5.0).max_budget_usd == 5.0
    assert settings({"max_budget_usd": 2}, run_usd=5.0).max_budget_usd == 2
    assert settings({}, run_usd=None).max_budget_usd is None
    assert settings({}).max_budget_usd is None


def test_the_binary_is_a_name_or_a_path_of_the_project(tmp_path: Path) -> None:
    assert settings({"binary": "claude-next"}, project=tmp_path).binary == "claude-next"
    assert settings({"binary": "bin/claude"}, project=tmp_path).binary == str(tmp_path / "bin/claude")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"permission_mode": "manual"}, "acceptEdits"),
        ({"max_budget_usd": 0}, "greater than 0"),
        ({"max_budget_usd": True}, "must be a number"),
        ({"max_budget_usd": float("inf")}, "finite"),
        ({"max_turns": 0}, "greater than or equal to 1"),
        ({"max_turns": True}, "must be a number"),
        ({"model": "--dangerous"}, "must be a name"),
        ({"model": " "}, "must be a name"),
        ({"binary": "-p"}, "must be a name"),
        ({"allowed_tools": ["--dangerous"]}, "must be rules"),
        ({"disallowed_tools": [""]}, "must be rules"),
        ({"append_system_prompt": "x\0"}, "NUL"),
        ({"hook_type": "post-exit"}, "Extra inputs"),
    ],
)
def test_what_the_cli_would_refuse_is_refused_at_once(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(config)


def test_a_run_gets_the_login_and_no_variable_of_a_session_around_it() -> None:
    spec = start()
    environment = {
        "PATH": "/bin",
        "ANTHROPIC_API_KEY": "k",
        "https_proxy": "p",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_SESSION_ID": "s",
        "AWS_SECRET_ACCESS_KEY": "deploy",
        "GITHUB_TOKEN": "g",
    }
    assert child_environment(environment, spec.env_pass, spec.env) == {
        "PATH": "/bin",
        "ANTHROPIC_API_KEY": "k",
        "https_proxy": "p",
        "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
        "ORGLOOP_CONFIG": "{}",
    }


@pytest.mark.parametrize(
    ("config", "environment", "passed"),
    [
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "1"}, True),
        ({"env": {"CLAUDE_CODE_USE_BEDROCK": 1}}, {}, True),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "0"}, False),
        ({}, {"CLAUDE_CODE_USE_VERTEX": "1"}, False),
        ({}, {}, False),
    ],
)
async def test_a_clouds_keys_go_along_only_where_it_is_used(
    config: dict[str, Any], environment: dict[str, str], passed: bool
) -> None:
    actor = ClaudeCodeActor("engineer", settings({"cwd": "/", **config}))
    await actor.open(as_context(FakeContext(environment=environment)))
    spec = actor.start(wake(prompt="Review.", run_id=RUN), None)
    assert ("AWS_SECRET_ACCESS_KEY" in spec.env_pass) is passed
    assert ("CLAUDE_CODE_USE_BEDROCK" in spec.env_pass) is passed


async def test_a_person_takes_a_session_over_where_the_cli_keeps_it() -> None:
    environment = {"CLAUDE_CONFIG_DIR": "/srv/claude"}
    actor = ClaudeCodeActor("engineer", settings({"cwd": "/"}))
    await actor.open(as_context(FakeContext(environment={**environment, "PATH": "/nowhere"})))
    spec = actor.start(wake(prompt="Review.", run_id=RUN), None)
    assert spec.take_over[:3] == ["env", "CLAUDE_CONFIG_DIR=/srv/claude", "claude"]


def test_env_may_lift_what_every_run_gets() -> None:
    spec = start({"env": {"CLAUDE_CODE_DISABLE_ATTACHMENTS": "0"}})
    assert spec.env["CLAUDE_CODE_DISABLE_ATTACHMENTS"] == "0"


def test_a_setting_in_the_routes_config_is_refused() -> None:
    with pytest.raises(Refused, match=r"`then\.config\.model` has no effect"):
        start(config={"session_key": "pr:7", "model": "opus"})


def cli(place: Path, version: str) -> Path:
    """A CLI that tells this version, and writes down that it was asked."""
    path = place / f"claude-{version}"
    path.write_text(f"#!/bin/sh\necho asked >> {place}/asked\necho '{version} (Claude Code)'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "fresh", "told"),
    [
        ("2.1.197", False, False),
        ("2.1.285", False, True),
        ("2.1.332", True, False),
        ("nonsense", False, False),
    ],
)
async def test_a_changed_system_prompt_reaches_a_session_that_goes_on_or_it_is_told(
    tmp_path: Path, version: str, fresh: bool, told: bool
) -> None:
    settings = ClaudeCodeSettings.model_validate(
        {"binary": str(cli(tmp_path, version)), "cwd": str(tmp_path), "append_system_prompt": "Be brief."}
    )
    actor, again = (ClaudeCodeActor("engineer", settings) for _ in range(2))
    for one in (actor, again):
        await one.open(as_context(FakeContext(environment={"PATH": "/usr/bin:/bin"})))
    assert (tmp_path / "asked").read_text() == "asked\n", "it is asked once"
    known = WakeSession(key="k", id="0c8b9f20-dc7e-457f-83c9-52ebfd27e696")
    argv = actor.start(wake(prompt="Go.", session=known), known).argv
    assert ("--system-prompt-snapshot" in argv) is fresh
    line = '{"type":"result","subtype":"success","is_error":false}'
    ends = [
        actor.finish(ExitInfo(status=0, stopped=None, stdout=line, stderr="", duration_s=1, resumed=resumed))
        for resumed in (False, True)
    ]
    assert ["notes" in end.details for end in ends if isinstance(end, Completion)] == [False, told]


async def test_a_cli_that_does_not_tell_its_version_in_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.connectors.agents.program.ASK", 0.05)
    path = tmp_path / "claude"
    path.write_text("#!/bin/sh\nexec sleep 1000\n")
    path.chmod(0o755)
    settings = ClaudeCodeSettings.model_validate({"binary": str(path), "cwd": str(tmp_path)})
    await ClaudeCodeActor("engineer", settings).open(
        as_context(FakeContext(environment={"PATH": "/usr/bin:/bin"}))
    )
