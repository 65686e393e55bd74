"""Writing down how things ended: tries, and transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from orgloop.core import delivery as core
from orgloop.core.delivery import FINISHED, State
from orgloop.core.happening import (
    Claimed,
    Delivered,
    Discarded,
    Drop,
    DropReason,
    Happening,
    Hold,
    Interrupted,
    Limited,
    NotStarted,
    Prepare,
    Ready,
    Rejected,
    Released,
    Retried,
    Retry,
    RunEnded,
    Skipped,
    Started,
    Throttled,
    Unavailable,
)
from orgloop.journal import moves, statements
from orgloop.journal.accept import claim_keys
from orgloop.journal.model import Prepared, Settlement
from orgloop.journal.transaction import Transaction

_SQL: Final = statements.load("moves.sql")


@dataclass(frozen=True, slots=True)
class Settled:
    """The delivery whose try ended."""

    seq: int
    actor: str
    route: str
    key: str | None


def settle(tx: Transaction, settlement: Settlement) -> Settled | None:
    """End one try; None if it is no longer the caller's."""
    move, tried = settlement.move, settlement.tried
    row = tx.execute(
        _SQL["end_try"],
        (
            settlement.id,
            settlement.token,
            move.state,
            move.reason,
            move.detail,
            move.due,
            settlement.at,
            move.age_from,
            move.attempts,
            move.failures,
            move.crashes,
            move.run_id,
        ),
    ).fetchone()
    if row is None:
        return None
    settled = Settled(*row)
    if settled.key is not None and move.state is not State.STARTED:
        moves.promote(tx, settled.actor, settled.key)
    if tried.sop_hash is not None and tried.sop_text is not None:
        tx.execute(_SQL["keep_sop"], (tried.sop_hash, tried.sop_text))
    if move.state in FINISHED:
        tx.finished(settled.route, move.state)
    tx.add_step(
        at=settlement.at,
        delivery=settled.seq,
        happening=moves.WORDS[type(settlement.happening)],
        state=move.state,
        attempt=move.attempts,
        reason=move.reason,
        detail=move.detail,
        began=tried.began,
        sop=(tried.sop_hash, tried.sop_file),
        run_id=move.run_id,
    )
    if move.pause_actor and settlement.pause_until is not None:
        moves.knock_failed(tx, settled.actor, settlement.pause_until, tried.began, settlement.at, move.detail)
    elif has_answered(settlement.happening):
        moves.answered(tx, settled.actor)
    return settled


def has_answered(happening: Happening) -> bool:
    """Whether this proves that somebody is there, so that the actor's pause is over.

    A run that is only committed proves nothing: its program may be missing.
    """
    match happening:
        case Delivered() | Skipped() | Rejected() | Retry() | Throttled() | Limited() | RunEnded():
            return True
        case NotStarted(outcome=outcome):
            return has_answered(outcome)
        case Unavailable() | Interrupted() | Started() | Hold():
            return False
        case Ready() | Drop() | Claimed() | Prepare() | Released() | Retried() | Discarded():
            return False
        case _:
            assert_never(happening)


def prepared(tx: Transaction, results: Sequence[Prepared], now: int) -> None:
    """Commit prepare results in the given order; what is not preparing any more is left alone."""
    for result in results:
        row = moves.find(tx, result.id)
        if row is None or row.state is not State.PREPARING:
            continue
        happening = result.happening
        owner = claim_keys(tx, row.route, row.id, row.accepted_at, result.once)
        if owner:
            happening = Drop(reason=DropReason.DUPLICATE, detail=f"{owner} came first")
        move = core.move(row.facts, happening, core.DeliveryPolicy(), now, 0.0)
        to = moves.changed(row, key=result.key, document=result.document, steps=result.steps)
        moves.write(tx, row, happening, move, now, to=to)
