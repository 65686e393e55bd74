"""GitHub's REST API: conditional requests, pages and limits.

On the context's client, which has its pool, time limits and bounds. A client of GitHub's own would
bring a second one, and would read answers of any size.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from orgloop.connectors.github.app_login import AppLogin
from orgloop.connectors.github.credential import Credential, Login
from orgloop.connectors.github.settings import ApiSettings
from orgloop.plugin import (
    Clock,
    Context,
    Http,
    HttpFailed,
    HttpReply,
    NotJson,
    PluginError,
    TryLater,
    dump_json,
    load_json,
    text_at,
)

ORIGIN: Final = "https://api.github.com"
VERSION: Final = "2022-11-28"
SECONDS: Final = 30.0
"""How long one request may take."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""The largest answer. A page that is larger is asked for in smaller pages."""

IN_THREAD: Final = 128 * 1024
"""Larger answers are read in a thread, not in the event loop."""

TEXT_BYTES: Final = 1024 * 1024
"""A text that is longer is read from its end."""

END_BYTES: Final = 64 * 1024
"""How much of the end of a text is read."""

KEPT_BYTES: Final = 8 * 1024 * 1024
"""How much of GitHub's answers is kept, to be used again while they did not change."""

SLOW_DOWN: Final = 60
"""Seconds that GitHub asks for at least after its secondary limit, if it names no time."""

LONGEST_LIMIT: Final = 3_600
"""Seconds. GitHub's limits are over an hour; a time beyond it is no limit's end."""

_NEXT: Final = re.compile(r'<([^<>]{1,2000})>; ?rel="next"')


class TooLarge(PluginError):
    """The answer is longer than may be read."""


class Unreachable(PluginError):
    """No answer came. `sent`: GitHub may have done all the same what it was asked."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Denied(PluginError):
    """GitHub does not do it: the login is refused or lacks a right, or the request makes no sense to it."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoAccess(Denied):
    """It is not there, or the token may not know of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """GitHub's answer. `at` is GitHub's time in seconds since 1970, `next` the URL of the next page."""

    data: Any
    at: int
    headers: Mapping[str, str]
    next: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    answer: Response
    condition: Mapping[str, str]
    size: int


class Api:
    """Asks GitHub. Whatever GitHub refuses is an error that says what to do, or `TryLater`."""

    def __init__(self, url: str, credential: Login, clock: Clock, http: Http) -> None:
        self._url = url.rstrip("/")
        self._credential = credential
        self._clock = clock
        self._http = http
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._blocked: tuple[int, str] | None = None
        self._slowed = 0

    async def get(self, path: str, **query: str | int) -> Response:
        """The answer to `GET path`. What did not change since it was read last costs nothing at GitHub."""
        return await self._read(f"{self._url}{path}" + (f"?{urlencode(query)}" if query else ""))

    async def after(self, answer: Response) -> Response:
        """The page after this one, which has a `next`."""
        assert answer.next is not None
        return await self._read(answer.next)

    async def send(self, method: str, path: str, content: Any = None, *, within: float = SECONDS) -> Response:
        """The answer to a request that changes something. It is sent once, and takes `within` seconds."""
        url, body = f"{self._url}{path}", dump_json(content) if content is not None else None
        reply = await self._asked(url, method, body, within=within)
        if reply.status == 401 and self._credential.forget():
            reply = await self._asked(url, method, body, within=within)
        self._refuse(reply, url, "write")
        # What was done is done, whatever GitHub says of it.
        data = await _parsed(reply.body, url) if reply.body and not reply.truncated else None
        return Response(data=data, at=self._time(reply), headers=reply.headers)

    async def end_of_text(self, path: str) -> str:
        """The end of a text that lies where `GET path` leads; empty if it is not there any longer."""
        url = f"{self._url}{path}"
        reply = await self._asked(url, follow=False)
        try:
            if not 300 <= reply.status < 400:
                self._refuse(reply, url)
        except NoAccess:
            return ""
        place = reply.headers.get("location", "")
        if self._is_safe(place):
            # A signed address, at another place: the token does not go there.
            reply = await self._plain(place, {})
            size = reply.headers.get("content-length", "")
            if reply.truncated and size.isascii() and size.isdigit():
                end = int(size[:15])
                reply = await self._plain(place, {"range": f"bytes={max(end - END_BYTES, 0)}-{end - 1}"})
        return reply.body[-END_BYTES:].decode("utf-8", "replace") if 200 <= reply.status < 300 else ""

    async def _plain(self, url: str, headers: Mapping[str, str]) -> HttpReply:
        try:
            asked = {"accept-encoding": "identity", "user-agent": "orgloop", **headers}
            return await self._http.request("GET", url, headers=asked, timeout=SECONDS, max_bytes=TEXT_BYTES)
        except HttpFailed as exc:
            raise Unreachable(f"a log of GitHub cannot be read: {exc.reason}", sent=False) from exc

    def _is_safe(self, url: str) -> bool:
        here, there = urlsplit(self._url), urlsplit(url)
        return there.scheme == "https" or (there.scheme, there.netloc) == (here.scheme, here.netloc)

    async def _read(self, url: str) -> Response:
        reply = await self._asked(url)
        if reply.status == 401 and self._credential.forget():
            reply = await self._asked(url)
        kept, at = self._kept.get(url), self._time(reply)
        if reply.status == 304 and kept is not None:
            self._kept.move_to_end(url)
            return replace(kept.answer, at=at)
        self._refuse(reply, url)
        if reply.truncated:
            raise TooLarge(
                f"GitHub's answer to {_path(url)} is larger than {MOST_BYTES >> 20} MB, or broke off"
            )
        data = await _parsed(reply.body, url)
        answer = Response(data=data, at=at, headers=reply.headers, next=self._next(reply))
        self._keep(url, answer, reply)
        return answer

    async def _asked(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        *,
        follow: bool = True,
        within: float = SECONDS,
    ) -> HttpReply:
        if self._blocked is not None:
            until, reason = self._blocked
            if self._clock.now() < until:
                raise TryLater(until, reason)
            self._blocked = None
        kept = self._kept.get(url) if method == "GET" else None
        headers = {
            "accept": "application/vnd.github+json",
            "authorization": f"Bearer {await self._credential.value()}",
            "user-agent": "orgloop",
            "x-github-api-version": VERSION,
            **(kept.condition if kept is not None else {}),
            **({"content-type": "application/json"} if body is not None else {}),
        }
        try:
            reply = await self._http.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=within,
                follow_redirects=follow and method == "GET",
                max_bytes=MOST_BYTES,
            )
        except HttpFailed as exc:
            raise Unreachable(f"GitHub cannot be reached: {exc.reason}", sent=exc.sent) from exc
        if reply.status < 400:
            self._slowed = 0
            if reply.headers.get("x-ratelimit-remaining") == "0" and reply.status != 304:
                self._block(self._reset(reply), "rate limit of GitHub's API")
        return reply

    def _refuse(self, reply: HttpReply, url: str, need: str = "read") -> None:
        """Raises for everything but a success. `need`: the kind of access that it takes."""
        status, message = reply.status, _message(reply)
        if status in (403, 429):
            self._limited(reply, message)
        if 200 <= status < 300:
            return
        origin, path = self._credential.origin, _path(url)
        if status == 401:
            raise Denied(
                f"GitHub does not accept {origin}: it is wrong, expired or revoked. "
                "Create a new one at https://github.com/settings/tokens",
                status=status,
            )
        if status == 403:
            raise Denied(
                f"GitHub refuses {path} to {origin} ({message}): give it {need} access to that"
                + (", or leave its kind out of `events`" if need == "read" else ""),
                status=status,
            )
        if status in (404, 410, 451):
            raise NoAccess(
                f"GitHub has no {path} ({status}), or hides it from {origin}: check `repo`, "
                f"and give the token {need} access to it",
                status=status,
            )
        what = f"GitHub answered {status} to {path}{f': {message}' if message else ''}"
        if status < 500:
            raise Denied(what, status=status)
        raise PluginError(what)

    def _limited(self, reply: HttpReply, message: str) -> None:
        """Raises TryLater if a limit is why GitHub refused."""
        now, after = self._clock.now(), reply.headers.get("retry-after", "")
        folded = message.casefold()
        if after.isascii() and after.isdigit():
            until = now + min(int(after[:9]), LONGEST_LIMIT) * 1000
            reason = "GitHub asked to slow down"
        elif reply.headers.get("x-ratelimit-remaining") == "0":
            until, reason = self._reset(reply), "rate limit of GitHub's API"
        elif reply.status == 429 or "secondary rate limit" in folded or "abuse detection" in folded:
            until = now + min(SLOW_DOWN << self._slowed, LONGEST_LIMIT) * 1000
            reason = "GitHub asked to slow down"
            self._slowed = min(self._slowed + 1, 6)
        else:
            return
        self._block(until, reason)
        raise TryLater(until, reason)

    def _block(self, until: int, reason: str) -> None:
        self._blocked = (until, reason)

    def _reset(self, reply: HttpReply) -> int:
        """When the limit is over, by this machine's clock, which may differ from GitHub's."""
        reset = reply.headers.get("x-ratelimit-reset", "")
        wait = int(reset[:12]) - self._time(reply) if reset.isascii() and reset.isdigit() else SLOW_DOWN
        return self._clock.now() + (min(max(wait, 0), LONGEST_LIMIT) + 1) * 1000

    def _time(self, reply: HttpReply) -> int:
        try:
            return int(parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
        except (ValueError, TypeError, OverflowError):
            return self._clock.now() // 1000

    def _next(self, reply: HttpReply) -> str | None:
        """The next page, if it is at the same place: the token goes nowhere else."""
        found = _NEXT.search(reply.headers.get("link", "")[:8_000])
        if found is None:
            return None
        url = found[1]
        here, there = urlsplit(self._url), urlsplit(url)
        return url if (here.scheme, here.netloc) == (there.scheme, there.netloc) else None

    def _keep(self, url: str, answer: Response, reply: HttpReply) -> None:
        """Keep the answer itself, too: what was read may not have been committed."""
        self._kept.pop(url, None)
        etag, modified = reply.headers.get("etag", ""), reply.headers.get("last-modified", "")
        condition = {"if-none-match": etag} if etag else {"if-modified-since": modified} if modified else {}
        if not condition or len(reply.body) > KEPT_BYTES:
            return
        self._kept[url] = _Kept(answer=answer, condition=condition, size=len(reply.body))
        while sum(one.size for one in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)


def api_of(settings: ApiSettings, ctx: Context) -> Api:
    """GitHub's API with the settings' login."""
    url = settings.api_url or ORIGIN
    login = app_of(settings, ctx) or Credential(settings.token, settings.token_command, ctx.environment)
    return Api(url, login, ctx.clock, ctx.http)


def app_of(settings: ApiSettings, ctx: Context) -> AppLogin | None:
    """The login of the GitHub App that the settings name, if they name one."""
    key = settings.private_key or settings.private_key_file
    if settings.app_id is None or key is None:
        return None
    url = settings.api_url or ORIGIN
    return AppLogin(settings.app_id, key, settings.installation_id, url, ctx.clock, ctx.http)


async def _parsed(body: bytes, url: str) -> Any:
    try:
        if len(body) > IN_THREAD:
            return await asyncio.to_thread(load_json, body)
        return load_json(body)
    except NotJson as exc:
        raise PluginError(f"GitHub's answer to {_path(url)} is not JSON: is `api_url` right?") from exc


def _message(reply: HttpReply) -> str:
    """What GitHub says is wrong, on one short line."""
    try:
        data = load_json(reply.body[:64_000]) if reply.status >= 400 else None
    except NotJson:
        return ""
    if not isinstance(data, dict):
        return ""
    errors = data.get("errors")
    reasons = [_reason(one) for one in (errors if isinstance(errors, list) else [])[:5]]
    whole = ": ".join(filter(None, [text_at(data, "message")[:200], ", ".join(filter(None, reasons))]))
    return " ".join("".join(char if char.isprintable() else " " for char in whole).split())


def _reason(error: Any) -> str:
    """One of the reasons that GitHub gives for a refusal."""
    if isinstance(error, str):
        return error[:200]
    if not isinstance(error, dict):
        return ""
    return (
        text_at(error, "message")[:200]
        or f"{text_at(error, 'field')[:60]} {text_at(error, 'code')[:60]}".strip()
    )


def _path(url: str) -> str:
    return urlsplit(url).path
