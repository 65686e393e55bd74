"""Whether the CLI is there, new enough and logged in: asked in the very environment that a run gets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from orgloop.connectors.agents import program
from orgloop.connectors.agents.claude_code.settings import INSTEAD, NO_LIMITS, ClaudeCodeSettings
from orgloop.connectors.agents.json_lines import parse
from orgloop.connectors.agents.result import last_line
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Context,
    Json,
    text_at,
)

INSTALL: Final = "npm install -g @anthropic-ai/claude-code"

TESTED: Final = (2, 1, 197)
"""The oldest version that was seen to work."""

NEWEST: Final = (2, 1, 332)
"""The newest one. It is also the oldest that is known to have `--restricted`."""

_cli: Final = partial(CheckResult, name="cli")
_login_is: Final = partial(CheckResult, name="login")
_allows: Final = partial(CheckResult, name="permissions")

_VERSION: Final = re.compile(r"(?<!\d)(\d+)\.(\d+)\.(\d+)")


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Three questions that cost nothing: where it works, which version it is, who is logged in."""
    if not isinstance(settings, ClaudeCodeSettings):
        return []
    environment = settings.child(ctx.environment, settings.passed(ctx.environment))
    places = await program.check_places(settings, environment)
    directory = places[0]
    results = [*places, *_permissions(settings, environment)]
    path = await program.find(settings.binary, environment)
    if path is None:
        missing = f"there is no program {settings.binary}"
        return [*results, _cli(status=CheckStatus.MISSING, detail=missing, hint=INSTALL)]
    place = settings.directory if directory.status is CheckStatus.OK else "/"
    version = await _version(path, environment, place, restricted=settings.sandbox == "restricted")
    if version.status is CheckStatus.ERROR:
        return [*results, version]
    return [*results, version, await _login(path, environment, place)]


async def _version(
    path: str, environment: Mapping[str, str], directory: str, *, restricted: bool
) -> CheckResult:
    try:
        answer = await program.ask([path, "--version"], environment, directory)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return _cli(status=CheckStatus.ERROR, detail=f"{path} cannot be run: {reason}", hint=INSTALL)
    found = _VERSION.search(answer.stdout)
    if answer.status != 0 or found is None:
        login = last_line(answer.stderr) or last_line(answer.stdout) or "nothing"
        return _cli(
            status=CheckStatus.ERROR,
            detail=f"{path} does not report its version: {login}",
            hint=INSTALL,
        )
    number = tuple(int(group) for group in found.groups())
    if restricted and number < NEWEST:
        return _cli(
            status=CheckStatus.ERROR,
            detail=f"{path} is {found[0]}, and `sandbox: restricted` needs {'.'.join(map(str, NEWEST))}",
            hint="update it: claude update",
        )
    return program.judge_version(path, number, verified=(TESTED, NEWEST), update="claude update")


async def _login(path: str, environment: Mapping[str, str], directory: str) -> CheckResult:
    try:
        answer = await program.ask([path, "auth", "status"], environment, directory)
    except OSError as exc:
        return _login_is(status=CheckStatus.ERROR, detail=exc.strerror or str(exc), hint=INSTALL)
    login = parse(" ".join(answer.stdout.split()))
    if login is None:
        return _login_is(
            status=CheckStatus.WARNING,
            detail="this version does not report who is logged in",
            hint="update it: claude update",
        )
    if login.get("loggedIn") is not True:
        return _login_is(
            status=CheckStatus.MISSING,
            detail="a run of this actor would not be logged in",
            hint="type `claude auth login`, or set CLAUDE_CODE_OAUTH_TOKEN or ANTHROPIC_API_KEY",
        )
    return _login_is(status=CheckStatus.OK, detail=_method(login), identity=text_at(login, "email"))


def _method(login: Json) -> str:
    match text_at(login, "authMethod"):
        case "claude.ai":
            plan = text_at(login, "subscriptionType")
            return f"a claude.ai login{f' ({plan})' if plan else ''}"
        case "api_key":
            key = text_at(login, "apiKeySource") or "ANTHROPIC_API_KEY"
            return f"the API key of {key}; runs bill that account"
        case "oauth_token":
            return "a token of the environment"
        case "api_key_helper":
            return "the API key of apiKeyHelper; runs bill that account"
        case "third_party":
            return f"the cloud {text_at(login, 'apiProvider')}"
        case other:
            return other or "logged in"


def _permissions(settings: ClaudeCodeSettings, environment: Mapping[str, str]) -> list[CheckResult]:
    if settings.permission_mode != "bypassPermissions":
        return []
    if os.geteuid() == 0 and not environment.get("IS_SANDBOX"):
        return [
            _allows(
                status=CheckStatus.ERROR,
                detail="the CLI refuses bypassPermissions to root",
                hint="use another user, or set IS_SANDBOX=1 in `env` if this machine is a sandbox",
            )
        ]
    return [
        _allows(
            status=CheckStatus.WARNING,
            detail=f"bypassPermissions: {NO_LIMITS}",
            hint=INSTEAD,
        )
    ]
