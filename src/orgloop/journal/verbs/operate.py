"""The operator's and the daemon's hands: release, discard, retry; recovery, expiry, pruning, lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.core.deliveries import delivery as core
from orgloop.core.deliveries.delivery import CRASHES_BEFORE_HOLD, IllegalMove, Move, State
from orgloop.core.deliveries.transition import Discarded, Drop, DropReason, Released, Retried, Transition
from orgloop.errors import Conflict, NotFound
from orgloop.journal.model import DaemonRow, SystemEntry
from orgloop.journal.verbs import accounts, ledger, loops, members, moves
from orgloop.journal.verbs.keys import claim_keys, keys_of
from orgloop.journal.verbs.transaction import Transaction, listed

_PAGE: Final = 256
"""Events that are looked at in one statement."""

_DELETES: Final = (
    "delete_steps",
    "delete_callbacks",
    "delete_remote_runs",
    "delete_runs",
    "delete_deliveries",
    "delete_events",
)

_FINISHED: Final = "It is finished. `orgloop inspect` shows it; `orgloop replay` processes its event again."

_NEXT: Final[Mapping[State, str]] = {
    State.PREPARING: "Its transforms run by themselves; look again in a moment.",
    State.PENDING: "It waits for its turn. Nothing needs to be done.",
    State.RUNNING: "Its actor is being woken right now; look again in a moment.",
    State.STARTED: "A run has started for it: it ends with that run.",
    State.DELIVERED: _FINISHED,
    State.DROPPED: _FINISHED,
    State.DISCARDED: _FINISHED,
    State.HELD: "A held delivery can be released or discarded.",
    State.DEAD: "A dead delivery can be retried or discarded.",
}


def operate(tx: Transaction, delivery_id: str, transition: Transition, now: int) -> Move:
    """Release, discard or retry one. Raises NotFound, or Conflict if its state does not allow it."""
    if not isinstance(transition, Released | Discarded | Retried):
        raise TypeError(f"{type(transition).__name__} does not come from an operator")
    row = moves.find(tx, delivery_id)
    if row is None:
        raise NotFound(
            f"there is no delivery {delivery_id}",
            hint="Ids begin with dlv_; finished deliveries are deleted after event_retention.",
        )
    try:
        move = core.move(row.facts, transition, core.DeliveryPolicy(), now, 0.0)
    except IllegalMove as exc:
        word = moves.WORDS[type(transition)]
        raise Conflict(
            f"delivery {delivery_id} is {row.state} and cannot be {word}", hint=_NEXT[row.state]
        ) from exc
    if isinstance(transition, Discarded):
        # The move is that of a member: alone, what waits for its turn cannot be discarded.
        alone = moves.leave(tx, row, now) if row.shares else row
        moves.write(tx, alone, transition, move, now, to=alone, by=transition.by)
        return move
    lead = row if row.lead is None else moves.load(tx, row.lead)
    if move.state is State.PENDING:
        dropped = _drop_duplicates(tx, lead, now)
        if row.seq in dropped:
            return dropped[row.seq]
        # The one that led may be among them.
        row = moves.load(tx, row.seq)
        lead = row if row.lead is None else moves.load(tx, row.lead)
    return moves.happen(tx, lead, transition, now, by=transition.by)


def _drop_duplicates(tx: Transaction, lead: moves.Row, now: int) -> Mapping[int, Move]:
    """Before a wake goes on: drop what would be a duplicate by now. What became of it, by seq.

    It may never have owned its keys, or have given them back: another may have passed since.
    """
    seqs = [lead.seq, *(other.seq for other in members.others(tx, lead.seq))]
    dropped = {}
    for row in [moves.load(tx, seq) for seq in seqs]:
        owner = claim_keys(tx, row.route, row.id, row.accepted_at, keys_of(row.once))
        if owner:
            row = moves.load(tx, row.seq)
            alone = moves.leave(tx, row, now) if row.shares else row
            duplicate = Drop(reason=DropReason.DUPLICATE, detail=f"{owner} passed with the same key")
            dropped[row.seq] = moves.happen(tx, alone, duplicate, now)
    return dropped


def recover(tx: Transaction, now: int, worker: str) -> Mapping[str, int]:
    """What this worker was at when it died goes back to pending, or is held after three deaths.

    So does what others left whose leases are over.

    The one move that is written as SQL: its size is not known, and nothing is loaded.
    """
    tx.flush()
    last_seen = tx.value("last_seen")
    if last_seen is not None and last_seen > now:
        set_back(tx, now, last_seen - now)
        tx.change("seen_by_now", (now,))
    tx.change("seen_by_work", (now,))
    ledger.refund_interrupted(tx, now, worker)
    ledger.end_all_waits(tx, now)
    first = tx.next(tx.value("interrupted", (worker, now)))
    tx.change("recover_steps", (now, first, CRASHES_BEFORE_HOLD, worker))
    states = [state for (state,) in tx.rows("recover", (now, CRASHES_BEFORE_HOLD, worker))]
    if states:
        tx.change("promote_all", (now,))
    return dict(Counter(states))


def set_back(tx: Transaction, now: int, by: int) -> None:
    """The clock was set back by so many ms and says `now`: nothing has to wait until it catches up."""
    for query in ("set_back_heads", "set_back_others", "set_back_batches", "set_back_pauses"):
        tx.change(query, (now, by))
    ledger.set_back(tx, now, by)
    accounts.set_back(tx, now, by)
    tx.forget_pauses()


def expire(tx: Transaction, now: int, held_before: int, limit: int) -> int:
    """Drop what was held before that time, a page of it. Returns how many."""
    seqs = [seq for (seq,) in tx.rows("held_before", (held_before, limit))]
    for seq in seqs:
        row = moves.load(tx, seq)
        if row.state is not State.HELD:
            continue  # The delivery that leads its wake was among them.
        if row.lead is not None:
            row = moves.load(tx, row.lead)
        detail = f"held ({row.reason}) for longer than event_retention"
        moves.happen(tx, row, Drop(reason=DropReason.EXPIRED, detail=detail), now)
    return len(seqs)


def prune(tx: Transaction, before: int, seen_before: int, limit: int) -> int:
    """Delete up to `limit` events that were finished before that time, with all that hangs on them.

    An event stays while any of its deliveries can still be waited for, tried or released. Keys
    stay owned, after their window, for as long as identities are remembered: what was accepted
    within the window may be prepared late. Returns how many events went, or `limit` if more identities
    or keys can go.
    """
    tx.flush()
    tx.change("raise_floor", (tx.next(),))
    events = _finished(tx, before, limit)
    if events:
        page = listed(events)
        sops = [hash_ for (hash_,) in tx.rows("doomed_sops", (page,))]
        for query in _DELETES:
            tx.change(query, (page,))
        tx.change("delete_sops", (listed(sops),))
    most = limit * 4
    known = [tx.change(query, (seen_before, most)) for query in ("delete_seen", "delete_owned")]
    known.append(tx.change("delete_system", (before, most)))
    known.append(tx.change("delete_sessions", (before, most)))
    known.append(loops.prune(tx, before, most))
    known.append(ledger.prune(tx, min(before, seen_before), most))
    tx.rows("shrink")
    return limit if most in known else len(events)


def record(tx: Transaction, entries: Sequence[SystemEntry]) -> None:
    """Write down what happened to sources, or to the daemon itself."""
    rows = [
        (tx.next(), tx.project, one.at, one.phase, one.subject, one.event_id, one.detail, one.times)
        for one in entries
    ]
    tx.change_each("insert_system", rows)


def beat(tx: Transaction, life: DaemonRow) -> None:
    """Write a daemon's life."""
    tx.change(
        "beat",
        (life.started_at, life.last_seen, life.ended_at, life.pid, life.port, life.version),
    )
    tx.change("keep_daemons")


def _finished(tx: Transaction, before: int, limit: int) -> Sequence[int]:
    found: list[int] = []
    last = 0
    while page := tx.rows("oldest_events", (before, last, _PAGE)):
        for seq, at, goes_on in page:
            if at >= before or len(found) == limit:
                return found
            if not goes_on:
                found.append(seq)
        last = page[-1][0]
    return found
