"""What `doctor` asks Linear: who is logged in, how much of the limit is left, whether the team is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orgloop.connectors.linear.api import LinearApi, left
from orgloop.connectors.linear.polling.bodies import nodes
from orgloop.connectors.linear.polling.reader import team_filter
from orgloop.connectors.linear.queries import TEAMS, VIEWER
from orgloop.connectors.linear.settings import Access, LinearSettings, api_of
from orgloop.plugin import CheckResult, CheckStatus, Context, PluginError, TryLater, object_at, text_at


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Reads only. Whether webhooks are verified, then what the API says."""
    if not isinstance(settings, Access):
        return []
    found: list[CheckResult] = []
    if isinstance(settings, LinearSettings) and (settings.secret is not None or not settings.has_key):
        found.append(_signature(settings))
    if settings.has_key:
        found += await _asked(api_of(settings, ctx), settings.team)
    return found


def _signature(settings: LinearSettings) -> CheckResult:
    if settings.secret is not None:
        return CheckResult(name="signature", status=CheckStatus.OK, detail="webhooks are verified")
    return CheckResult(
        name="signature",
        status=CheckStatus.WARNING,
        detail="no secret: webhooks are not verified, and only this machine can send them",
        hint="set `secret` to the signing secret that Linear shows for the webhook",
    )


async def _asked(api: LinearApi, team: str | None) -> list[CheckResult]:
    found: list[CheckResult] = []
    name = "login"
    try:
        answer = await api.ask(VIEWER)
        viewer, workspace = (
            object_at(answer.data, "viewer"),
            text_at(object_at(answer.data, "organization"), "name"),
        )
        kind = "an app" if viewer.get("app") is True else "a user"
        detail = f"{kind} of the workspace {workspace}"
        identity = text_at(viewer, "name")
        found.append(CheckResult(name=name, status=CheckStatus.OK, detail=detail, identity=identity))
        found.append(_limit(left(answer)))
        if team is not None:
            name = "team"
            found.append(_team(team, nodes((await api.ask(TEAMS, filter=team_filter(team))).data, "teams")))
    except TryLater as exc:
        wait = "wait until it is over, and lengthen `poll.interval`"
        found.append(CheckResult(name=name, status=CheckStatus.WARNING, detail=exc.reason, hint=wait))
    except PluginError as exc:
        found.append(CheckResult(name=name, status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint))
    return found


def _limit(told: tuple[int, int] | None) -> CheckResult:
    if told is None:
        return CheckResult(name="rate limit", status=CheckStatus.OK, detail="no limit is told")
    remaining, limit = told
    few = remaining * 10 < limit
    return CheckResult(
        name="rate limit",
        status=CheckStatus.WARNING if few else CheckStatus.OK,
        detail=f"{remaining} of {limit} requests are left in this hour",
        hint="lengthen `poll.interval`, or use a key of its own" if few else "",
    )


def _team(team: str, found: Sequence[Any]) -> CheckResult:
    if found:
        return CheckResult(name="team", status=CheckStatus.OK, detail=text_at(found[0], "name"))
    return CheckResult(
        name="team",
        status=CheckStatus.ERROR,
        detail=f"there is no team {team}, or the key may not see it",
        hint="write the team's key in `team`, such as ENG in ENG-42",
    )
