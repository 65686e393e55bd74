"""A run that goes on: what its end needs, whatever keeps it alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.core.delivery import Facts
from orgloop.core.event import Event
from orgloop.core.happening import NotStarted
from orgloop.core.record import timestamp
from orgloop.plugin import Actor, Completion, Delivered, ExitInfo, NotBegun, Progress, Skipped
from orgloop.runtime.runs.completion import RunFacts
from orgloop.runtime.support.sanitize import text

SHOWN: Final = 200
"""Characters of a line for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """How a run ended. `changes` is what it did to the git tree that it worked in."""

    result: Completion | NotBegun | NotStarted | Delivered | Skipped
    exit: ExitInfo
    changes: Mapping[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class LiveRun:
    """A run that goes on. Each kind of run adds what keeps it alive."""

    run_id: str
    facts: Facts
    event: Event
    delivery_id: str
    route: str
    actor_id: str
    harness: str
    actor: Actor | None
    """Who understands it. None if its actor is gone, or is another kind of agent by now."""
    session_id: str | None
    resumed: bool
    cwd: str | None
    started_at: int
    last_line: str = ""
    cost_usd: float | None = None
    """What it has told of its cost by now."""
    pause_tries: int = 0
    """How often nobody had answered before it was started."""
    works: bool = False
    """It has shown that its actor is there."""

    @property
    def about(self) -> RunFacts:
        """What its events say about it."""
        return RunFacts(
            run_id=self.run_id,
            delivery_id=self.delivery_id,
            route=self.route,
            actor=self.actor_id,
            harness=self.harness,
            session_id=self.session_id or self.run_id,
            cwd=self.cwd,
            started_at=timestamp(self.started_at),
        )

    @property
    def read_offset(self) -> int:
        """Where a later daemon goes on reading its output."""
        return 0

    def take(self, progress: Progress) -> None:
        """What it has said is kept for people, and for its end."""
        if progress.session_id:
            self.session_id = text(progress.session_id)
        self.works |= progress.works
        if isinstance(progress.cost_usd, int | float):
            self.cost_usd = progress.cost_usd
        self.last_line = one_line(text(progress.text or "")) or self.last_line


def one_line(text: str, limit: int = SHOWN) -> str:
    """A text on one bounded line that can be stored."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= limit else f"{line[:limit]}…"
