"""Batches: deliveries of one route and key that wait a while for each other, and are woken for together.

One is open for a route and key, until it is full or claimed; a unique index holds that. It is the wake of its
first delivery, which leads: see `members`.
"""

from __future__ import annotations

from dataclasses import dataclass

from orgloop.core.deliveries.batch import Batch, Batching
from orgloop.core.deliveries.transition import Drop, DropReason
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.transaction import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenBatch:
    """A delivery that has just become pending, to be collected. `size` is how many bytes its event has."""

    seq: int
    id: str
    route: str
    actor: str
    key: str | None
    batch: Batching
    size: int


def place(tx: Transaction, new: OpenBatch, now: int) -> None:
    """Let it join the batch that is open for it, or begin one."""
    batching = new.batch
    found = tx.one("open_batch", (new.route, batching.key))
    if found is not None and found[1] != new.actor:
        # Its route has another actor by now, or had one: it goes alone.
        return
    if found is not None:
        lead, batch = found[0], Batch(members=found[2], due=found[3], until=found[4], size=found[5])
        if batch.takes(new.size):
            _join(tx, new, lead, batch, now)
            return
        tx.change("close_batch", (lead, now))
    begun = Batch.begun(batching.policy, new.size, now)
    tx.change("begin_batch", (new.seq, batching.key, begun.due, begun.until, begun.size, batching.thing))


def _join(tx: Transaction, new: OpenBatch, lead: int, batch: Batch, now: int) -> None:
    batching = new.batch
    thing = batching.thing
    old = tx.value("same_thing", (lead, thing)) if thing is not None else None
    after = batch.after(batching.policy, new.size, now, replaces=old is not None)
    tx.change("collect", (new.seq, lead, after.due, thing))
    tx.change("grow_batch", (lead, after.due, after.size, after.members >= batching.policy.max_events))
    if new.key is not None:
        moves.promote(tx, new.actor, new.key, now)
    if old is not None:
        alone = moves.leave(tx, moves.load(tx, old), now)
        later = Drop(reason=DropReason.SUPERSEDED, detail=f"{new.id} is a later version of it")
        moves.happen(tx, alone, later, now)
