"""What `orgloop setup github` does: a webhook in each repository, with the secret, and a ping for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.connectors.github.api import ORIGIN, Api, api_of
from orgloop.connectors.github.credential import Credential
from orgloop.connectors.github.lists import Lists
from orgloop.connectors.github.polling.hook_log import hooks_root
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Context,
    Json,
    PluginError,
    TryLater,
    integer_at,
    object_at,
    text_at,
)

LOOKS: Final = 20
"""How often, a second apart, GitHub is asked what became of the ping."""

GH: Final = ("gh", "auth", "token")


async def install(settings: Any, ctx: Context, address: str | None) -> Sequence[CheckResult]:
    """A webhook for each repository, and each organization (`owner/*`), that the source names.

    What is there already is changed, not doubled.
    """
    if not isinstance(settings, GithubSettings):
        return []
    if settings.secret is None:
        detail = "not needed: the source has no `secret`, and polls only"
        return [CheckResult(name="webhook", status=CheckStatus.OK, detail=detail)]
    if not settings.repo:
        hint = "write `repo: owner/name` into the source, and try again"
        return [_result("webhook", CheckStatus.WARNING, "the source names no repository", hint)]
    if address is None:
        hint = "add --url with the public address of this machine, such as https://hooks.example.com"
        return [
            _result("webhook", CheckStatus.WARNING, "nobody said where GitHub reaches this machine", hint)
        ]
    login = Credential(None, GH, ctx.environment)
    api = api_of(settings, ctx) if settings.has_login else _api(settings, login, ctx)
    secret = settings.secret[0].get_secret_value().strip()
    return [await _webhook(repo, api, address, secret, ctx) for repo in settings.repo]


def _api(settings: GithubSettings, login: Credential, ctx: Context) -> Api:
    return Api(settings.api_url or ORIGIN, login, ctx.clock, ctx.http)


async def _webhook(repo: str, api: Api, address: str, secret: str, ctx: Context) -> CheckResult:
    name = f"webhook of {repo}"
    try:
        hook, done = await _hook(repo, api, address, secret)
        status = await _pinged(f"{hooks_root(repo)}/hooks/{hook}", api, ctx)
    except TryLater as exc:
        return _result(name, CheckStatus.WARNING, exc.reason, "wait until it is over, and try again")
    except PluginError as exc:
        hint = exc.hint or "only an admin can add webhooks; a token needs access to Webhooks"
        return _result(name, CheckStatus.ERROR, exc.message, hint)
    if status is None:
        hint = "look at Recent Deliveries of the webhook, on GitHub"
        return _result(
            name, CheckStatus.WARNING, f"{done}; GitHub does not say what became of its ping", hint
        )
    if not 200 <= status < 300:
        hint = "check that the daemon runs (`orgloop start`), and that the address leads to it"
        return _result(name, CheckStatus.ERROR, f"{done}; a ping got {status or 'no answer'}", hint)
    return _result(name, CheckStatus.OK, f"{done}; a ping arrived")


async def _hook(repo: str, api: Api, address: str, secret: str) -> tuple[int, str]:
    """The webhook's id, and what was done."""
    path = f"{hooks_root(repo)}/hooks"
    config = {"url": address, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
    content = {"active": True, "events": ["*"], "config": config}
    hooks = await Lists(api).whole(path, pages=1)
    known = next((one for one in hooks if _leads_to(one, address)), None)
    if known is not None:
        id = integer_at(known, "id") or 0
        await api.send("PATCH", f"{path}/{id}", content)
        return id, "it was there, and has the secret now"
    made = (await api.send("POST", path, {"name": "web", **content})).data
    new = integer_at(made, "id") if isinstance(made, dict) else None
    if new is None:
        raise PluginError("GitHub did not say which webhook it made", hint="try again: it will be found")
    return new, "it is made"


def _leads_to(hook: Json, address: str) -> bool:
    return text_at(object_at(hook, "config"), "url").rstrip("/") == address.rstrip("/")


async def _pinged(hook: str, api: Api, ctx: Context) -> int | None:
    """How this machine answered a ping; 0 if not at all, None if GitHub does not say it in time."""
    before = {integer_at(one, "id") for one in await _pings(hook, api)}
    await api.send("POST", f"{hook}/pings")
    for _ in range(LOOKS):
        for one in await _pings(hook, api):
            if integer_at(one, "id") not in before:
                return integer_at(one, "status_code") or 0
        await ctx.clock.sleep(1)
    return None


async def _pings(hook: str, api: Api) -> Sequence[Mapping[str, Any]]:
    rows = await Lists(api).whole(f"{hook}/deliveries", pages=1)
    return [one for one in rows if text_at(one, "event") == "ping"]


def _result(name: str, status: CheckStatus, detail: str, hint: str = "") -> CheckResult:
    return CheckResult(name=name, status=status, detail=detail, hint=hint)
