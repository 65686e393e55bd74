"""Asks a gateway whether it takes our requests, without waking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from orgloop.connectors.agents.openclaw.answers import document_of
from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.connectors.webhook.answers import status_line
from orgloop.connectors.webhook.urls import origin
from orgloop.plugin import CheckResult, CheckStatus, Context, HttpFailed

SECONDS: Final = 4.0

_gateway: Final = partial(CheckResult, name="gateway")


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """One request without a message: a gateway looks at its token, then refuses it."""
    if not isinstance(settings, OpenClawSettings):
        return []
    where = origin(settings.base_url)
    headers = {"Content-Type": "application/json"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value().strip()}"
    try:
        reply = await ctx.http.request(
            "POST", settings.url(settings.hook), headers=headers, body=b"{}", timeout=SECONDS, max_bytes=4096
        )
    except HttpFailed as exc:
        hint = "start it: openclaw gateway; or correct `base_url`. Wakes wait for it"
        return [_gateway(status=CheckStatus.WARNING, detail=exc.reason, hint=hint)]
    match reply.status:
        case 400 if (document_of(reply) or {}).get("ok") is False:
            return [_gateway(status=CheckStatus.OK, detail=f"{where} accepts the token")]
        case 401 | 403:
            hint = "set `token` to the gateway's `hooks.token`"
            return [_gateway(status=CheckStatus.ERROR, detail=f"{where} refuses the token", hint=hint)]
        case 404:
            hint = "set `hooks.enabled: true` in the gateway's configuration, or correct `path`"
            return [
                _gateway(
                    status=CheckStatus.ERROR, detail=f"{where} has no hooks at {settings.path}", hint=hint
                )
            ]
        case 429:
            hint = "correct `token`, and try again in a minute"
            return [_gateway(status=CheckStatus.WARNING, detail=f"{where}: {status_line(reply)}", hint=hint)]
        case 502 | 503 | 504:
            hint = "try again once it is up; wakes wait for it"
            return [_gateway(status=CheckStatus.WARNING, detail=f"{where}: {status_line(reply)}", hint=hint)]
        case _:
            hint = "correct `base_url`"
            detail = f"{where} does not answer as an OpenClaw gateway: {status_line(reply)}"
            return [_gateway(status=CheckStatus.ERROR, detail=detail, hint=hint)]
