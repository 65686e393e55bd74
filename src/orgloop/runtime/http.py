"""One pooled HTTP client for all plugins."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from orgloop.plugin.context import HttpFailed, HttpReply

CONNECTIONS_PER_HOST = 64


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
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=follow_redirects,
            ) as answer:
                content = await answer.content.read(max_bytes + 1) if max_bytes else b""
                while len(content) <= max_bytes and not answer.content.at_eof():
                    content += await answer.content.read(max_bytes + 1 - len(content))
                if len(content) > max_bytes:
                    raise HttpFailed(f"the answer of {url} is larger than {max_bytes} bytes", sent=True)
                return HttpReply(
                    status=answer.status,
                    reason=answer.reason or "",
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=content,
                )
        except aiohttp.ConnectionTimeoutError as exc:
            raise HttpFailed(
                f"no connection to {url} within {timeout:g} s", sent=False, timeout=True
            ) from exc
        except TimeoutError as exc:
            raise HttpFailed(f"no answer from {url} within {timeout:g} s", sent=True, timeout=True) from exc
        except aiohttp.ClientConnectorError as exc:
            raise HttpFailed(f"cannot connect to {url}: {exc.os_error.strerror or exc}", sent=False) from exc
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as exc:
            raise HttpFailed(f"{url!r} is not a URL that can be called", sent=False) from exc
        except aiohttp.ClientError as exc:
            raise HttpFailed(f"{url}: {str(exc) or type(exc).__name__}", sent=True) from exc

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
