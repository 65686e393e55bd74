"""The login of a GitHub App: its key signs a request for an installation's token, which lasts an hour."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from orgloop.connectors.github.times import seconds
from orgloop.plugin import (
    MINUTE,
    SECOND,
    Clock,
    Http,
    HttpFailed,
    HttpReply,
    NotJson,
    PluginError,
    SecretStr,
    TryLater,
    integer_at,
    load_json,
    text_at,
)

SECONDS: Final = 20.0
MOST_BYTES: Final = 1024 * 1024
MOST_KEY_BYTES: Final = 64 * 1024
BACK: Final = 60
"""Seconds before now from which on a signed request counts: clocks differ a little."""

LASTS: Final = 540
"""Seconds for which a signed request counts; GitHub allows ten minutes."""

EARLY: Final = 5 * 60
"""Seconds before its end at which a token is replaced."""

SKEW: Final = 30
"""Seconds between the clocks from which on GitHub's time is taken for a second try."""

HINT: Final = "check `app_id` and `private_key` on the page of the app, under General"


class AppLogin:
    """A token of one installation. It is replaced before it ends, and when GitHub refuses it."""

    def __init__(
        self,
        app_id: str,
        key: SecretStr | Path,
        installation: int | None,
        url: str,
        clock: Clock,
        http: Http,
    ) -> None:
        self._app_id = app_id
        self._key = key
        self._installation = installation
        self._url = url.rstrip("/")
        self._clock = clock
        self._http = http
        self._token = ""
        self._until = 0
        self._theirs = 0
        self._lock = asyncio.Lock()

    async def value(self) -> str:
        """The token. Raises PluginError, or TryLater for a limit."""
        async with self._lock:
            if not self._token or self._clock.now() >= self._until - EARLY * SECOND:
                await self._renew()
            return self._token

    def forget(self) -> bool:
        """GitHub refused it: another one can be asked for."""
        self._token = ""
        return True

    @property
    def origin(self) -> str:
        """Where the token comes from, in words that can be shown."""
        return f"the login of the GitHub App {self._app_id}"

    async def signed(self) -> str:
        """What the app shows for itself, not for an installation; it counts for some minutes."""
        return await self._signed(self._clock.now() // SECOND)

    async def app(self) -> Mapping[str, Any]:
        """What GitHub says of the app itself. Raises as `value`."""
        data = await self._ask("GET", "/app")
        return data if isinstance(data, dict) else {}

    async def _renew(self) -> None:
        id = self._installation or await self._only_installation()
        data = await self._ask("POST", f"/app/installations/{id}/access_tokens")
        token = text_at(data, "token") if isinstance(data, dict) else ""
        if not token or not token.isascii() or not token.isprintable():
            raise PluginError("GitHub gave no token for the app's installation")
        ends = seconds(data.get("expires_at"))
        # By GitHub's clock, from which this machine's may differ: an hour, if it says nothing else.
        lasts = ends - self._theirs if ends is not None else 3_600
        self._token, self._until = token, self._clock.now() + min(max(lasts, 60), 3_600) * SECOND
        self._installation = id

    async def _only_installation(self) -> int:
        data = await self._ask("GET", "/app/installations")
        rows = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
        ids = [id for one in rows if (id := integer_at(one, "id")) is not None]
        if len(ids) == 1:
            return ids[0]
        if not ids:
            raise PluginError(
                f"the GitHub App {self._app_id} is not installed anywhere",
                hint="install it for the organization or repository, on the page of the app",
            )
        known = ", ".join(str(id) for id in ids[:10])
        raise PluginError(
            f"the GitHub App {self._app_id} has several installations",
            hint=f"write one of them into `installation_id`: {known}",
        )

    async def _ask(self, method: str, path: str) -> Any:
        reply = await self._sent(method, path, self._clock.now() // SECOND)
        self._theirs = _time(reply) or self._clock.now() // SECOND
        if reply.status == 401 and abs(self._theirs - self._clock.now() // SECOND) > SKEW:
            reply = await self._sent(method, path, self._theirs)
        self._refuse(reply)
        try:
            return load_json(reply.body)
        except NotJson as exc:
            raise PluginError(f"GitHub's answer to {path} is not JSON: is `api_url` right?") from exc

    async def _sent(self, method: str, path: str, now: int) -> HttpReply:
        headers = {
            "accept": "application/vnd.github+json",
            "authorization": f"Bearer {await self._signed(now)}",
            "user-agent": "orgloop",
            "x-github-api-version": "2022-11-28",
        }
        url = f"{self._url}{path}"
        try:
            return await self._http.request(
                method, url, headers=headers, timeout=SECONDS, max_bytes=MOST_BYTES
            )
        except HttpFailed as exc:
            raise PluginError(f"GitHub cannot be reached: {exc.reason}") from exc

    async def _signed(self, now: int) -> str:
        """What the app shows for itself: a JSON Web Token. Raises PluginError for a key that is none."""
        try:
            import jwt
        except ImportError as exc:
            raise PluginError(
                "the login of a GitHub App needs a package", hint="type: pip install 'orgloop[github]'"
            ) from exc
        try:
            key = await asyncio.to_thread(_pem, self._key)
        except OSError as exc:
            raise PluginError(f"`private_key_file` ({self._key}) cannot be read: {exc.strerror}") from exc
        claims = {"iat": now - BACK, "exp": now + LASTS, "iss": self._app_id}
        try:
            return await asyncio.to_thread(jwt.encode, claims, key, "RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as exc:
            raise PluginError("`private_key` is not the private key of a GitHub App", hint=HINT) from exc

    def _refuse(self, reply: HttpReply) -> None:
        after = reply.headers.get("retry-after", "")
        spent = reply.headers.get("x-ratelimit-remaining") == "0"
        if reply.status == 429 or (reply.status == 403 and (after or spent)):
            wait = min(int(after[:9]), 3_600) * SECOND if after.isascii() and after.isdigit() else MINUTE
            raise TryLater(self._clock.now() + wait, "rate limit of GitHub's API")
        match reply.status:
            case 200 | 201:
                return
            case 401:
                raise PluginError(
                    f"GitHub does not accept the key of the GitHub App {self._app_id}", hint=HINT
                )
            case 403 | 404:
                raise PluginError(
                    f"GitHub has no such installation of the GitHub App {self._app_id} ({reply.status}), "
                    "or it is suspended",
                    hint="check `installation_id`, and that the app is still installed",
                )
            case status:
                raise PluginError(f"GitHub answered {status} to the GitHub App {self._app_id}")


class AppKey:
    """The app itself as a login: for what belongs to none of its installations, such as its webhook's log."""

    def __init__(self, login: AppLogin) -> None:
        self._login = login

    async def value(self) -> str:
        """Signed anew for each request. Raises PluginError."""
        return await self._login.signed()

    def forget(self) -> bool:
        """There is no other one."""
        return False

    @property
    def origin(self) -> str:
        """As of the app's token."""
        return self._login.origin


def _pem(key: SecretStr | Path) -> str:
    """The key's text: as it is, with `\\n` for its line breaks, or as base64. For a thread."""
    if isinstance(key, Path):
        with key.open("rb") as file:
            return file.read(MOST_KEY_BYTES).decode("ascii", "replace")
    text = key.get_secret_value().strip()
    if "-----BEGIN" not in text:
        try:
            text = base64.b64decode(text, validate=True).decode("ascii", "replace")
        except (binascii.Error, ValueError):
            return text
    return text.replace("\\n", "\n")


def _time(reply: HttpReply) -> int | None:
    try:
        return int(parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
