"""What keeps a run alive: one interface for each kind of run, and what every start needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from orgloop.core.deliveries.transition import Outcome
from orgloop.core.ids import IdSequence
from orgloop.journal.model import ClaimedWake, OpenRun, Try
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Mark, Wake
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.runs.live_run import Finish, LiveRun
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.marker import Marker
from orgloop.runtime.wiring import ActorPart, Wiring
from orgloop.runtime.worktrees.worktrees import Worktrees

R = TypeVar("R", bound=LiveRun)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A wake that is to become a run of this part's actor."""

    claimed: ClaimedWake
    part: ActorPart
    wake: Wake
    tried: Try


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """What holders work with."""

    journal: Journal
    clock: Clock
    ids: IdSequence
    intake: Intake
    home: Path
    marker: Marker
    worktrees: Worktrees
    events: EngineEvents


def mark_of(wake: Wake) -> Mark:
    """The mark of the run that this wake is, or of its delivery if its actor has no runs.

    It continues the longest chain, as `Lineage.after` does.
    """
    event = max(wake.events, key=lambda event: event.hops)
    return Mark(
        run_id=wake.run_id or wake.delivery_id,
        actor=wake.actor,
        event_id=event.id,
        trace_id=event.trace_id,
        hops=event.hops,
    )


class Holder(Protocol[R]):
    """Keeps runs of one kind."""

    async def start(self, start: Start, wiring: Wiring, on_live: Callable[[R], None]) -> Outcome | None:
        """Commit a run, then begin it. None: the run owns the delivery; else why it does not.

        Cancelled before the commit, there is no run; from then on it goes to its end. `on_live` gets the run
        as soon as it may go on.
        """
        ...

    def adopt(self, row: OpenRun, wiring: Wiring) -> R:
        """A run of an earlier daemon, to be followed from now on."""
        ...

    async def follow(self, live: R) -> Finish:
        """Return once the run has ended. Is called again if it breaks."""
        ...

    async def stop(self, live: R) -> None:
        """Ask a run to end softly."""

    def let_go(self, live: R) -> None:
        """This runtime ends; the run goes on."""


async def to_its_end(start: Coroutine[None, None, Outcome | None]) -> Outcome | None:
    """Not cancellable: between a run's commit and its program's start there is nothing to hand back."""
    task = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task
