"""What doctor says about Claude Code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.claude_code import connector
from orgloop.connectors.agents.claude_code.settings import ClaudeCodeSettings
from orgloop.connectors.agents.hooks import HookSettings
from orgloop.plugin import CheckResult, CheckStatus
from tests.connectors.doubles import FakeContext, as_context

LOGGED_IN = (
    '{"loggedIn": true, "authMethod": "claude.ai", "email": "me@example.com", "subscriptionType": "max"}'
)


def cli(
    folder: Path, version: str = "2.1.240 (Claude Code)", login: str = LOGGED_IN, status: int = 0
) -> None:
    """A program that answers as the CLI does, and tells its environment when it is asked who is logged in."""
    script = folder / "claude"
    script.write_text(
        f"""#!/bin/sh
case "$*" in
  --version) echo '{version}'; exit {status};;
  'auth status') echo '{login}'; env > "{folder}/seen"; exit {status};;
esac
exit 9
"""
    )
    script.chmod(0o755)


async def check(
    tmp_path: Path, config: dict[str, Any] | None = None, **environment: str
) -> dict[str, CheckResult]:
    settings = ClaudeCodeSettings.model_validate({"cwd": str(tmp_path), **(config or {})})
    ctx = FakeContext(environment={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment})
    assert connector.setup.check is not None
    return {found.name: found for found in await connector.setup.check(settings, as_context(ctx))}


async def test_a_cli_that_is_ready_says_who_is_logged_in(tmp_path: Path) -> None:
    cli(tmp_path)
    found = await check(tmp_path)
    assert [result.status for result in found.values()] == [CheckStatus.OK] * 3
    assert found["cli"].detail == f"{tmp_path}/claude is 2.1.240, verified with 2.1.197 to 2.1.332"
    assert (found["login"].identity, found["login"].detail) == ("me@example.com", "a claude.ai login (max)")


async def test_the_cli_is_asked_in_the_environment_of_a_run(tmp_path: Path) -> None:
    cli(tmp_path)
    environment = {"ANTHROPIC_API_KEY": "k", "GITHUB_TOKEN": "g", "CLAUDECODE": "1", "DEPLOY": "d"}
    await check(tmp_path, {"env": {"OWN": "o"}, "env_pass": ["DEPLOY"]}, **environment)
    seen = set((tmp_path / "seen").read_text().splitlines())
    assert {"ANTHROPIC_API_KEY=k", "OWN=o", "DEPLOY=d", "CLAUDE_CODE_DISABLE_ATTACHMENTS=1"} <= seen
    assert not any(line.startswith(("GITHUB_TOKEN", "CLAUDECODE=")) for line in seen)


async def test_a_cli_that_is_missing_says_how_to_install_it(tmp_path: Path) -> None:
    found = await check(tmp_path, {"binary": "claude-that-nobody-has"})
    assert found["cli"].status is CheckStatus.MISSING
    assert found["cli"].hint == "npm install -g @anthropic-ai/claude-code"
    assert "login" not in found


async def test_a_placeholder_is_no_cli(tmp_path: Path) -> None:
    (tmp_path / "claude").write_bytes(b"\x00\x01")
    (tmp_path / "claude").chmod(0o755)
    found = await check(tmp_path)
    assert found["cli"].status is CheckStatus.ERROR
    assert "cannot be run: Exec format error" in found["cli"].detail
    assert "login" not in found


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        ("2.1.196 (Claude Code)", 0, CheckStatus.WARNING),
        ("1.0.300", 0, CheckStatus.WARNING),
        ("2.1.197", 0, CheckStatus.OK),
        ("2.1.332", 0, CheckStatus.OK),
        ("10.0.0", 0, CheckStatus.WARNING),
        ("something else", 0, CheckStatus.ERROR),
        ("2.1.240", 3, CheckStatus.ERROR),
    ],
)
async def test_a_version_that_was_not_verified_is_a_warning(
    tmp_path: Path, said: str, status: int, expected: CheckStatus
) -> None:
    cli(tmp_path, version=said, status=status)
    assert (await check(tmp_path))["cli"].status is expected


@pytest.mark.parametrize(("said", "expected"), [("2.1.331", CheckStatus.ERROR), ("2.1.332", CheckStatus.OK)])
async def test_a_restricted_run_needs_a_version_that_can_restrict_it(
    tmp_path: Path, said: str, expected: CheckStatus
) -> None:
    cli(tmp_path, version=said)
    assert (await check(tmp_path, {"sandbox": "restricted"}))["cli"].status is expected


@pytest.mark.parametrize(
    ("login", "status", "detail"),
    [
        ('{"loggedIn": false, "authMethod": "none"}', CheckStatus.MISSING, "would not be logged in"),
        ("error: unknown command", CheckStatus.WARNING, "does not report"),
        ('{"loggedIn": true, "authMethod": "api_key", "apiKeySource": "X"}', CheckStatus.OK, "API key of X"),
        ('{"loggedIn": true, "authMethod": "oauth_token"}', CheckStatus.OK, "a token of the environment"),
        (
            '{"loggedIn": true, "authMethod": "third_party", "apiProvider": "bedrock"}',
            CheckStatus.OK,
            "bedrock",
        ),
        ('{"loggedIn": true}', CheckStatus.OK, "logged in"),
    ],
)
async def test_doctor_tells_which_login_a_run_would_use(
    tmp_path: Path, login: str, status: CheckStatus, detail: str
) -> None:
    cli(tmp_path, login=login)
    found = (await check(tmp_path))["login"]
    assert found.status is status
    assert detail in found.detail


async def test_a_directory_that_is_missing_does_not_hide_the_rest(tmp_path: Path) -> None:
    cli(tmp_path)
    found = await check(tmp_path, {"cwd": str(tmp_path / "nowhere")})
    assert found["cwd"].status is CheckStatus.MISSING
    assert found["login"].status is CheckStatus.OK


@pytest.mark.parametrize(
    ("user", "environment", "expected"),
    [
        (0, {}, CheckStatus.ERROR),
        (0, {"IS_SANDBOX": "1"}, CheckStatus.WARNING),
        (1000, {}, CheckStatus.WARNING),
    ],
)
async def test_bypassing_permissions_never_goes_without_a_word(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    environment: dict[str, str],
    expected: CheckStatus,
) -> None:
    cli(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = await check(tmp_path, {"permission_mode": "bypassPermissions"}, **environment)
    assert found["permissions"].status is expected


async def test_a_source_has_nothing_to_check(tmp_path: Path) -> None:
    assert connector.setup.check is not None
    assert list(await connector.setup.check(HookSettings(), as_context(FakeContext()))) == []
