"""The journal's verbs, in five small protocols. One test suite runs on every backend.

All writing verbs are group-committed: they return after the transaction that holds them is on
disk, or raise `JournalUnavailable`, and then nothing of them was written. Settling and claiming
go before accepting. Guarded verbs return False if somebody else has moved the row meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from orgloop.core.deliveries.admission import LimitScope
from orgloop.core.deliveries.delivery import Move
from orgloop.core.deliveries.transition import Transition
from orgloop.journal.model import (
    Acceptance,
    Accepted,
    AccountUse,
    AppliedRow,
    BacklogRow,
    Claims,
    ClaimWant,
    DaemonRow,
    DeliveryRow,
    EventRow,
    OpenRun,
    ParkedRow,
    PauseRow,
    Prepared,
    Query,
    RunBegun,
    RunEnd,
    RunRow,
    RunStart,
    SessionRow,
    Settlement,
    SourceRow,
    StepRow,
    SystemEntry,
    SystemRow,
    ToPrepare,
    WaitRow,
)


class Accepting(Protocol):
    """Taking events in."""

    async def accept(self, acceptance: Acceptance) -> Sequence[Accepted]:
        """Events, deliveries and checkpoint in one transaction. A checkpoint also notes a successful poll.

        Raises Overloaded when too much waits already.
        """
        ...

    async def checkpoint(self, source: str) -> str | None:
        """The source's checkpoint."""
        ...

    async def polled(self, source: str, at: int, error: str) -> None:
        """Note a poll that brought nothing new: its time, and its error if it failed."""


class Claiming(Protocol):
    """Finding work."""

    async def claim(self, wants: Sequence[ClaimWant], now: int) -> Claims:
        """Claim due heads, oldest first, up to each actor's slots.

        A claim is leased to this journal's worker: nobody else recovers it before the lease is over. A
        paused actor gets one probe when its pause is over. A caller that is cancelled gives back
        what was claimed for it.
        """
        ...

    async def to_prepare(self, route: str, limit: int) -> Sequence[ToPrepare]:
        """The oldest deliveries of this route in `preparing`, in acceptance order."""
        ...


class Settling(Protocol):
    """Writing down how things ended."""

    async def prepared(self, results: Sequence[Prepared], now: int) -> None:
        """Commit prepare results in the given order."""

    async def settle(self, settlement: Settlement) -> bool:
        """End one try."""
        ...

    async def start_run(self, start: RunStart) -> bool:
        """Commit a run before its program starts."""
        ...

    async def note_run(
        self,
        run_id: str,
        *,
        last_line: str,
        offset: int,
        at: int,
        session_id: str | None = None,
        cost_usd: float | None = None,
        alive: bool = True,
        answered: bool = False,
        seen: bool = True,
    ) -> None:
        """What a run said last, cost so far, and how far its output was read. Best effort, written lazily.

        `answered`: its agent has said something. `seen`: it was heard of, or waited for, until `at`.
        `alive`: it proves that the actor is there; the first one after a probe ends the actor's pause.
        """

    async def run_begun(self, begun: RunBegun) -> bool:
        """A run was seen to have begun. False if that is known, or it has ended. Ends its actor's pause."""
        ...

    async def run_called_back(self, run_id: str, result: bytes, at: int) -> bool:
        """Keep the end that a callback brought. False if there is one already, or the run has ended."""
        ...

    async def runs_to_cancel(self) -> Sequence[str]:
        """This worker's runs that go on and are to be stopped for the sake of a later delivery."""
        ...

    async def stop_run(self, run_id: str, at: int) -> bool:
        """Note that somebody asked to end a run elsewhere. False if it has ended."""
        ...

    async def session(self, actor: str, key: str) -> SessionRow | None:
        """The session that a key leads to, as of the last commit."""
        ...

    async def forget_session(self, actor: str, id: str, why: str, at: int) -> bool:
        """No key leads to this session any more. False if none did."""
        ...

    async def end_run(self, end: RunEnd) -> bool:
        """End a run and its delivery, with the events that follow. False if it has ended before."""
        ...


class Operating(Protocol):
    """The daemon's and the operator's hands."""

    async def recover(self, now: int) -> Mapping[str, int]:
        """At start: what this worker had in hand when it died goes back to pending, or is held after three
        crashes. So does what another worker claimed whose lease is over.

        What was preparing is left as it is: nobody knows whether it had begun. Counts by state.
        """
        ...

    async def set_back(self, now: int, by: int) -> None:
        """The clock was set back by so many ms, and says `now`: what was due stays due, what was due in a
        while is so still. `recover` does the same for a clock that was set back while nobody was there.
        """
        ...

    async def park(self, account: str, until: int | None, reason: str, now: int) -> ParkedRow:
        """A person lets nothing start with an account until a time, or until `resume` (None)."""
        ...

    async def resume(self, account: str, now: int) -> bool:
        """A person lets an account's work go on. False if it was not parked."""
        ...

    async def pause(self, scope: LimitScope, until: int | None, by: str, now: int) -> None:
        """A person lets nothing of a route or an actor be claimed until a time, or until `unpause` (None).

        `by` says who, and why. It stays so over restarts and applies, and a renamed route keeps its pause.
        """
        ...

    async def unpause(self, scope: LimitScope, now: int) -> bool:
        """A person lets a route or an actor go on. False if it was not paused."""
        ...

    async def open_runs(self) -> Sequence[OpenRun]:
        """This worker's runs that have not ended."""
        ...

    async def operate(self, delivery_id: str, transition: Transition, now: int) -> Move:
        """Release, discard or retry one; `transition` says by whom. Raises NotFound, or Conflict if its state
        does not allow it. What would go on while another owns its key is dropped as a duplicate."""
        ...

    async def apply(
        self,
        applied: AppliedRow,
        routes: Mapping[str, str],
        now: int,
        *,
        actors: Mapping[str, bool],
        changed: Collection[str] = (),
        closed: Collection[str] = (),
        bounded: Collection[str] = (),
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, int]:
        """Record what is applied, and bind to it in the same transaction what waits.

        `routes` gives every route's actor by name, `actors` says of every actor whether it has runs,
        `changed` names the routes whose transforms or key are not what they were, `closed` the actors whose
        circuit breakers are closed, since they have none or are not what they were. `bounded` names the
        routes that have a `queue_depth`, `renamed` gives the new name of a route by its old one.

        The unfinished work of a renamed route is that of its new name, with its runs, keys and budgets. The
        work of a route that is gone is held (removed). That of one that is back is released; what
        has no attempt is prepared again. What has no attempt goes to its route's actor, and so does
        what was tried by an actor that is gone. What waits in `pending` without an attempt is prepared
        again if its route is in `changed`. Runs and wakes under way keep what they started with.
        Returns counts by word: renamed, held, released, repointed, prepared.
        """
        ...

    async def resume_actor(self, actor: str, now: int) -> bool:
        """Close the actor's circuit breaker, or end its pause, whoever made it. False if it had neither."""
        ...

    async def expire(self, now: int, held_before: int) -> int:
        """Drop what has been held since before that time, as dropped(expired). Returns how many."""
        ...

    async def prune(self, before: int, seen_before: int, limit: int) -> int:
        """Delete up to `limit` events that were finished before that time, with all that hangs on them.

        Identities and owned keys go once they are older than `seen_before`, some at a time. Returns how
        many events went, or `limit` if more of the others can go: call again while it is `limit`.
        """
        ...

    async def lead(self, role: str) -> bool:
        """Whether this worker may do now what only one may: `poll:SOURCE`, `prune`. Ask before each time."""
        ...

    async def record(self, entries: Sequence[SystemEntry]) -> None:
        """Write down what happened to sources, or to the daemon itself. It is pruned like events."""

    async def beat(self, life: DaemonRow) -> None:
        """Write this daemon's life: at start, every minute, at the end."""

    async def close(self) -> None:
        """Commit what waits, then close. Idempotent."""


class Journal(Accepting, Claiming, Settling, Operating, Protocol):
    """All writing verbs: what one daemon holds."""

    @property
    def waiting(self) -> int:
        """How many accepts wait for their commit."""
        ...


class Reader(Protocol):
    """Looking at things, read-only, with or without a daemon.

    Synchronous, in short reads; call it from a thread if you must not block. Lists are pages, newest
    first; with `Query.after` they go on from there, oldest first.
    """

    def events(self, query: Query) -> Sequence[EventRow]: ...

    def event(self, id: str) -> EventRow | None: ...

    def deliveries(self, query: Query) -> Sequence[DeliveryRow]: ...

    def delivery(self, id: str) -> DeliveryRow | None: ...

    def steps(self, query: Query) -> Sequence[StepRow]: ...

    def system(self, query: Query) -> Sequence[SystemRow]:
        """What happened to sources and to the daemon itself, by time, source or event."""
        ...

    def runs(self, query: Query, *, open_only: bool = False) -> Sequence[RunRow]: ...

    def run(self, id: str) -> RunRow | None: ...

    def sessions(
        self, *, actor: str = "", key: str = "", id: str = "", active_only: bool = False, limit: int = 100
    ) -> Sequence[SessionRow]:
        """Sessions of agents, the newest first; what is empty is not asked for."""
        ...

    def sop(self, sop_hash: str) -> str | None: ...

    def sources(self) -> Sequence[SourceRow]: ...

    def pauses(self) -> Sequence[PauseRow]: ...

    def parked(self) -> Sequence[ParkedRow]: ...

    def account_use(self, since: int) -> Sequence[AccountUse]:
        """What each account's runs are at and have used, of those that ended since then."""
        ...

    def rival(self, delivery_id: str) -> str:
        """The delivery that owns one of its keys by now: it would be a duplicate if it went on."""
        ...

    def waits(self, limit: int = 1_000) -> Sequence[WaitRow]:
        """Which scopes are full, so that their wakes wait; the widest first."""
        ...

    def applied(self) -> AppliedRow | None: ...

    def daemons(self, limit: int = 10) -> Sequence[DaemonRow]: ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """What is not finished, by state and route; under `total` what is finished, by state, since ever."""
        ...

    def backlog(self) -> Sequence[BacklogRow]:
        """What is not finished, by actor, route, state and reason."""
        ...

    def route_stats(self) -> Mapping[str, tuple[int, int | None]]:
        """Per route: how many deliveries it has made, and when the last was accepted."""
        ...

    def trace(
        self, trace_id: str
    ) -> tuple[Sequence[EventRow], Sequence[DeliveryRow], Sequence[StepRow], Sequence[RunRow]]:
        """The first thousand events, deliveries, steps and runs of one chain, oldest first."""
        ...

    def check(self) -> Sequence[str]:
        """Read everything and say what is wrong with it; empty if nothing is. Slow on a large journal."""
        ...

    def close(self) -> None: ...
