"""Linear's GraphQL API: one question, its answer, and what each refusal means."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from orgloop.plugin import (
    Clock,
    Http,
    HttpFailed,
    HttpReply,
    Json,
    NotJson,
    PluginError,
    TryLater,
    dump_json,
    load_json,
    object_at,
    objects_at,
    text_at,
)

URL: Final = "https://api.linear.app/graphql"
SECONDS: Final = 30.0
"""How long one question may take."""

MOST_BYTES: Final = 16 * 1024 * 1024
IN_THREAD: Final = 128 * 1024
"""Larger answers are read in a thread, not in the event loop."""

SLOW_DOWN: Final = 60
"""Seconds to wait after a limit if Linear names no time; twice as long each time that it comes again."""

LONGEST_LIMIT: Final = 3_600
"""Seconds. Linear's limits are over an hour; a time beyond it is no limit's end."""

LIMIT: Final = "rate limit of Linear's API"

_KINDS: Final = ("endpoint-requests", "requests", "complexity")
"""What Linear limits, as its headers `x-ratelimit-…-remaining` and `-reset` call it."""


class NotThere(PluginError):
    """It is not there, or the key may not see it."""


class Unsure(PluginError):
    """No answer came, but Linear may have got the question. What it asked for may have been done."""


class LinearUnreachable(PluginError):
    """Nothing was sent."""


class Refusal(PluginError):
    """Linear understood the question and will not do it, however often it is asked."""


class LinearDenied(PluginError):
    """Linear does not accept the key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearAnswer:
    """What was asked for. `at` is Linear's time in ms since 1970; `headers` are those of HTTP."""

    data: Json
    at: int
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearCredential:
    """What is shown to Linear, and where it comes from in words that can be shown."""

    header: str
    origin: str


class LinearApi:
    """Asks Linear. Whatever Linear refuses is an error that says what to do, or `TryLater`."""

    def __init__(self, url: str, credential: LinearCredential, clock: Clock, http: Http) -> None:
        self._url = url
        self._credential = credential
        self._clock = clock
        self._http = http
        self._blocked = 0
        self._slowed = 0

    async def ask(self, query: str, seconds: float = SECONDS, **variables: Any) -> LinearAnswer:
        """The answer to one of `queries`. Raises PluginError, or TryLater for a limit."""
        if self._clock.now() < self._blocked:
            raise TryLater(self._blocked, LIMIT)
        reply = await self._sent(dump_json({"query": query, "variables": variables}), seconds)
        said = await _read(reply)
        errors = objects_at(said, "errors")
        self._limited(reply, errors)
        self._refuse(reply, errors)
        if reply.truncated:
            raise Unsure(f"Linear's answer is larger than {MOST_BYTES >> 20} MB, or broke off")
        data = object_at(said, "data")
        if not data:
            raise Unsure(f"Linear's answer is not one of GraphQL: check `api_url` ({self._url})")
        self._slowed = 0
        return LinearAnswer(data=data, at=self._time(reply), headers=reply.headers)

    async def _sent(self, body: bytes, seconds: float) -> HttpReply:
        headers = {
            "accept": "application/json",
            "authorization": self._credential.header,
            "content-type": "application/json",
            "user-agent": "orgloop",
        }
        try:
            return await self._http.request(
                "POST", self._url, headers=headers, body=body, timeout=seconds, max_bytes=MOST_BYTES
            )
        except HttpFailed as exc:
            kind = Unsure if exc.sent else LinearUnreachable
            raise kind(f"Linear cannot be reached: {exc.reason}") from exc

    def _limited(self, reply: HttpReply, errors: list[Json]) -> None:
        """Raises TryLater if a limit is why Linear refused, and remembers one that is used up now."""
        used_up = [kind for kind in _KINDS if reply.headers.get(f"x-ratelimit-{kind}-remaining") == "0"]
        refused = reply.status == 429 or any(
            code in ("RATELIMITED", "RATE_LIMITED") for code in map(_code, errors)
        )
        if not refused:
            if reply.status < 400 and used_up:
                self._blocked = self._reset(reply, used_up)
            return
        after = reply.headers.get("retry-after", "")
        if used_up:
            self._blocked = self._reset(reply, used_up)
        elif after.isascii() and after.isdigit():
            self._blocked = self._clock.now() + min(int(after[:9]), LONGEST_LIMIT) * 1000
        else:
            self._blocked = self._clock.now() + min(SLOW_DOWN << self._slowed, LONGEST_LIMIT) * 1000
            self._slowed = min(self._slowed + 1, 6)
        raise TryLater(self._blocked, LIMIT)

    def _reset(self, reply: HttpReply, kinds: list[str]) -> int:
        """When these limits are over, by this machine's clock, which may differ from Linear's."""
        times = [reply.headers.get(f"x-ratelimit-{kind}-reset", "") for kind in kinds]
        ends = [int(time[:16]) for time in times if time.isascii() and time.isdigit()]
        wait = max(ends) - self._time(reply) if ends else SLOW_DOWN * 1000
        return self._clock.now() + min(max(wait, 0), LONGEST_LIMIT * 1000) + 1000

    def _refuse(self, reply: HttpReply, errors: list[Json]) -> None:
        """Raises for everything but a success."""
        said = _message(errors)
        codes, origin = {_code(error) for error in errors}, self._credential.origin
        if reply.status == 401 or "AUTHENTICATION_ERROR" in codes:
            raise LinearDenied(
                f"Linear does not accept {origin}: it is wrong, expired or revoked. "
                "Create a new one at https://linear.app/settings/api"
            )
        if reply.status == 403 or "FORBIDDEN" in codes:
            raise Refusal(f"Linear refuses that to {origin} ({said}): give it access to the team")
        if any(text_at(error, "message").startswith("Entity not found") for error in errors):
            raise NotThere(f"Linear has no such thing, or hides it from {origin} ({said})")
        if errors and reply.status < 500:
            raise Refusal(f"Linear refuses the request: {said or 'without a word'}")
        if reply.status == 404 or 300 <= reply.status < 400:
            raise Refusal(f"Linear's API is not at {self._url} ({reply.status}): check `api_url`")
        if not 200 <= reply.status < 300 or errors:
            raise Unsure(f"Linear answered {reply.status}{f': {said}' if said else ''}")

    def _time(self, reply: HttpReply) -> int:
        try:
            return int(parsedate_to_datetime(reply.headers.get("date", "")).timestamp() * 1000)
        except (ValueError, TypeError, OverflowError):
            return self._clock.now()


async def _read(reply: HttpReply) -> Json:
    """The answer's object; empty if it is none."""
    try:
        if len(reply.body) > IN_THREAD:
            said = await asyncio.to_thread(load_json, reply.body)
        else:
            said = load_json(reply.body)
    except NotJson:
        return {}
    return said if isinstance(said, dict) else {}


def _code(error: Json) -> str:
    return text_at(object_at(error, "extensions"), "code").upper()


def _message(errors: list[Json]) -> str:
    """What Linear says is wrong, on one short line."""
    for error in errors:
        said = text_at(object_at(error, "extensions"), "userPresentableMessage") or text_at(error, "message")
        if said:
            return " ".join(said[:200].split())
    return ""


def left(answer: LinearAnswer) -> tuple[int, int] | None:
    """How many requests are left of how many; None if Linear does not say."""
    remaining, limit = (
        _number(answer.headers.get(f"x-ratelimit-requests-{what}", "")) for what in ("remaining", "limit")
    )
    return None if remaining is None or limit is None else (remaining, limit)


def _number(value: str) -> int | None:
    return int(value[:12]) if value.isascii() and value.isdigit() else None
