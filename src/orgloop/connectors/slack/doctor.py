"""What `doctor` asks Slack: who the app is, which scopes it lacks, and whether Socket Mode lets it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from orgloop.connectors.slack.api import SlackAnswer
from orgloop.connectors.slack.events import text
from orgloop.connectors.slack.settings import SlackActorSettings, SlackSettings, Workspace, api_of
from orgloop.plugin import CheckResult, CheckStatus, Context, PluginError, TryLater

POSTS: Final = {"chat:write": "posts messages"}
ASKS: Final = {"users:read": "says who a person is; without it, `trust: team` holds all events"}


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Reads only. An address of Socket Mode is asked for and not used; an incoming webhook is not called."""
    if not isinstance(settings, Workspace):
        return []
    found: list[CheckResult] = []
    if settings.bot_token is not None:
        api = api_of(settings, settings.bot_token, "bot_token", ctx)
        needed = POSTS if isinstance(settings, SlackActorSettings) else ASKS
        found += await _asked("login", lambda: api.call("auth.test"), lambda answer: _login(answer, needed))
    if isinstance(settings, SlackSettings):
        door = api_of(settings, settings.app_token, "app_token", ctx)
        found += await _asked("socket mode", lambda: door.call("apps.connections.open"), _door)
    if isinstance(settings, SlackActorSettings) and settings.webhook_url is not None:
        detail = "not called: a message would be posted"
        found.append(CheckResult(name="incoming webhook", status=CheckStatus.OK, detail=detail))
    return found


async def _asked(
    name: str, ask: Callable[[], Awaitable[SlackAnswer]], say: Callable[[SlackAnswer], list[CheckResult]]
) -> list[CheckResult]:
    try:
        return say(await ask())
    except TryLater as exc:
        hint = "wait a minute"
        return [CheckResult(name=name, status=CheckStatus.WARNING, detail=exc.reason, hint=hint)]
    except PluginError as exc:
        return [CheckResult(name=name, status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)]


def _login(answer: SlackAnswer, needed: dict[str, str]) -> list[CheckResult]:
    detail = f"of the workspace {text(answer.data, 'team')}"
    who = text(answer.data, "user")
    found = [CheckResult(name="login", status=CheckStatus.OK, detail=detail, identity=who)]
    for scope, what in needed.items():
        if answer.scopes and scope not in answer.scopes:
            found.append(
                CheckResult(
                    name="scopes",
                    status=CheckStatus.WARNING,
                    detail=f"the app lacks the scope {scope}, which {what}",
                    hint="add it under OAuth & Permissions of the app, and install the app again",
                )
            )
    return found


def _door(_: SlackAnswer) -> list[CheckResult]:
    return [CheckResult(name="socket mode", status=CheckStatus.OK, detail="Slack lets the app in")]
