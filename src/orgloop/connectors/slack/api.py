"""Slack's Web API: one call, its answer, and what each refusal means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from orgloop.plugin import (
    MINUTE,
    SECOND,
    Clock,
    Http,
    HttpFailed,
    HttpReply,
    NotJson,
    PluginError,
    TryLater,
    dump_json,
    load_json,
)

URL: Final = "https://slack.com/api"
SECONDS: Final = 20.0
MOST_BYTES: Final = 4 * 1024 * 1024
LONGEST_LIMIT: Final = 3_600
LIMIT: Final = "rate limit of Slack's API"

_LOGIN: Final = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "not_allowed_token_type",
        "not_authed",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
_AGAIN: Final = frozenset(
    {"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"}
)
_CODE: Final = re.compile(r"[a-z0-9_:.-]{1,100}")

Body = Mapping[str, Any]


class SlackRefused(PluginError):
    """Slack understood the call and will not do it. `code` is Slack's word for why."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class SlackDenied(PluginError):
    """Slack does not take the token."""


class SlackUnreachable(PluginError):
    """Nothing was sent."""


class SlackUnsure(PluginError):
    """No answer came, or one that says nothing. Slack may have done it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackAnswer:
    """What Slack says. `scopes` are those of the token, where Slack tells them."""

    data: Body
    scopes: frozenset[str]


class SlackApi:
    """Calls Slack with one token. Whatever Slack refuses is an error that says what to do, or `TryLater`."""

    def __init__(self, url: str, token: str, origin: str, clock: Clock, http: Http) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._origin = origin
        self._clock = clock
        self._http = http
        self._blocked: dict[str, int] = {}

    async def call(self, method: str, arguments: Body | None = None, seconds: float = SECONDS) -> SlackAnswer:
        """The answer to a call such as `chat.postMessage`. Raises PluginError, or TryLater for a limit."""
        if self._clock.now() < self._blocked.get(method, 0):
            raise TryLater(self._blocked[method], LIMIT)
        # Not every method takes JSON; all take a form, in which lists and maps are JSON.
        form = {key: _form_value(value) for key, value in (arguments or {}).items()}
        reply = await self._sent(method, urlencode(form).encode(), seconds)
        if reply.status == 429:
            self._blocked[method] = (
                self._clock.now() + _seconds(reply.headers.get("retry-after", "")) * SECOND
            )
            raise TryLater(self._blocked[method], LIMIT)
        data = _read(reply)
        if data.get("ok") is not True:
            raise self._error(method, str(data.get("error", "")), data)
        scopes = reply.headers.get("x-oauth-scopes", "")[:10_000]
        return SlackAnswer(
            data=data, scopes=frozenset(part.strip() for part in scopes.split(",") if part.strip())
        )

    async def _sent(self, method: str, body: bytes, seconds: float) -> HttpReply:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "orgloop",
        }
        try:
            return await self._http.request(
                "POST",
                f"{self._url}/{method}",
                headers=headers,
                body=body,
                timeout=seconds,
                max_bytes=MOST_BYTES,
            )
        except HttpFailed as exc:
            kind = SlackUnsure if exc.sent else SlackUnreachable
            raise kind(f"Slack cannot be reached: {exc.reason}") from exc

    def _error(self, method: str, code: str, data: Body) -> PluginError | TryLater:
        code = code if _CODE.fullmatch(code) else "unknown_error"
        if code in ("ratelimited", "rate_limited"):
            self._blocked[method] = self._clock.now() + MINUTE
            return TryLater(self._blocked[method], LIMIT)
        if code in _LOGIN:
            return SlackDenied(
                f"Slack does not take {self._origin} ({code})",
                hint="copy the token again from https://api.slack.com/apps, and put it into .env",
            )
        if code == "missing_scope":
            needed = str(data.get("needed", ""))[:200]
            scope = needed if needed.isprintable() else ""
            return SlackRefused(
                f"{method} needs the scope {scope}, which {self._origin} lacks",
                code=code,
                hint="add it under OAuth & Permissions of the app, and install the app again",
            )
        if code in _AGAIN:
            return SlackUnsure(f"Slack could not do {method}: {code}")
        return SlackRefused(f"Slack refuses {method}: {code}", code=code, hint=HINTS.get(code, ""))


HINTS: Final[Mapping[str, str]] = {
    "channel_not_found": "check `channel`; invite the app into a private channel: /invite @NAME",
    "not_in_channel": "invite the app into the channel: /invite @NAME",
    "is_archived": "choose another `channel`: this one is archived",
    "users_not_found": "check the address in `channel`: nobody in the workspace has it",
    "cant_update_message": "an app can only change its own messages",
    "message_not_found": "check `update`: it is the time of a message, such as {{ payload.message }}",
}
"""What to do, by Slack's word for why not."""


def _read(reply: HttpReply) -> dict[str, Any]:
    """The answer's map. Raises SlackUnsure if it is none."""
    try:
        data = load_json(reply.body) if reply.status == 200 and not reply.truncated else None
    except NotJson:
        data = None
    if not isinstance(data, dict):
        raise SlackUnsure(f"Slack answered {reply.status} without a result")
    return data


def _form_value(value: object) -> str:
    return value if isinstance(value, str) else dump_json(value).decode()


def _seconds(value: str) -> int:
    """Of `Retry-After`, at most an hour."""
    told = int(value[:9]) if value.isascii() and value.isdigit() else 30
    return min(max(told, 1), LONGEST_LIMIT)
