"""What a delivery does with others of its route and key that have not finished: `then.on_busy`."""

from __future__ import annotations

from collections.abc import Sequence

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.on_busy import OnBusy, Turn
from orgloop.core.deliveries.transition import Drop, DropReason
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.transaction import Transaction


def take(tx: Transaction, seq: int, id: str, route: str, turn: Turn, now: int) -> None:
    """A delivery has just become pending: it meets those that came before it."""
    earlier = tx.rows("earlier", (route, turn.key, seq))
    tx.change("set_busy", (seq, turn.key))
    if not earlier:
        return
    if turn.on_busy is OnBusy.SKIP:
        busy = Drop(reason=DropReason.BUSY, detail=f"{earlier[0][1]} has not finished")
        moves.happen(tx, moves.load(tx, seq), busy, now)
        return
    cancels = turn.on_busy is OnBusy.CANCEL_IN_PROGRESS
    later = Drop(reason=DropReason.REPLACED, detail=f"{id} came later")
    for other, _, state, token in earlier:
        if state != State.PENDING:
            if cancels:
                tx.change("cancel", (other, id))
        elif cancels or not token:
            drop(tx, other, later, now)


def drop(tx: Transaction, seq: int, why: Drop, now: int) -> None:
    """A delivery that waits is dropped. It leaves its wake, unless who is in that is fixed: then it stays."""
    row = moves.load(tx, seq)
    if row.shares and row.token:
        return
    moves.happen(tx, moves.leave(tx, row, now) if row.shares else row, why, now)


def name(tx: Transaction, seq: int, drop_key: str) -> None:
    """What makes it needless finds it by this key."""
    tx.change("set_drop_key", (seq, drop_key))


def to_cancel(tx: Transaction, worker: str) -> Sequence[str]:
    """Runs that are to be stopped for the sake of a later delivery, and go on."""
    return [id for (id,) in tx.rows("to_cancel", (worker,))]


def drop_needless(
    tx: Transaction, event_seq: int, why: str, needless: Sequence[tuple[str, str]], now: int
) -> None:
    """An event has come that makes needless what waits: `needless` are routes and keys."""
    for route, key in needless:
        for (seq,) in tx.rows("needless", (route, key, event_seq)):
            drop(tx, seq, Drop(reason=DropReason.NEEDLESS, detail=why), now)
