"""A run that goes on: what its end needs, whatever keeps it alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.core.deliveries.delivery import Facts
from orgloop.core.deliveries.transition import NotStarted
from orgloop.core.records.record import timestamp
from orgloop.plugin import Actor, Completion, Delivered, ExitInfo, NotBegun, Progress, Skipped
from orgloop.runtime.intake.intake import Lineage
from orgloop.runtime.runs.completion import RunFacts
from orgloop.runtime.support.sanitize import text

SHOWN: Final = 200
"""Characters of a line for people."""


REQUESTS: Final = 256
"""Requests of a run whose answers may go on."""


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
    lineage: Lineage
    """What the events that it emits continue."""
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
    spent_usd: float = 0.0
    """What its requests have cost by our own estimate."""
    requests: dict[str, float] = field(default_factory=dict)
    """The last requests in that sum: their answers come in parts."""
    session_usd: float = 0.0
    """What its session had cost before it."""
    answered: bool = False
    """Its agent has said something."""
    fork_of: str | None = None
    """The session that it works in a copy of."""
    fresh_because: str = ""
    """Why it began a session of its own, though its key led to one."""
    account: str = ""
    """Who pays for it; empty if nobody knows."""
    instead_of: str = ""
    """The account that goes first, if that one could not pay."""
    pause_tries: int = 0
    """How often nobody had answered before it was started."""
    alive: bool = False
    """It has shown that its actor is there."""
    begun: bool = False
    """The journal knows that it has begun, and `session.started` is told."""

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
            account=self.account,
            instead_of=self.instead_of,
        )

    @property
    def read_offset(self) -> int:
        """Where a later daemon goes on reading its output."""
        return 0

    @property
    def owes_start(self) -> bool:
        """Its end tells of its start, too. A job elsewhere tells of that with its ref, or not at all."""
        return False

    def take(self, progress: Progress) -> None:
        """What it has said is kept for people, and for its end."""
        if progress.session_id:
            self.session_id = text(progress.session_id)
        self.alive |= progress.alive
        self.answered |= progress.alive
        if isinstance(progress.cost_usd, int | float):
            self.cost_usd = progress.cost_usd
        if progress.spent is not None:
            self._spend(*progress.spent)
        self.last_line = one_line(text(progress.text or "")) or self.last_line

    @property
    def known_cost(self) -> float | None:
        """What it has told of its cost, else what it has cost by our own estimate, if anything."""
        return self.cost_usd if self.cost_usd is not None else self.spent_usd or None

    def _spend(self, request: str, usd: float) -> None:
        known = self.requests.pop(request, 0.0)
        self.requests[request] = max(known, usd)
        self.spent_usd += max(0.0, usd - known)
        if len(self.requests) > REQUESTS:
            del self.requests[next(iter(self.requests))]


def one_line(text: str, limit: int = SHOWN) -> str:
    """A text on one bounded line that can be stored."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= limit else f"{line[:limit]}…"
