"""What runs reserve and use, and which scopes are full: the answers that admission asks for.

A wake that may become a run reserves its caps when it is claimed. What it used takes their place when its
run ends; if nobody knows that, the caps stay, as an estimate. A scope that is full is written down: until
it has room again, claims leave out its wakes, and their age leaves out that time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, assert_never

from orgloop.core.deliveries.admission import (
    NEVER,
    WINDOW_MS,
    LimitScope,
    Room,
    ScopeLevel,
    Unit,
    WaitCause,
    Waiting,
    Want,
    Window,
)
from orgloop.journal.model import ClaimWant
from orgloop.journal.verbs.rates import WakeCounts
from orgloop.journal.verbs.transaction import Transaction


class _Charge(NamedTuple):
    """What one wake has reserved. The order of its fields is the queries'."""

    account: str | None
    actor: str
    route: str
    key: str | None
    trace: str
    tree: str | None
    usd: int
    tokens: int
    run_time: int

    def is_in(self, scope: LimitScope) -> bool:
        match scope.level:
            case ScopeLevel.ORGANIZATION | ScopeLevel.NODE:
                return True
            case ScopeLevel.ACCOUNT:
                return self.account == scope.name
            case ScopeLevel.ACTOR:
                return self.actor == scope.name
            case ScopeLevel.ROUTE:
                return self.route == scope.name
            case ScopeLevel.KEY:
                return (self.actor, self.key) == (scope.actor, scope.name)
            case ScopeLevel.TRACE:
                return self.trace == scope.name
            case ScopeLevel.WORKTREE:
                return self.tree == scope.name
            case _:
                assert_never(scope.level)

    def amount(self, unit: Unit) -> int:
        match unit:
            case Unit.RUNS:
                return 1
            case Unit.USD:
                return self.usd
            case Unit.TOKENS:
                return self.tokens
            case Unit.RUN_TIME:
                return self.run_time
            case Unit.WAKES:
                return 0
            case _:
                assert_never(unit)


MOST_SPENT: Final = 10**12
"""No run uses more of anything: what an agent says of itself must not make the sums overflow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a run used. None: nobody knows, so what was reserved counts."""

    usd: int | None
    tokens: int | None
    run_time: int | None


class Books:
    """The charges as one claim sees them, with what it adds. Nothing is read before it is asked for."""

    def __init__(self, tx: Transaction, now: int) -> None:
        self._tx = tx
        self._now = now
        self._known: list[_Charge] | None = None
        self._past: dict[tuple[LimitScope, Unit, Window], int] = {}
        self.wakes = WakeCounts(tx, now)

    @property
    def _open(self) -> list[_Charge]:
        if self._known is None:
            self._known = [_Charge(*row) for row in self._tx.rows("open_charges")]
        return self._known

    def reserve(self, want: Want, delivery: int) -> None:
        """A wake is claimed, which may become a run."""
        usd, tokens, run_time = (want.needs.get(unit, 0) for unit in (Unit.USD, Unit.TOKENS, Unit.RUN_TIME))
        charge = _Charge(
            want.account, want.actor, want.route, want.key, want.trace, want.tree, usd, tokens, run_time
        )
        self._open.append(charge)
        self._tx.change("charge", (delivery, self._now, *charge))
        self._tx.change("add_to_trace", (want.trace, 1, usd, tokens, run_time, self._now))
        for scope, unit, window in self._past:
            if unit is Unit.RUNS and charge.is_in(scope):
                self._past[scope, unit, window] += 1

    def room(self, scope: LimitScope, unit: Unit, window: Window, need: int, limit: int) -> Room:
        """As `Ledger.room`."""
        if unit is Unit.WAKES:
            return self.wakes.room(scope, window, need, limit)
        reserved = sum(charge.amount(unit) for charge in self._open if charge.is_in(scope))
        match window:
            case Window.AT_ONCE:
                return Room(
                    used=reserved,
                    free_at=self._now if reserved + need <= limit else NEVER,
                    reserved=reserved,
                )
            case Window.EVER:
                used = self._total(scope, unit)
                free_at = self._now if used + need <= limit else NEVER
                return Room(used=used, free_at=free_at, reserved=reserved)
            case Window.SECOND | Window.MINUTE | Window.HOUR | Window.DAY:
                # Runs count from their start on, so that one that goes on is among those of the past.
                over = reserved if unit is not Unit.RUNS else 0
                used = self._in_window(scope, unit, window) + over
                excess = used + need - limit
                free_at = self._now if excess <= 0 else self._rolls(scope, unit, window, excess)
                return Room(used=used, free_at=free_at, reserved=over)
            case _:
                assert_never(window)

    def busy_trees(self) -> Collection[str]:
        """As `Ledger.busy_trees`."""
        return {charge.tree for charge in self._open if charge.tree is not None}

    def waited(self, scopes: Sequence[LimitScope], since: int) -> int:
        """For how long at least one of the scopes was full since that time."""
        spans: list[tuple[int, int]] = []
        for scope in scopes:
            spans += self._tx.rows("was_full", (scope.level, scope.name, scope.actor, since, self._now))
        paused = self._tx.paused(
            next((scope.name for scope in scopes if scope.level is ScopeLevel.ACTOR), "")
        )
        if paused is not None:
            spans.append((paused.since, self._now))
        return _covered(spans, since, self._now)

    def _total(self, scope: LimitScope, unit: Unit) -> int:
        if scope.level is not ScopeLevel.TRACE:
            raise ValueError(f"a total is kept of traces, not of {scope}")
        row = self._tx.one("trace_total", (scope.name,))
        return 0 if row is None else int(row[list(Unit).index(unit)])

    def _in_window(self, scope: LimitScope, unit: Unit, window: Window) -> int:
        known = self._past.get((scope, unit, window))
        if known is None:
            known = int(self._read_window(scope, unit, window))
            self._past[scope, unit, window] = known
        return known

    def _read_window(self, scope: LimitScope, unit: Unit, window: Window) -> int:
        if unit is Unit.RUNS and scope.level is ScopeLevel.KEY:
            since = self._now - WINDOW_MS[window]
            started: int = self._tx.value("key_started_since", (scope.actor, scope.name, since, self._now))
            return started
        query = "started_since" if unit is Unit.RUNS else "spent_since"
        found: int = self._tx.value(query, self._parameters(scope, unit, window))
        return found

    def _rolls(self, scope: LimitScope, unit: Unit, window: Window, excess: int) -> int:
        """When so much has left the window that the excess is gone, if nothing ends before."""
        query = "leaving_starts" if unit is Unit.RUNS else "leaving_amounts"
        at = self._tx.value(query, (*self._parameters(scope, unit, window), excess))
        return NEVER if at is None else int(at) + WINDOW_MS[window]

    def _parameters(self, scope: LimitScope, unit: Unit, window: Window) -> tuple[Any, ...]:
        return (self._now - WINDOW_MS[window], self._now, scope.level, scope.name, scope.actor, unit)


@dataclass(frozen=True, slots=True)
class WakeLedger:
    """The books, for one wake. `rates` are those that it was asked about."""

    books: Books
    want: Want
    rates: set[tuple[LimitScope, Window]] = field(default_factory=set)

    def room(self, scope: LimitScope, unit: Unit, window: Window, need: int, limit: int) -> Room:
        """As `Ledger.room`."""
        if unit is Unit.WAKES:
            self.rates.add((scope, window))
        return self.books.room(scope, unit, window, need, limit)

    def busy_trees(self) -> Collection[str]:
        """As `Ledger.busy_trees`."""
        return self.books.busy_trees()

    def waited(self, since: int) -> int:
        """As `Ledger.waited`."""
        return self.books.waited(scopes_of(self.want), since)


def scopes_of(want: Want) -> Sequence[LimitScope]:
    """Every scope in which a wake is."""
    return [scope for level in ScopeLevel for scope in want.scopes(level)]


def spend(tx: Transaction, delivery: int, at: int, spent: Spent) -> None:
    """The run of a delivery's wake has ended, and used so much."""
    row = tx.one("charge_of", (delivery,))
    if row is None:
        return
    seq, charge = row[0], _Charge(*row[1:])
    usd, tokens, run_time = (
        reserved if used is None else min(max(0, used), MOST_SPENT)
        for used, reserved in (
            (spent.usd, charge.usd),
            (spent.tokens, charge.tokens),
            (spent.run_time, charge.run_time),
        )
    )
    tx.change("spend", (seq, at, usd, tokens, run_time))
    more = (usd - charge.usd, tokens - charge.tokens, run_time - charge.run_time)
    tx.change("add_to_trace", (charge.trace, 0, *more, at))
    _make_room(tx, charge, at)


def refund(tx: Transaction, delivery: int, at: int) -> None:
    """No run came of a delivery's wake: nothing was used."""
    row = tx.one("charge_of", (delivery,))
    if row is None:
        return
    charge = _Charge(*row[1:])
    tx.change("refund", (row[0],))
    tx.change("add_to_trace", (charge.trace, -1, -charge.usd, -charge.tokens, -charge.run_time, at))
    _make_room(tx, charge, at)


def refund_interrupted(tx: Transaction, now: int, worker: str) -> None:
    """No run came of what this worker was waking when it died, or others whose leases are over."""
    for (delivery,) in tx.rows("interrupted_charges", (worker, now)):
        refund(tx, delivery, now)


def wait(tx: Transaction, reason: Waiting, now: int) -> None:
    """A scope is full: its wakes are left alone until it has room."""
    scope = reason.scope
    tx.change(
        "wait",
        (
            scope.level,
            scope.name,
            scope.actor,
            reason.unit,
            reason.window,
            reason.cause,
            reason.limit,
            reason.setting,
            now,
            None if reason.until == NEVER else reason.until,
        ),
    )


def end_timed_waits(tx: Transaction, now: int) -> None:
    """Scopes that have room again because time has passed are not full any more."""
    _ended(tx, tx.rows("end_timed_waits", (now,)), now)


def end_all_waits(tx: Transaction, now: int) -> None:
    """Limits may have changed, or nobody was there: every scope is looked at anew."""
    _ended(tx, tx.rows("end_all_waits"), now)


def end_because(tx: Transaction, cause: WaitCause, now: int) -> None:
    """What waits for this cause is looked at anew."""
    _ended(tx, tx.rows("end_waits_because", (cause,)), now)


def set_back(tx: Transaction, now: int, by: int) -> None:
    """The clock was set back by so many ms and says `now`."""
    tx.change("set_back_waits", (now, by))


def prune(tx: Transaction, before: int, limit: int) -> int:
    """Forget what was over before that time, a page of each kind. Returns the most that went of one."""
    queries = ("delete_charges", "delete_totals", "delete_waited", "delete_wake_counts", "delete_parked")
    gone = [tx.change(query, (before, limit)) for query in queries]
    return max(gone)


def next_until(tx: Transaction) -> int | None:
    """When time makes room in a scope."""
    found: int | None = tx.value("next_until")
    return found


def is_full(tx: Transaction, want: ClaimWant, account: str | None) -> bool:
    """Whether a scope is full in which all wakes of the actor are for which this account pays."""
    mine = {
        (ScopeLevel.ORGANIZATION, "", ""),
        (ScopeLevel.NODE, "", ""),
        (ScopeLevel.ACCOUNT, account, ""),
        (ScopeLevel.ACTOR, want.actor, ""),
        (ScopeLevel.WORKTREE, want.tree, want.actor),
    }
    full = tx.rows("full_for_actors")
    bounds = (tuple(scope) for *scope, unit in full if unit == Unit.WAKES or not want.rates_only)
    return any(scope in mine for scope in bounds)


def note_waited(tx: Transaction, scope: LimitScope, since: int, until: int) -> None:
    """From then to then the scope's wakes had to wait, which is no part of their age."""
    span = (scope.level, scope.name, scope.actor, since, until)
    if until > since and not tx.change("lengthen", span):
        tx.change("note_waited", span)


def waited_for_actor(tx: Transaction, actor: str, since: int, now: int) -> int:
    """For how long a delivery of the actor had to wait since then because of the actor itself."""
    return Books(tx, now).waited([LimitScope(level=ScopeLevel.ACTOR, name=actor)], since)


def _make_room(tx: Transaction, charge: _Charge, now: int) -> None:
    scopes = [
        LimitScope(level=ScopeLevel.ORGANIZATION),
        LimitScope(level=ScopeLevel.NODE),
        LimitScope(level=ScopeLevel.ACTOR, name=charge.actor),
        LimitScope(level=ScopeLevel.ROUTE, name=charge.route),
        LimitScope(level=ScopeLevel.TRACE, name=charge.trace),
    ]
    if charge.account is not None:
        scopes.append(LimitScope(level=ScopeLevel.ACCOUNT, name=charge.account))
    if charge.key is not None:
        scopes.append(LimitScope(level=ScopeLevel.KEY, name=charge.key, actor=charge.actor))
    if charge.tree is not None:
        # Whoever waits for it.
        scopes.append(LimitScope(level=ScopeLevel.WORKTREE, name=charge.tree))
    for scope in scopes:
        ended = tx.rows("end_waits", (scope.level, scope.name, scope.actor))
        _ended(tx, ended, now)


def _ended(tx: Transaction, rows: Iterable[tuple[str, str, str, int]], now: int) -> None:
    for level, name, actor, since in rows:
        note_waited(tx, LimitScope(level=ScopeLevel(level), name=name, actor=actor), since, now)


def _covered(spans: Iterable[tuple[int, int]], since: int, now: int) -> int:
    """How much of the time between is in at least one span."""
    covered, reached = 0, since
    for begins, ends in sorted(spans):
        begins, ends = max(begins, reached), min(ends, now)
        if ends > begins:
            covered += ends - begins
            reached = ends
    return covered
