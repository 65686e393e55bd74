"""What the engine lends to a plugin: small protocols, never the journal itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orgloop.plugin.draft import Draft, Mark


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpReply:
    """An answer. Header names are in lower case; `reason` is the status line's text.

    `truncated`: only the beginning of the body is here. It was longer than `max_bytes`, broke off, or
    did not come in time.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


class HttpFailed(Exception):
    """No answer came. `sent` is true if the other side may have received the request all the same.

    The reason names only the URL's origin: the rest of it can be a secret.
    """

    def __init__(self, reason: str, *, sent: bool, timeout: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timeout = timeout


class Http(Protocol):
    """One pooled client for all plugins."""

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
        """One request; `timeout` in seconds covers all of it. Raises HttpFailed if no answer came.

        Once the status is there, it is an answer, whatever becomes of the body: what was done is done.
        """
        ...


class Context(Protocol):
    """Given to `open` (and `listen`) of sources and actors."""

    @property
    def id(self) -> str:
        """The configured source's or actor's id."""
        ...

    @property
    def project(self) -> str:
        """The project's name."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def http(self) -> Http: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The project's environment: the daemon's variables and the project's `.env`."""
        ...

    def mark_in(self, text: str) -> Mark | None:
        """The mark of one of this home's runs in a text. Anybody may have copied it there."""
        ...

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        """Commit these events; returns their ids, of a duplicate the first one's.

        Raises JournalUnavailable or Overloaded: then nothing was taken.
        """
        ...
