"""Loops: the same event that comes again and again in one chain, for one route."""

from __future__ import annotations

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Hold, HoldReason
from orgloop.journal.model import Repeats
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.transaction import Transaction


def take(tx: Transaction, seq: int, route: str, trace: str, hops: int, repeats: Repeats, now: int) -> None:
    """A delivery that may wake an agent has just been accepted. Of a chain that repeats itself it is held.

    Only what came with fewer hops was before it in its chain: what fans out may be alike. Where one says the
    same each time and another says something new, the chain gets on: what came before that counts once.
    """
    came = (trace, route, repeats.likeness, hops)
    before = tx.value("count_alike", came)
    if before > repeats.most:
        before = 1 + tx.value("count_alike_since_new", came)
    tx.change("note_alike", (*came, now))
    if before <= repeats.most:
        return
    row = moves.load(tx, seq)
    if row.state not in (State.PENDING, State.PREPARING):
        return
    detail = (
        f"the same event came {before} times before in this chain, without anything new or from outside; "
        f"defaults.limits.max_repeats is {repeats.most}"
    )
    alone = moves.leave(tx, row, now) if row.shares else row
    moves.happen(tx, alone, Hold(reason=HoldReason.LOOP, detail=detail), now)


def prune(tx: Transaction, before: int, limit: int) -> int:
    """Forget chains that ended before that time, some of them. How many went."""
    return tx.change("delete_alike", (before, limit))
