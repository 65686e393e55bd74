"""Actors whose runs are jobs of another system: it is asked to begin one, then to say how that ends.

The engine stores what is sent before it is sent, begins once, follows until there is an end, and goes on
after a crash where it was. A connector that can use more than one way to hear of the end (a request that
waits, questions again and again, a callback) may use all of them: the first end counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from orgloop.core.deliveries.transition import Delivered, Skipped
from orgloop.plugin.actor import Actor, Completion, NotBegun, Progress, Wake
from orgloop.plugin.source import Inbound

RemoteEnd: TypeAlias = Completion | NotBegun | Delivered | Skipped
"""How a job ends: as a run with a result; before any paid work; handed over, with no result to wait for; or
not at all, since the other side had a reason not to act. Only a Completion becomes `actor.stopped`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteRequest:
    """What is to be sent. The run ends as `unknown` after `timeout_s` seconds, whatever goes on there.

    `session_id` is the other system's own session, if it is known before: remembered for the wake's key.
    """

    body: bytes
    timeout_s: float = 1800.0
    session_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """What the other system calls the job, and its session if it has one."""

    id: str
    session_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteRun:
    """A run as its actor sees it. `id` is the idempotency key; `ref` is None until the job is known.

    `request` is what `request` made, byte for byte, also after a restart. Times are in ms since 1970: nothing
    was sent before `started_at`; an earlier daemon waited for an answer until `waited_until`, or later
    by half a minute at the most (`started_at` if there was none).
    """

    id: str
    request: bytes
    started_at: int
    waited_until: int
    deadline: int
    ref: Ref | None = None


@runtime_checkable
class Remote(Actor, Protocol):
    """Has runs elsewhere. `request` is pure and quick; everything else may take its time, but not block."""

    @property
    def harness(self) -> str:
        """Which kind of system this is. A later daemon follows a run only by an actor of the same one."""
        ...

    @property
    def idempotent(self) -> bool:
        """Whether `begin` may be sent twice: the other system knows a run by its id, and begins it once."""
        ...

    def request(self, wake: Wake) -> RemoteRequest:
        """What to send; committed before anything is. Raises Refused for a wake that can never be sent."""
        ...

    async def begin(self, run: RemoteRun) -> Ref | RemoteEnd:
        """Send it. A Ref: it goes on. An end: the answer came with the end, or nothing began.

        HttpFailed with `sent` false means that nothing began. After any other exception, or after a crash
        of ours, it may have begun all the same: then `find` is asked if there is one; if not, an
        idempotent one is sent again, and any other ends as `unknown`.
        """
        ...

    async def follow(self, run: RemoteRun, note: Callable[[Progress], None]) -> RemoteEnd | None:
        """Wait for the end, as long as it takes; `note` shows what goes on. Needs `run.ref`.

        After an exception, and after a restart, it is called again. None: there is nothing to ask; a
        callback brings the end.
        """
        ...

    async def stop(self, run: RemoteRun) -> None:
        """Ask the other system to end it. Its own end still counts if it comes soon after."""


@runtime_checkable
class Findable(Remote, Protocol):
    """A system that can be asked whether a run has begun."""

    async def find(self, run: RemoteRun) -> Ref | RemoteEnd | None:
        """Where it is, or how it ended. None only if it has not begun and never will by what was sent."""
        ...


@runtime_checkable
class CalledBack(Remote, Protocol):
    """A system that reports by itself, to `wake.callback`."""

    def called(self, run: RemoteRun, request: Inbound) -> RemoteEnd | Progress:
        """What a report says. Pure and quick. An end is committed before the sender gets its 200.

        The address holds a secret of this run, and the sender has proved that it knows it. Raises Refused
        for what is no report.
        """
        ...
