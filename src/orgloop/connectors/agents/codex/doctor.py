"""Whether the CLI is there, new enough and logged in: asked in the very environment that a run gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from orgloop.connectors.agents import program
from orgloop.connectors.agents.codex.settings import CodexSettings
from orgloop.connectors.agents.result import last_line
from orgloop.plugin import CheckResult, CheckStatus, Context

INSTALL: Final = "npm install -g @openai/codex"

TESTED: Final = (0, 171, 0)
"""The oldest version that was seen to work."""

_login_is: Final = partial(CheckResult, name="login")


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Three questions that cost nothing: where it works, which version it is, who is logged in."""
    if not isinstance(settings, CodexSettings):
        return []
    environment = settings.child(ctx.environment, settings.passed)
    places = await program.check_places(settings, environment)
    cli = await program.check_version(settings.binary, environment, verified=(TESTED,), install=INSTALL)
    if cli.status in (CheckStatus.MISSING, CheckStatus.ERROR):
        return [*places, cli]
    return [*places, cli, await _login(settings.binary, environment)]


async def _login(binary: str, environment: Mapping[str, str]) -> CheckResult:
    if environment.get("CODEX_API_KEY"):
        return _login_is(status=CheckStatus.OK, detail="the API key of CODEX_API_KEY; runs bill that account")
    try:
        path = await program.find(binary, environment) or binary
        answer = await program.ask([path, "login", "status"], environment, "/")
    except OSError as exc:
        return _login_is(status=CheckStatus.ERROR, detail=exc.strerror or str(exc), hint=INSTALL)
    words = last_line(answer.stderr) or last_line(answer.stdout)
    if answer.status == 0:
        return _login_is(status=CheckStatus.OK, detail=words)
    return _login_is(
        status=CheckStatus.WARNING,
        detail=f"{words or 'not logged in'}; only a provider with a key of its own needs no login",
        hint="type `codex login`, or set CODEX_API_KEY",
    )
