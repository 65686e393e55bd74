"""A run of another system, and what is known of it so far."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from orgloop.plugin import Ref, Remote, RemoteEnd, RemoteRun
from orgloop.runtime.runs.live_run import LiveRun, one_line
from orgloop.runtime.support.sanitize import text


@dataclass(slots=True, kw_only=True)
class RemoteJob(LiveRun):
    """A run elsewhere. `actor` is None until the actor that can follow it is open."""

    actor: Remote | None
    request: bytes
    deadline: int
    ref: Ref | None = None
    in_doubt: bool = False
    """It was sent, or may have been: it may have begun, though its ref is not known."""
    called_back: asyncio.Future[RemoteEnd] = field(default_factory=asyncio.Future)
    """The end that a callback brought, once it is on disk."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody asked to end it."""
    news: bool = False
    """It has said something that is not noted yet."""
    waited_until: int = 0
    """Until when (ms since 1970) an earlier daemon waited for an answer; 0 if none did."""
    asked_at: float | None = None
    """Since when (monotonic, in seconds) a request about it is awaited; None while none is."""

    def say(self, words: str) -> None:
        """Show people what is going on with it."""
        self.last_line, self.news = one_line(text(words)), True

    @property
    def run(self) -> RemoteRun:
        """As its actor sees it."""
        return RemoteRun(
            id=self.run_id,
            request=self.request,
            started_at=self.started_at,
            waited_until=max(self.waited_until, self.started_at),
            deadline=self.deadline,
            ref=self.ref,
        )
