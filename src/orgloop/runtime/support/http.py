"""One pooled HTTP client for all plugins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from orgloop.plugin.context import HttpFailed, HttpReply

CONNECTIONS_PER_HOST: Final = 64

CONNECT: Final = 0.8
"""Share of a request's time that it may wait for a connection: then it is known that nothing was sent."""

CONNECT_MOST: Final = 30.0
"""Seconds that one connection may take to come about, however long its request may wait for an answer."""

_URL: Final = re.compile(r"https?://[^\s'\"<>)]+")


class HttpClient:
    """`plugin.Http` on aiohttp. Opens on first use; `close` when done."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,
        follow_redirects: bool = False,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> HttpReply:
        """One request. HttpFailed has `sent` false only if no byte can have reached the other side."""
        session = self._session or self._open()
        try:
            async with session.request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=aiohttp.ClientTimeout(
                    total=timeout,
                    connect=timeout * CONNECT,
                    sock_connect=min(timeout * CONNECT, CONNECT_MOST),
                ),
                allow_redirects=follow_redirects,
            ) as answer:
                content, whole = await _beginning(answer.content, max_bytes + 1)
                return HttpReply(
                    status=answer.status,
                    reason=answer.reason or "",
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=content[:max_bytes],
                    truncated=not whole or len(content) > max_bytes,
                )
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as exc:
            raise _failed(exc, origin(url), timeout) from exc

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST),
            headers={"User-Agent": "orgloop"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        return self._session


def _failed(exc: aiohttp.ClientError | TimeoutError | UnicodeError, shown: str, timeout: float) -> HttpFailed:
    """Why no answer came from `shown`, and whether the request may have left all the same."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            within = min(timeout * CONNECT, CONNECT_MOST)
            reason = f"no connection to {shown} within {within:g} s"
            return HttpFailed(reason, sent=False, timeout=True)
        case TimeoutError():
            return HttpFailed(f"no answer from {shown} within {timeout:g} s", sent=True, timeout=True)
        case aiohttp.ClientConnectorCertificateError(certificate_error=error):
            return HttpFailed(f"{shown} has an invalid certificate: {error}", sent=False)
        case aiohttp.ClientConnectorError(os_error=error):
            return HttpFailed(f"cannot connect to {shown}: {error.strerror or exc}", sent=False)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            # UnicodeError: a host that cannot be a name, such as one with two dots in a row.
            return HttpFailed(f"{shown} cannot be called: it is not an http or https URL", sent=False)
        case aiohttp.ServerDisconnectedError():
            return HttpFailed(f"{shown} closed the connection without an answer", sent=True)
        case aiohttp.TooManyRedirects():
            return HttpFailed(f"{shown} redirects too often", sent=True)
        case aiohttp.ClientResponseError(message=message):
            # Its text begins with a status that nobody sent.
            return HttpFailed(f"{shown} does not answer in HTTP: {_first_line(message)}", sent=True)
        case _:
            # The text of such an error can hold whole URLs, also that of a redirect.
            text = _URL.sub(lambda found: origin(found[0]), str(exc))
            return HttpFailed(f"{shown}: {text or type(exc).__name__}", sent=True)


def origin(url: str) -> str:
    """Scheme, host and port: all of a URL that messages may show, since the rest can be a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the URL"
    if not host:
        return "the URL"
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" if port is None else f"{parts.scheme}://{named}:{port}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(":")


async def _beginning(stream: aiohttp.StreamReader, size: int) -> tuple[bytes, bool]:
    """At most the first `size` bytes, and whether they came as announced.

    A body that breaks off or does not come in time changes nothing about the status before it.
    """
    parts, left = [], size
    try:
        while left > 0 and (part := await stream.read(left)):
            parts.append(part)
            left -= len(part)
    except (aiohttp.ClientError, TimeoutError):
        return b"".join(parts), False
    return b"".join(parts), True
