"""Wakes with members: one delivery leads, and the others share whatever becomes of it.

Due time, tries, key and run are the lead's. Members have no place in a queue and are never claimed by
themselves. Every move covers all of them. Who is in a wake is fixed with its first claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orgloop.core.deliveries.delivery import FINISHED, Move, State
from orgloop.core.deliveries.transition import DropReason
from orgloop.journal.model import Member
from orgloop.journal.verbs.keys import free_keys
from orgloop.journal.verbs.transaction import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSummary:
    """What the steps of all members say of one move."""

    transition: str
    at: int
    began: int | None = None
    sop: tuple[str | None, str | None] = (None, None)
    run_id: str | None = None
    by: str = ""
    reason: str = ""


def others(tx: Transaction, lead: int) -> Sequence[Member]:
    """The members of a wake but for its lead, in acceptance order."""
    return [_member(row) for row in tx.rows("members", (lead,))]


def follow(tx: Transaction, lead: int, move: Move, summary: StepSummary) -> None:
    """The lead of a wake has moved: its members are there too, each with a step of its own."""
    rows = tx.rows("members", (lead,))
    tx.change("follow", (lead,))
    for row in rows:
        member, once = _member(row), row[7]
        if gives_keys_back(move):
            free_keys(tx, member.route, member.id, once)
        if move.state in FINISHED:
            tx.finished(member.route, row[8], move.state)
        tx.add_step(
            at=summary.at,
            delivery=member.seq,
            transition=summary.transition,
            state=move.state,
            attempt=move.attempts,
            reason=move.reason or summary.reason,
            detail=move.detail or summary.by,
            began=summary.began,
            sop=summary.sop,
            run_id=summary.run_id,
        )


def leave(tx: Transaction, seq: int, lead: int | None, members: int) -> None:
    """A delivery goes on alone, outside of any queue. If it led, the next one leads, at its place."""
    if lead is not None:
        tx.change("grow", (lead, -1))
        tx.change("alone", (seq, 0))
        return
    following = others(tx, seq)[0].seq
    batch = tx.one("batch_of", (seq,))
    tx.change("succeed", (following, members - 1, seq))
    tx.change("follow_next", (seq, following))
    tx.change("lose_place", (seq,))
    tx.change("alone", (seq, 0))
    if batch is not None:
        tx.change("reopen_batch", (following, *batch))


def dissolve(tx: Transaction, lead: int) -> Sequence[int]:
    """Each member is a wake of its own again, the lead too. Returns the seqs of the others."""
    seqs = [member.seq for member in others(tx, lead)]
    for seq in seqs:
        tx.change("alone", (seq, 1))
    tx.change("grow", (lead, -len(seqs)))
    return seqs


def gives_keys_back(move: Move) -> bool:
    """Whether another delivery may own this one's keys from now on: nothing comes of this one any more."""
    expired = move.state is State.DROPPED and move.reason == DropReason.EXPIRED
    return expired or move.state in (State.DEAD, State.DISCARDED)


def _member(row: Sequence[Any]) -> Member:
    return Member(
        seq=row[0],
        id=row[1],
        event_id=row[2],
        route=row[3],
        document=row[4],
        trace_id=row[5],
        hops=row[6],
    )
