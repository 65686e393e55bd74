"""Why a delivery waits, and why the work of an actor does, in the words of every output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orgloop.core.deliveries.admission import NEVER, LimitScope, ScopeLevel, Unit, sentence
from orgloop.core.deliveries.delivery import State
from orgloop.core.text.units import humanize
from orgloop.operations.views.words import counted, one_line, short_moment

if TYPE_CHECKING:
    from orgloop.journal.model import DeliveryRow, PauseKind, PauseRow, WaitRow
    from orgloop.journal.protocols import Reader

OPEN: Final = (State.PREPARING, State.PENDING, State.RUNNING, State.STARTED)
"""States that block a key."""

NO_DAEMON: Final = "no daemon runs"
"""Why all work waits while there is none."""

MOST: Final = 1_000
"""Deliveries that are looked at for the one that a delivery waits behind, the oldest first."""


class Waits:
    """Answers for any number of deliveries; the daemon is looked for once, and only if something waits."""

    def __init__(self, reader: Reader, now: int, daemon_runs: Callable[[], bool]) -> None:
        """`daemon_runs` says whether a daemon runs."""
        self._find = daemon_runs
        self._reader = reader
        self._now = now
        self._heads_of: dict[str, Mapping[str | None, DeliveryRow]] = {}

    def why(self, row: DeliveryRow) -> str:
        """All reasons in sentences; empty if it waits for nothing that is known, or does not wait at all."""
        if row.state not in (State.PREPARING, State.PENDING):
            return ""
        if not self._daemon_runs:
            return "no daemon runs: it continues after `orgloop start`"
        if row.state is State.PREPARING:
            return "its transforms are running"
        if row.lead != row.id:
            return f"it is part of the batch of {row.lead}"
        if not row.head:
            return self._behind(row)
        return " ".join(self._reasons(row))

    def _reasons(self, row: DeliveryRow) -> Iterator[str]:
        pause = self._pauses.get(row.actor)
        if pause is not None and pause.kind is _breaker():
            left = pause.until - self._now
            again = f"one wake probes it in {humanize(left)}" if left > 0 else "one wake probes it"
            yield f"{open_breaker(pause)}. Work continues by itself: {again}."
        elif pause is not None:
            again = f", retried in {humanize(pause.until - self._now)}" if pause.until > self._now else ""
            reason = f": {one_line(pause.reason)}" if not row.detail else ""
            yield f"{row.actor} is unavailable{again}{reason}"
        elif row.due > self._now and row.batch_until is not None:
            so_far = counted(len(row.members) or 1, "event")
            due, most = humanize(row.due - self._now), humanize(row.batch_until - self._now)
            yield (
                f"its batch has {so_far} and wakes {row.actor} in {due}; further events delay "
                f"this to {most} at most"
            )
        elif row.due > self._now:
            yield f"retried in {humanize(row.due - self._now)}"
        for wait in waits_of(row, self._full):
            yield one_line(text(wait, lambda at: short_moment(at, self._now)))

    def _behind(self, row: DeliveryRow) -> str:
        head = self._heads(row.actor).get(row.key)
        other = f"{head.id} ({head.state})" if head else "other work"
        return f"behind {other} with the same session key"

    def _heads(self, actor: str) -> Mapping[str | None, DeliveryRow]:
        """By key what comes first, of an actor's oldest open work; read once."""
        from orgloop.journal.model import START, Query

        if actor not in self._heads_of:
            query = Query(actor=actor, states=OPEN, after=START, limit=MOST)
            self._heads_of[actor] = {one.key: one for one in self._reader.deliveries(query) if one.head}
        return self._heads_of[actor]

    @cached_property
    def _pauses(self) -> Mapping[str, PauseRow]:
        return {pause.actor: pause for pause in self._reader.pauses()}

    @cached_property
    def _daemon_runs(self) -> bool:
        return self._find()

    @cached_property
    def _full(self) -> Sequence[WaitRow]:
        return self._reader.waits()


def open_breaker(pause: PauseRow) -> str:
    """An open circuit breaker, for people."""
    return f"the circuit breaker of {pause.actor} is open: {one_line(pause.reason)}"


def _breaker() -> PauseKind:
    from orgloop.journal.model import PauseKind

    return PauseKind.BREAKER


def waits_of(row: DeliveryRow, waits: Sequence[WaitRow]) -> Sequence[WaitRow]:
    """All full scopes that a delivery waits for. Only rates bound what hands over at once."""
    mine = {
        LimitScope(level=ScopeLevel.ROUTE, name=row.route),
        LimitScope(level=ScopeLevel.TRACE, name=row.trace_id),
        LimitScope(level=ScopeLevel.KEY, name=row.key or "", actor=row.actor),
    }
    return [
        wait
        for wait in waits
        if (row.runs or wait.waiting.unit is Unit.WAKES)
        and (wait.waiting.scope in mine or _is_actors(wait.waiting.scope, row.actor))
    ]


def actor_reasons(
    *,
    pause: PauseRow | None,
    waits: Iterable[WaitRow],
    served: bool,
    journal_fault: str,
    not_open: str,
    now: int,
) -> Sequence[str]:
    """All that keeps an actor's work waiting, for `status`. `served`: a daemon runs."""
    reasons = [] if served else [NO_DAEMON]
    if journal_fault:
        reasons.append(f"the journal cannot be written: {one_line(journal_fault)}")
    if not_open:
        reasons.append(f"it cannot be opened: {one_line(not_open)}")
    if pause is not None and pause.kind is _breaker():
        until = f", one wake probes it at {short_moment(pause.until, now)}" if pause.until > now else ""
        reasons.append(f"{open_breaker(pause)}{until}")
    elif pause is not None:
        # Not how long: some of that time no daemon may have run, and nobody tried.
        reasons.append(f"unavailable since {short_moment(pause.since, now)}: {one_line(pause.reason)}")
    return reasons + [one_line(text(wait, lambda at: short_moment(at, now))) for wait in waits]


def paused_by(by: str, why: str) -> str:
    """Who paused something, and why, as the journal keeps it."""
    return f"{by}: {why}" if why else by


def text(wait: WaitRow, moment: Callable[[int], str]) -> str:
    """The reason in words. `moment` says when time makes room."""
    until = wait.waiting.until
    return sentence(wait.waiting, "" if until == NEVER else moment(until))


def _is_actors(scope: LimitScope, actor: str) -> bool:
    match scope.level:
        case ScopeLevel.ORGANIZATION | ScopeLevel.NODE:
            return True
        case ScopeLevel.ACTOR:
            return scope.name == actor
        case ScopeLevel.WORKTREE:
            return scope.actor == actor
        case ScopeLevel.ACCOUNT | ScopeLevel.ROUTE | ScopeLevel.KEY | ScopeLevel.TRACE:
            return False
