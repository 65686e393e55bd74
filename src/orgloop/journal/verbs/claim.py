"""Finding work: claims under the guards, and what waits for its transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from orgloop.core.deliveries.admission import (
    Go,
    Ledger,
    LimitScope,
    ScopeLevel,
    Unit,
    Verdict,
    Wait,
    WaitCause,
    Waiting,
    Want,
    Window,
)
from orgloop.core.deliveries.breaker import QUICK_MS
from orgloop.core.deliveries.delivery import Facts, State
from orgloop.core.deliveries.transition import Hold
from orgloop.journal.model import (
    ClaimedWake,
    Claims,
    ClaimWant,
    Lease,
    Member,
    PauseKind,
    PauseRow,
    ToPrepare,
)
from orgloop.journal.verbs import accounts, breakers, ledger, members, moves
from orgloop.journal.verbs.accounts import LOOK_AFTER_PROBE_MS, Payer
from orgloop.journal.verbs.ledger import Books, WakeLedger
from orgloop.journal.verbs.transaction import Transaction, listed

PAGE: Final = 32
MOST_HELD: Final = 8 * PAGE
"""So many wakes of one actor are held in one claim, or a page more; the rest is due at once."""

MOST_WAITING: Final = 8 * PAGE
"""So many routes, keys and traces of one actor are found to be full in one claim; the rest is due at once."""

_NARROW: Final = frozenset({ScopeLevel.ROUTE, ScopeLevel.KEY, ScopeLevel.TRACE})
"""Levels at which other wakes of the actor may still go."""

Guard = Callable[[Want, Ledger], Verdict]


class _Claim:
    """One call of `claim`: what it has found so far."""

    def __init__(self, tx: Transaction, now: int, lease: Lease) -> None:
        self.tx = tx
        self.now = now
        self.lease = lease
        self.wakes: list[ClaimedWake] = []
        self.held: list[str] = []
        self.next_due: int | None = None
        self._books: Books | None = None

    def look(self, want: ClaimWant) -> None:
        """Claim for one actor, and note when to look again."""
        pause = self.tx.paused(want.actor)
        slots = want.slots
        if pause is not None and self._proven(pause):
            pause = None
        if pause is not None:
            slots = min(slots, 1) if self.now >= pause.until and not self._probing(pause) else 0
        if slots > 0 and want.pressure is not None:
            ledger.wait(self.tx, want.pressure, self.now)
            # Before what is written down is over: as long as it holds it is one wait.
            self._due_at((self.now + want.pressure.until) // 2)
        elif slots > 0 and not self._is_closed(want):
            payers = accounts.payers(self.tx, want, slots, self.now)
            if not payers:
                self._note_room()
            elif want.admit is None:
                self._take_all(want, payers[0], pause)
            else:
                self._take_admitted(want, want.admit, payers, pause)
        self._note_next(want.actor, pause.until if pause else self.now)

    def _proven(self, pause: PauseRow) -> bool:
        """Whether a probe has gone on for so long that it closes the actor's circuit breaker."""
        if pause.kind is not PauseKind.BREAKER or self.now < pause.until + QUICK_MS:
            return False
        long_enough = self.tx.value("proven", (pause.actor, pause.until, self.now - QUICK_MS))
        return bool(long_enough) and breakers.close(self.tx, pause.actor, self.now)

    def _is_closed(self, want: ClaimWant) -> bool:
        """Whether it is a time at which nothing of the actor is to start; then that is written down."""
        if want.closed_until is None or want.closed_until <= self.now:
            return False
        wait = Waiting(
            scope=LimitScope(level=ScopeLevel.ACTOR, name=want.actor),
            unit=Unit.WAKES,
            window=Window.AT_ONCE,
            limit=0,
            until=want.closed_until,
            setting=want.closed_by,
            cause=WaitCause.QUIET,
        )
        ledger.wait(self.tx, wait, self.now)
        self._due_at(want.closed_until)
        return True

    def _probing(self, pause: PauseRow) -> bool:
        """Whether a probe is on its way. A run that answers it says so to the journal alone."""
        probing = bool(self.tx.value("probing", (pause.actor, pause.until)))
        if probing:
            self._due_at(self.now + LOOK_AFTER_PROBE_MS)
        return probing

    def _take_all(self, want: ClaimWant, payer: Payer, pause: PauseRow | None) -> None:
        rows = self.tx.rows("due", (want.actor, self.now, payer.slots))
        self._take([_wake(row, pause, self._others(row), account=payer.account) for row in rows])
        if payer.probes and rows:
            accounts.probe(self.tx, want.actor, payer.account, rows[0][0], rows[0][2])
        if not rows:
            # It may be paused, or what waits for it.
            room_at = ledger.next_until(self.tx)
            if room_at is not None and room_at <= self.now:
                ledger.end_timed_waits(self.tx, self.now)
            self._note_room()

    def _take_admitted(
        self, want: ClaimWant, admit: Guard, payers: Sequence[Payer], pause: PauseRow | None
    ) -> None:
        """What one account may not pay for now, the next one may."""
        self._open_books()
        left = want.slots if pause is None else 1
        for payer in payers:
            if left > 0 and not ledger.is_full(self.tx, want, payer.account):
                left -= self._take_candidates(
                    want, admit, replace(payer, slots=min(left, payer.slots)), pause
                )
        self._note_room()

    def _open_books(self) -> Books:
        """Once for each claim: what time has made room for is not full any more."""
        if self._books is None:
            self._books = Books(self.tx, self.now)
            ledger.end_timed_waits(self.tx, self.now)
        return self._books

    def _note_room(self) -> None:
        """When time makes room in a scope."""
        self._open_books()
        room_at = ledger.next_until(self.tx)
        if room_at is not None:
            self._due_at(room_at)

    def _take_candidates(self, want: ClaimWant, admit: Guard, payer: Payer, pause: PauseRow | None) -> int:
        """Take what may start and this account pays for. Returns how much that is."""
        books, taken = self._open_books(), 0
        full: set[LimitScope] = set()
        most = len(self.held) + MOST_HELD
        while len(self.held) < most and len(full) < MOST_WAITING:
            # What was looked at has been taken or held, or is in a full scope: each page is a new one.
            page = (want.actor, self.now, PAGE, want.rates_only)
            candidates = self.tx.rows("candidates", page)
            if not candidates:
                return taken
            for seq, *facts, size in candidates:
                wanted = _want(want, payer.account, *facts)
                if size > 1:
                    others = [
                        trace for (trace,) in self.tx.rows("traces_of", (seq,)) if trace != wanted.trace
                    ]
                    wanted = replace(wanted, other_traces=others)
                if full and not full.isdisjoint(ledger.scopes_of(wanted)):
                    continue
                asked = WakeLedger(books, wanted)
                verdict = admit(wanted, asked)
                match verdict:
                    case Go():
                        self._take_one(seq, want, payer, pause)
                        if want.reserve is not None:
                            books.reserve(wanted, seq)
                        for scope, window in asked.rates:
                            books.wakes.add(scope, window)
                        taken += 1
                        if taken == payer.slots:
                            return taken
                    case Wait(reasons=reasons):
                        full.update(reason.scope for reason in reasons)
                        if self._must_all_wait(reasons):
                            return taken
                    case Hold():
                        self._hold(seq, verdict)
                    case _:
                        assert_never(verdict)
        self._due_at(self.now)
        return taken

    def _must_all_wait(self, reasons: Sequence[Waiting]) -> bool:
        """Write down what is full. True if no other wake of the actor may go either."""
        for reason in reasons:
            ledger.wait(self.tx, reason, self.now)
        return not all(reason.scope.level in _NARROW for reason in reasons) or not reasons

    def _take_one(self, seq: int, want: ClaimWant, payer: Payer, pause: PauseRow | None) -> None:
        row = self.tx.one("one", (seq,))
        charged = want.reserve is not None
        self._take([_wake(row, pause, self._others(row), charged=charged, account=payer.account)])
        if payer.probes:
            accounts.probe(self.tx, want.actor, payer.account, seq, row[2])

    def _others(self, row: Any) -> Sequence[Member]:
        return members.others(self.tx, row[0]) if row[16] > 1 else ()

    def _take(self, wakes: Sequence[ClaimedWake]) -> None:
        lease = self.lease
        seqs = [wake.seq for wake in wakes] + [other.seq for wake in wakes for other in wake.others]
        self.tx.change("take", (listed(seqs), self.now, lease.worker, lease.until))
        self.wakes += wakes

    def _hold(self, seq: int, verdict: Hold) -> None:
        row = moves.load(self.tx, seq)
        moves.happen(self.tx, row, verdict, self.now)
        self.held.append(row.id)

    def _note_next(self, actor: str, earliest: int) -> None:
        """When something of the actor is due by time alone; not before its pause ends."""
        paused = earliest > self.now
        due = self.tx.value("later", (actor, -1 if paused else self.now))
        if due is not None:
            self._due_at(max(due, earliest))

    def _due_at(self, at: int) -> None:
        self.next_due = at if self.next_due is None else min(self.next_due, at)


def claim(tx: Transaction, wants: Sequence[ClaimWant], now: int, lease: Lease) -> Claims:
    """Claim due heads, oldest first, up to each actor's slots."""
    found = _Claim(tx, now, lease)
    tx.waiting.clear()
    for want in wants:
        found.look(want)
    return Claims(wakes=found.wakes, held=found.held, next_due=found.next_due)


def to_prepare(tx: Transaction, route: str, limit: int) -> Sequence[ToPrepare]:
    """What of one route waits for its transforms, in acceptance order."""
    return [
        ToPrepare(
            id=row[0],
            seq=row[1],
            event_id=row[2],
            route=row[3],
            actor=row[4],
            document=row[5],
            entity=row[6],
        )
        for row in tx.rows("to_prepare", (route, limit))
    ]


def _want(
    want: ClaimWant,
    account: str | None,
    route: str,
    hops: int,
    age_from: int,
    waived: str,
    key: str | None,
    trace: str,
) -> Want:
    return Want(
        actor=want.actor,
        route=route,
        trace=trace,
        key=key,
        hops=hops,
        age_from=age_from,
        account=account,
        tree=want.tree,
        needs=want.reserve or {},
        waived=tuple(filter(None, waived.split(","))),
    )


def _wake(
    row: Any,
    pause: PauseRow | None,
    others: Sequence[Member],
    *,
    charged: bool = False,
    account: str | None = None,
) -> ClaimedWake:
    return ClaimedWake(
        id=row[1],
        seq=row[0],
        token=row[2],
        event_id=row[3],
        route=row[4],
        actor=row[5],
        facts=Facts(
            state=State.RUNNING,
            accepted_at=row[6],
            age_from=row[7],
            attempts=row[8],
            failures=row[9],
            crashes=row[10],
        ),
        key=row[11],
        document=row[12],
        trace_id=row[13],
        hops=row[14],
        session_id=row[15],
        pause_tries=0 if pause is None else pause.tries,
        charged=charged,
        account=account,
        others=others,
    )
