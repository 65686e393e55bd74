"""One request to an API, and what each answer means for a source that polls it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from orgloop.connectors.http.settings import HttpSettings
from orgloop.connectors.http.times import millis
from orgloop.connectors.webhook.answers import MAX_WAIT, retry_after, status_line
from orgloop.connectors.webhook.settings import BasicAuth, BearerAuth, private_headers
from orgloop.connectors.webhook.urls import origin, redirect_target
from orgloop.plugin import (
    HOUR,
    MINUTE,
    SECOND,
    Context,
    HttpFailed,
    HttpReply,
    PluginError,
    TreeTemplate,
    TryLater,
    as_text,
    dump_json,
)

MOST_REDIRECTS: Final = 5
_ACCEPTED: Final = {
    "json": "application/json, */*;q=0.5",
    "lines": "application/x-ndjson, application/jsonl, */*;q=0.5",
    "feed": "application/atom+xml, application/rss+xml, application/xml, text/xml, */*;q=0.5",
}
_SHOWN: Final = 200
_TIME_FROM: Final = 10_000_000
"""A number of seconds from here on is a time since 1970, and not a pause."""

_NEXT_LINK: Final = re.compile(
    r'<([^<>]{1,4000})>((?:\s*;\s*[\w*-]{1,40}\s*=\s*(?:"[^"]{0,500}"|[^\s",;]{1,500}))*)'
)
_REL_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked. `etag` and `modified` are what an earlier answer said of itself."""

    url: str
    body: bytes | None = None
    etag: str = ""
    modified: str = ""


class Expired(PluginError):
    """The API finds the request wrong, or does not know any more to what an earlier answer led."""


class Asker:
    """Asks the API. Whatever is no answer is an error that says what to do, or `TryLater`."""

    def __init__(self, settings: HttpSettings, ctx: Context) -> None:
        self._settings = settings
        self._ctx = ctx
        self._origin = origin(settings.url)
        self._private = private_headers(settings.headers, settings.auth)
        self._secrets = _secrets(settings)
        self._params = TreeTemplate.parse(settings.params)
        self._body = None if settings.body is None else TreeTemplate.parse(settings.body)
        self._limited = 0

    def question(self, values: Mapping[str, Any]) -> Question:
        """The request with these values of its placeholders; a parameter without a value is left out."""
        rendered = self._params.render(values)
        given = [
            (key, as_text(value)) for key, value in rendered.items() if value != "" and value is not None
        ]
        parts = urlsplit(self._settings.url)
        names = {key for key, _ in given}
        kept = [
            (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in names
        ]
        query = urlencode([*kept, *given]) if given else parts.query
        url = urlunsplit(parts._replace(query=query, fragment=""))
        return Question(url=url, body=None if self._body is None else dump_json(self._body.render(values)))

    def beside(self, question: Question, location: str) -> str:
        """The URL of another page that an answer names. Raises PluginError: it is of another host."""
        with suppress(ValueError):
            target = redirect_target(question.url, location)
            if origin(target) == origin(question.url):
                return target
        raise PluginError(
            f"{self._origin} names a next page that is not on this host: it is not asked",
            hint="check `next`; an API's key goes to its own host only",
        )

    async def ask(self, question: Question) -> HttpReply:
        """An answer of 200 or 304. Raises PluginError or TryLater."""
        reply = await self._followed(question)
        wait = self._wait(reply)
        if wait is not None:
            raise TryLater(wait, f"{self._origin} answered {status_line(reply)}: its limit is reached")
        self._refuse(reply)
        self._limited = 0
        if reply.truncated:
            size = f"{self._settings.max_bytes / 2**20:.3g} MB"
            raise PluginError(
                f"the answer of {self._origin} is larger than {size}, or broke off",
                hint="ask for smaller pages in `params`, or raise `max_bytes`",
            )
        return reply

    def now(self, reply: HttpReply) -> int:
        """The API's own time in ms since 1970; this machine's where the answer has none."""
        return millis(reply.headers.get("date")) or self._ctx.clock.now()

    async def _followed(self, question: Question) -> HttpReply:
        """The final answer. Credentials go to the configured host only."""
        url = question.url
        ends = self._ctx.clock.monotonic() + self._settings.timeout / SECOND
        for _ in range(MOST_REDIRECTS + 1):
            left = ends - self._ctx.clock.monotonic()
            if left <= 0:
                raise PluginError(f"{self._origin} took too long to redirect", hint="raise `timeout`")
            reply = await self._sent(question, url, left)
            followed = (301, 302, 303, 307, 308) if self._settings.method == "GET" else (307, 308)
            if reply.status not in followed or "location" not in reply.headers:
                return reply
            try:
                url = redirect_target(url, reply.headers["location"])
            except ValueError as exc:
                raise PluginError(
                    f"{self._origin} answered {status_line(reply)}: {exc}",
                    hint="set `url` to the right place",
                ) from exc
        raise PluginError(f"{self._origin} redirected more than {MOST_REDIRECTS} times", hint="check `url`")

    async def _sent(self, question: Question, url: str, seconds: float) -> HttpReply:
        headers = {"Accept": _ACCEPTED[self._settings.format], "User-Agent": "orgloop"}
        if origin(url) == self._origin:
            given = {name.lower() for name in self._private}
            headers = {name: value for name, value in headers.items() if name.lower() not in given}
            headers |= self._private
        if question.body is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        if question.etag:
            headers["If-None-Match"] = question.etag
        if question.modified:
            headers["If-Modified-Since"] = question.modified
        try:
            return await self._ctx.http.request(
                self._settings.method,
                url,
                headers=headers,
                body=question.body,
                timeout=round(seconds, 3),
                max_bytes=self._settings.max_bytes,
            )
        except HttpFailed as exc:
            raise PluginError(exc.reason, hint="nothing is lost: it is asked again") from exc

    def _wait(self, reply: HttpReply) -> int | None:
        """When to come again, if a limit is why the API refuses."""
        now = self._ctx.clock.now()
        spent = reply.headers.get("x-ratelimit-remaining", reply.headers.get("ratelimit-remaining", ""))
        limited = reply.status == 429 or (reply.status == 403 and spent == "0")
        if not limited and not (reply.status in (403, 503) and "retry-after" in reply.headers):
            return None
        told = retry_after(reply.headers, now)
        if told is None and spent == "0":
            told = self._reset(reply, now)
        if told is None:
            told = now + min(MINUTE << self._limited, HOUR)
            self._limited = min(self._limited + 1, 6)
        return told

    def _reset(self, reply: HttpReply, now: int) -> int | None:
        """The end of a limit that is told as a time, or as seconds from now. Clocks may differ."""
        value = reply.headers.get("x-ratelimit-reset", reply.headers.get("ratelimit-reset", ""))
        if not (value.isascii() and value.isdigit()):
            return None
        number = int(value[:16])
        is_time = number >= _TIME_FROM
        wait = (millis(number) or 0) - self.now(reply) if is_time else number * SECOND
        return now + min(max(wait, SECOND), MAX_WAIT)

    def _refuse(self, reply: HttpReply) -> None:
        """Raises for everything but 200 and 304."""
        line = f"{self._origin} answered {status_line(reply)}"
        match reply.status:
            case 200 | 203 | 204 | 304:
                return
            case 401 | 403:
                hint = (
                    "it is wrong or expired: set another in .env"
                    if self._private
                    else "set `auth` or `headers`"
                )
                raise PluginError(f"{line}: it does not take the source's key", hint=hint)
            case 404 | 410:
                raise Expired(
                    f"{line}: there is nothing at `url`, or the key may not see it", hint="check `url`"
                )
            case status if 300 <= status < 400:
                raise PluginError(
                    f"{line}: a redirect cannot be followed", hint="set `url` to the right place"
                )
            case status if 400 <= status < 500:
                raise Expired(f"{line}{self._said(reply)}", hint="check `params` and `url`")
            case _:
                raise PluginError(f"{line}{self._said(reply)}", hint="nothing is lost: it is asked again")

    def _said(self, reply: HttpReply) -> str:
        """The first words of a refusal, without anything that is a secret of this source."""
        text = reply.body[: 4 * _SHOWN].decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        words = " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_SHOWN]
        return f": {words}" if words else ""


def next_link(reply: HttpReply) -> str | None:
    """The next page, as the `Link` header names it."""
    header = reply.headers.get("link", "")[:16_000]
    return next((found[1] for found in _NEXT_LINK.finditer(header) if _REL_NEXT.search(found[2])), None)


def _secrets(settings: HttpSettings) -> list[str]:
    """What must not be said again: values of headers, and of the URL's query."""
    values = [value.get_secret_value() for value in settings.headers.values()]
    match settings.auth:
        case BearerAuth(token=secret) | BasicAuth(password=secret):
            values.append(secret.get_secret_value())
        case None:
            pass
    values += [value for _, value in parse_qsl(urlsplit(settings.url).query)]
    values += [value for value in settings.params.values() if isinstance(value, str)]
    parts = [part for value in values for part in (value, *value.split())]
    return sorted({part for part in parts if len(part) >= 8}, key=len, reverse=True)
