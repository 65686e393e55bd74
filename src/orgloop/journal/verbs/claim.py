"""Finding work: claims under the guards, and what waits for its transforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, assert_never

from orgloop.core.admission import Go, Usage, Verdict, Wait, Want
from orgloop.core.delivery import Facts, State
from orgloop.core.happening import Hold
from orgloop.journal.model import ClaimedWake, Claims, ClaimWant, Lease, PauseRow, ToPrepare
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.transaction import Transaction, listed

PAGE: Final = 32
MOST_HELD: Final = 8 * PAGE
"""So many wakes of one actor are held in one claim, or a page more; the rest is due at once."""

LOOK_AFTER_KNOCK_MS: Final = 1_000
"""While a wake knocks at an actor that nobody answers for, it is looked at again after so long."""

_HOUR: Final = 3_600_000

Guard = Callable[[Want, Usage], Verdict]


class _Going:
    """What goes on in this home, with what this transaction adds."""

    def __init__(self, tx: Transaction, now: int) -> None:
        busy = tx.rows("busy")
        self.total = len(busy)
        self.actors = Counter(actor for actor, _, _, _ in busy)
        self.routes = Counter(route for _, route, _, _ in busy)
        self.directories = {directory for _, _, directory, _ in busy if directory is not None}
        starting = sum(state == State.RUNNING for _, _, _, state in busy)
        self.hour = starting + tx.value("runs_since", (now - _HOUR, now))

    def usage(self, want: Want) -> Usage:
        return Usage(
            home_runs=self.total,
            actor_runs=self.actors[want.actor],
            route_runs=self.routes[want.route],
            busy_directories=self.directories,
            runs_last_hour=self.hour,
        )

    def add(self, want: Want) -> None:
        self.total += 1
        self.actors[want.actor] += 1
        self.routes[want.route] += 1
        self.hour += 1
        if want.directory is not None:
            self.directories.add(want.directory)


class _Claim:
    """One call of `claim`: what it has found so far."""

    def __init__(self, tx: Transaction, now: int, lease: Lease) -> None:
        self.tx = tx
        self.now = now
        self.lease = lease
        self.wakes: list[ClaimedWake] = []
        self.held: list[str] = []
        self.waiting: dict[str, str] = {}
        self.next_due: int | None = None
        self._going: _Going | None = None

    def look(self, want: ClaimWant) -> None:
        """Claim for one actor, and note when to look again."""
        pause = self.tx.paused(want.actor)
        slots = want.slots
        if pause is not None:
            self.waiting[want.actor] = f"nobody answers: {pause.reason}"
            slots = min(slots, 1) if self.now >= pause.until and not self._knocks(pause) else 0
        if slots > 0:
            if want.admit is None:
                self._take_all(want, slots, pause)
            else:
                self._take_admitted(want, want.admit, slots, pause)
        self._note_next(want.actor, pause.until if pause else self.now)

    def _knocks(self, pause: PauseRow) -> bool:
        """Whether a knock is on its way. A run that answers it says so to the journal alone."""
        knocks = bool(self.tx.value("knocking", (pause.actor, pause.until)))
        if knocks:
            self._due_at(self.now + LOOK_AFTER_KNOCK_MS)
        return knocks

    def _take_all(self, want: ClaimWant, slots: int, pause: PauseRow | None) -> None:
        rows = self.tx.rows("due", (want.actor, self.now, slots))
        self._take([row[0] for row in rows], want)
        self.wakes += [_wake(row, pause) for row in rows]

    def _take_admitted(self, want: ClaimWant, admit: Guard, slots: int, pause: PauseRow | None) -> None:
        going = self._going = self._going or _Going(self.tx, self.now)
        must_wait: list[str] = []
        most = len(self.held) + MOST_HELD
        while len(self.held) < most:
            # What was looked at has been taken or held, or its route must wait: each page is a new one.
            page = (want.actor, self.now, listed(must_wait), PAGE)
            candidates = self.tx.rows("candidates", page)
            if not candidates:
                return
            for seq, *facts in candidates:
                if facts[0] in must_wait:
                    continue
                wanted = _want(want, *facts, paused=self._paused_ms(pause, facts[2]))
                verdict = admit(wanted, going.usage(wanted))
                match verdict:
                    case Go():
                        self._take_one(seq, want, pause)
                        going.add(wanted)
                        slots -= 1
                        if not slots:
                            return
                    case Wait(why=why, route_only=route_only):
                        self.waiting.setdefault(want.actor, why)
                        if not route_only:
                            return
                        # Another route's wake may still go; this route's next one meets the same wall.
                        must_wait.append(wanted.route)
                    case Hold():
                        self._hold(seq, verdict)
                    case _:
                        assert_never(verdict)
        self._due_at(self.now)

    def _paused_ms(self, pause: PauseRow | None, age_from: int) -> int:
        """How much of an age is the pause's, that has not ended yet."""
        return 0 if pause is None else max(0, self.now - max(pause.since, age_from))

    def _take_one(self, seq: int, want: ClaimWant, pause: PauseRow | None) -> None:
        row = self.tx.one("one", (seq,))
        self._take([seq], want)
        self.wakes.append(_wake(row, pause))

    def _take(self, seqs: Sequence[int], want: ClaimWant) -> None:
        lease = self.lease
        self.tx.change("take", (listed(seqs), self.now, want.directory, lease.worker, lease.until))

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
    for want in wants:
        found.look(want)
    return Claims(wakes=found.wakes, held=found.held, next_due=found.next_due, waiting=found.waiting)


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
        )
        for row in tx.rows("to_prepare", (route, limit))
    ]


def _want(want: ClaimWant, route: str, hops: int, age_from: int, waived: str, *, paused: int) -> Want:
    return Want(
        actor=want.actor,
        route=route,
        hops=hops,
        age_from=age_from + paused,
        directory=want.directory,
        waived=tuple(filter(None, waived.split(","))),
    )


def _wake(row: Any, pause: PauseRow | None) -> ClaimedWake:
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
    )
