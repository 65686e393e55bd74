"""What `doctor` asks GitHub: who is logged in, what they may do, and how much of the limit is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orgloop.connectors.github.api import Api, Response, api_of, app_of
from orgloop.connectors.github.app_login import AppLogin
from orgloop.connectors.github.lists import Lists
from orgloop.connectors.github.polling.hook_log import hook_path, hooks_root, leads_to
from orgloop.connectors.github.polling.owner import owned
from orgloop.connectors.github.settings import ApiSettings, GithubSettings
from orgloop.connectors.github.writing.tasks import GithubActorSettings
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Context,
    PluginError,
    TryLater,
    integer_at,
    object_at,
    text_at,
)


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Reads only. The signature of webhooks, then what a poll or an actor needs."""
    if isinstance(settings, GithubActorSettings):
        return await _logged_in(settings, ctx, (settings.repo,) if settings.repo else (), _writable)
    if not isinstance(settings, GithubSettings):
        return []
    signature = [_signature(settings)] if settings.secret is not None or not settings.polls else []
    asks = settings.polls or (settings.has_login and settings.enrich)
    found = [*signature, *(await _logged_in(settings, ctx, settings.repo, _repository) if asks else [])]
    if settings.polls and settings.secret is not None and all(one.status is CheckStatus.OK for one in found):
        api = api_of(settings, ctx)
        found += [await _webhook(repo, api, hook_path(ctx.id)) for repo in settings.repo]
    return found


async def _webhook(repo: str, api: Api, path: str) -> CheckResult:
    """Whether the repository, or organization, has a webhook that leads here, and its log can be read."""
    name = f"webhook of {repo}"
    try:
        hooks = await Lists(api).whole(f"{hooks_root(repo)}/hooks", pages=1)
    except (PluginError, TryLater):
        detail = "its log cannot be read: deliveries that are lost are not asked for again"
        hint = "give the token access to webhooks (read and write; `admin:repo_hook` of a classic one)"
        return CheckResult(name=name, status=CheckStatus.WARNING, detail=detail, hint=hint)
    if any(leads_to(hook, path) for hook in hooks):
        return CheckResult(name=name, status=CheckStatus.OK, detail="lost deliveries are asked for again")
    hint = f"add a webhook whose address ends with {path}, or remove `secret` to poll only"
    return CheckResult(
        name=name, status=CheckStatus.WARNING, detail="there is none that leads here", hint=hint
    )


def _signature(settings: GithubSettings) -> CheckResult:
    if settings.secret is not None:
        return CheckResult(name="signature", status=CheckStatus.OK, detail="deliveries are verified")
    return CheckResult(
        name="signature",
        status=CheckStatus.WARNING,
        detail="no secret: deliveries are not verified, and only this machine can send them",
        hint="set `secret` here and in the webhook's settings on GitHub",
    )


async def _logged_in(
    settings: ApiSettings, ctx: Context, repos: Sequence[str], read: Any
) -> list[CheckResult]:
    api = api_of(settings, ctx)
    app = app_of(settings, ctx)
    found = [await (_asked("login", api, "/user", _login) if app is None else _app(app))]
    if found[0].status is CheckStatus.ERROR:
        return found
    found.append(await _asked("rate limit", api, "/rate_limit", _limit))
    for repo in repos:
        owner, _, name = repo.partition("/")
        found.append(
            await (_owner(repo, api, owner) if name == "*" else _asked(repo, api, f"/repos/{repo}", read))
        )
    return found


async def _app(login: AppLogin) -> CheckResult:
    """An app has no user: its key says who it is, and then gets a token."""
    try:
        app = await login.app()
        await login.value()
    except TryLater as exc:
        hint = "wait until it is over, and lengthen `poll.interval`"
        return CheckResult(name="login", status=CheckStatus.WARNING, detail=exc.reason, hint=hint)
    except PluginError as exc:
        return CheckResult(name="login", status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)
    granted = object_at(app, "permissions")
    detail = ", ".join(f"{name}: {granted[name]}" for name in sorted(granted)) or "no permissions"
    who = f"@{text_at(app, 'slug')}[bot]"
    return CheckResult(name="login", status=CheckStatus.OK, detail=detail[:500], identity=who)


async def _owner(repo: str, api: Api, owner: str) -> CheckResult:
    """How many repositories `owner/*` is."""
    try:
        count = len(await owned(api, owner))
    except TryLater as exc:
        return CheckResult(name=repo, status=CheckStatus.WARNING, detail=exc.reason)
    except PluginError as exc:
        return CheckResult(name=repo, status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)
    return CheckResult(name=repo, status=CheckStatus.OK, detail=f"repositories: {count}")


async def _asked(name: str, api: Api, path: str, read: Any) -> CheckResult:
    try:
        result: CheckResult = read(name, await api.get(path))
    except TryLater as exc:
        wait = "wait until it is over, and lengthen `poll.interval`"
        return CheckResult(name=name, status=CheckStatus.WARNING, detail=exc.reason, hint=wait)
    except PluginError as exc:
        return CheckResult(name=name, status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)
    return result


def _login(name: str, answer: Response) -> CheckResult:
    login = text_at(answer.data, "login") if isinstance(answer.data, dict) else ""
    scopes = answer.headers.get("x-oauth-scopes", "").strip()
    detail = f"scopes: {scopes}" if scopes else "a token with permissions of its own"
    return CheckResult(name=name, status=CheckStatus.OK, detail=detail, identity=f"@{login}")


def _limit(name: str, answer: Response) -> CheckResult:
    core = object_at(answer.data, "resources", "core") if isinstance(answer.data, dict) else {}
    left, most = integer_at(core, "remaining"), integer_at(core, "limit")
    if left is None or most is None:
        return CheckResult(name=name, status=CheckStatus.OK, detail="no limit is told")
    status = CheckStatus.OK if left * 10 >= most else CheckStatus.WARNING
    hint = "" if status is CheckStatus.OK else "lengthen `poll.interval`, or use a token of its own"
    return CheckResult(
        name=name, status=status, detail=f"{left} of {most} requests are left in this hour", hint=hint
    )


def _repository(name: str, answer: Response) -> CheckResult:
    private = isinstance(answer.data, dict) and answer.data.get("private") is True
    return CheckResult(name=name, status=CheckStatus.OK, detail="private" if private else "public")


def _writable(name: str, answer: Response) -> CheckResult:
    """A token that lists its scopes also tells what its owner may do; others are tried by writing only."""
    found = _repository(name, answer)
    may = object_at(answer.data, "permissions") if isinstance(answer.data, dict) else {}
    if may.get("push") is not False:
        return found
    hint = "comments work; for labels, reviews that count and workflows, ask for write access"
    return CheckResult(name=name, status=CheckStatus.WARNING, detail="may be read only", hint=hint)
