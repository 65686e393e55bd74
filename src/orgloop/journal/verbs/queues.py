"""Queues of routes that are bounded: what becomes of a delivery for which there is no room."""

from __future__ import annotations

from typing import assert_never

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.queue_limit import Overflow, QueueLimit
from orgloop.core.deliveries.transition import Drop, DropReason, Hold, HoldReason
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.on_busy import drop
from orgloop.journal.verbs.transaction import Transaction

_WAITS = (State.PREPARING, State.PENDING)


def take(tx: Transaction, seq: int, route: str, limit: QueueLimit, now: int) -> None:
    """A delivery has just been accepted and waits, unless it was dropped in the meantime."""
    if moves.load(tx, seq).state not in _WAITS:
        return
    waiting = tx.waiting.get(route)
    if waiting is None:
        waiting = tx.value("count_waiting", (route,))
    tx.change("set_counted", (seq,))
    tx.waiting[route] = waiting + 1
    if waiting < limit.depth:
        return
    detail = f"{waiting} deliveries of this route wait; {limit.setting} is {limit.depth}"
    too_many = Drop(reason=DropReason.OVERFLOW, detail=detail)
    match limit.overflow:
        case Overflow.REFUSE:
            drop(tx, seq, too_many, now)
        case Overflow.DROP_OLDEST:
            oldest = tx.value("oldest_untried", (route, seq))
            drop(tx, seq if oldest is None else oldest, too_many, now)
        case Overflow.HOLD:
            row = moves.load(tx, seq)
            alone = moves.leave(tx, row, now) if row.shares else row
            moves.happen(tx, alone, Hold(reason=HoldReason.OVERFLOW, detail=detail), now)
        case _:
            assert_never(limit.overflow)
    # What was asked before is no longer so; this is.
    tx.waiting[route] = waiting
