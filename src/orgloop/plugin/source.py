"""Sources emit events: by polling with a checkpoint, by webhook, by listening, or several of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from orgloop.plugin.context import Context
from orgloop.plugin.draft import Draft


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One poll's result; its events and checkpoint commit together.

    `more`: poll again at once. `next_at`: when the source knows that something is due (ms since
    1970); None leaves it to `poll.interval`.
    """

    events: Sequence[Draft] = ()
    checkpoint: str | None = None
    more: bool = False
    next_at: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """A request from outside: raw bytes and headers (names in lower case), of no web framework.

    `query` is the raw query string, `peer` the sender's IP address.
    """

    method: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    peer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the sender hears after the commit. `body` None: the engine's `{ok, event_id, duplicate}`.

    `text` goes out as plain text instead, for a sender that asks to hear a word again.
    """

    status: int = 200
    body: Mapping[str, Any] | None = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """What a request means. `request` is the provider's delivery id: the same id again is a duplicate."""

    events: Sequence[Draft] = ()
    request: str | None = None
    reply: Reply = Reply()


class TryLater(Exception):
    """Raised by `poll` or `listen`: the other side said when to come again. Not a failure.

    `until` is in ms since 1970, `reason` says in a few words why, such as `rate limit of the API`.
    """

    def __init__(self, until: int, reason: str) -> None:
        super().__init__(reason)
        self.until = until
        self.reason = reason


class Source(Protocol):
    """What every source has. Each source also has at least one of `poll`, `receive`, `listen`."""

    async def open(self, ctx: Context) -> None:
        """Called once before anything else. An exception keeps the source from starting."""

    async def close(self) -> None:
        """Called once at the end, also after a failed `open`. Exceptions are logged."""


@runtime_checkable
class Poller(Source, Protocol):
    """Asked at its interval."""

    async def poll(self, checkpoint: str | None) -> Page:
        """What is new since `checkpoint`. None, the first time: set one, and emit nothing unless asked to.

        Never overlaps itself. Any exception counts as a failed poll: the checkpoint stays, the
        source shows as unhealthy, and the next poll waits longer. `TryLater` is no failure: the
        checkpoint stays, and the next poll comes at its time.
        """
        ...


@runtime_checkable
class Receiver(Source, Protocol):
    """Takes webhooks at `/webhook/<source id>`."""

    async def receive(self, request: Inbound) -> Received:
        """Verify and translate one request. Calls overlap. The reply is sent after the commit.

        `Refused` answers with its status and message; any other exception with 500, logged.
        """
        ...

    @property
    def signed(self) -> bool:
        """Whether requests are verified by a secret; unsigned sources take local requests only."""
        ...


@runtime_checkable
class HeadChecker(Receiver, Protocol):
    """Can refuse a request before its body is there: a missing signature, a wrong token."""

    def check_head(self, request: Inbound) -> None:
        """Refuse (`Refused`) what `receive` would refuse whatever the body is. `body` is empty here.

        Called for a body that does not come with its head; `receive` is called all the same.
        """
        ...


@runtime_checkable
class Listener(Source, Protocol):
    """Holds a connection of its own."""

    async def listen(self, ctx: Context) -> None:
        """Runs until cancelled, handing events to `ctx.emit`; acknowledge upstream only after it returned.

        Called once; if it returns or raises, it is called again after a growing pause, after
        `TryLater` at its time.
        """
