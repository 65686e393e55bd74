"""Writing down how things ended: tries, and transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from orgloop.core.deliveries import delivery as core
from orgloop.core.deliveries.delivery import FINISHED, State
from orgloop.core.deliveries.transition import (
    Claimed,
    Delivered,
    Discarded,
    Drop,
    DropReason,
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
    Transition,
    Unavailable,
)
from orgloop.journal.model import Prepared, Settlement, Try
from orgloop.journal.verbs import accounts, batches, breakers, ledger, members, moves, on_busy
from orgloop.journal.verbs.keys import claim_keys, free_keys, once_json
from orgloop.journal.verbs.transaction import Joint, Transaction


class Fenced(Exception):
    """Of tries that were to end together, some are no longer their callers': they must end one by one."""


@dataclass(frozen=True, slots=True)
class Settle(Joint):
    """The end of one try, as work. True if it was still the caller's.

    `asks_route` is set if its route may have another name since the claim.

    Alone each costs a statement of its own: one event's accept, claim and settle then take 1.09 times the
    CPU time (`python -m bench techniques`).
    """

    settlement: Settlement
    asks_route: bool = False

    def __call__(self, tx: Transaction) -> bool:
        return settle(tx, self.settlement, asks_route=self.asks_route)

    @classmethod
    def together(cls, tx: Transaction, works: Sequence[Settle]) -> Sequence[bool]:
        """The ends of many tries. Raises Fenced, and then nothing may be committed."""
        settlements = [work.settlement for work in works]
        if tx.change_each("end_try", [_row(one) for one in settlements]) != len(settlements):
            raise Fenced
        _keep_sops(tx, [one.tried for one in settlements])
        for work in works:
            _follow(tx, work.settlement, asks_route=work.asks_route)
        return [True] * len(settlements)


def settle(tx: Transaction, settlement: Settlement, *, asks_route: bool = False) -> bool:
    """End one try; False if it is no longer the caller's."""
    if not tx.change("end_try", _row(settlement)):
        return False
    _keep_sops(tx, [settlement.tried])
    _follow(tx, settlement, asks_route=asks_route)
    return True


def _row(settlement: Settlement) -> tuple[Any, ...]:
    move, wake = settlement.move, settlement.wake
    return (
        wake.seq,
        wake.token,
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
    )


def _keep_sops(tx: Transaction, tries: Sequence[Try]) -> None:
    texts = {tried.sop_hash: tried.sop_text for tried in tries if tried.sop_text is not None}
    tx.change_each("keep_sop", list(texts.items()))


def _follow(tx: Transaction, settlement: Settlement, *, asks_route: bool) -> None:
    """What comes with the end of a try: its key's next one, its step, its actor's pause."""
    move, tried, wake = settlement.move, settlement.tried, settlement.wake
    # So most tries end: then nothing of keys that are owned, accounts and pauses is to be done.
    is_plain = isinstance(settlement.transition, Delivered) and not tx.has_pauses
    if wake.key is not None and move.state is not State.STARTED:
        moves.promote(tx, wake.actor, wake.key, settlement.at)
    if wake.charged and move.state is not State.STARTED:
        ledger.refund(tx, wake.seq, settlement.at)
    if not is_plain and members.gives_keys_back(move):
        moves.free_keys_of(tx, wake.seq)
    if move.state in FINISHED:
        route = tx.value("route_of", (wake.seq,)) if asks_route else wake.route
        tx.finished(route, wake.actor, move.state)
    tx.add_step(
        at=settlement.at,
        delivery=wake.seq,
        transition=moves.WORDS[type(settlement.transition)],
        state=move.state,
        attempt=move.attempts,
        reason=move.reason,
        detail=move.detail,
        began=tried.began,
        sop=(tried.sop_hash, tried.sop_file),
        run_id=move.run_id,
    )
    if wake.others:
        summary = members.StepSummary(
            transition=moves.WORDS[type(settlement.transition)],
            at=settlement.at,
            began=tried.began,
            sop=(tried.sop_hash, tried.sop_file),
            run_id=move.run_id,
        )
        members.follow(tx, wake.seq, move, summary)
    if not is_plain:
        _pause_or_resume(tx, settlement)
    if settlement.sign is not None:
        breakers.take(tx, wake.actor, settlement.sign, began=tried.began, now=settlement.at)


def _pause_or_resume(tx: Transaction, settlement: Settlement) -> None:
    """What a try says of its account and its actor."""
    move, tried, wake = settlement.move, settlement.tried, settlement.wake
    accounts.after(tx, wake.actor, wake.account, wake.seq, settlement.transition, settlement.at)
    if move.pause_actor and settlement.pause_until is not None:
        moves.probe_failed(tx, wake.actor, settlement.pause_until, tried.began, settlement.at, move.detail)
    elif tx.pauses and has_answered(settlement.transition):
        moves.answers(tx, wake.actor, settlement.at)


def has_answered(transition: Transition) -> bool:
    """Whether this proves that somebody is there, so that the actor's pause is over.

    A run that is only committed proves nothing: its program may be missing.
    """
    match transition:
        case Delivered() | Skipped() | Rejected() | Retry() | Throttled() | Limited() | RunEnded():
            return True
        case NotStarted(outcome=outcome):
            return has_answered(outcome)
        case Unavailable() | Interrupted() | Started() | Hold():
            return False
        case Ready() | Drop() | Claimed() | Prepare() | Released() | Retried() | Discarded():
            return False
        case _:
            assert_never(transition)


def prepared(tx: Transaction, results: Sequence[Prepared], now: int) -> None:
    """Commit prepare results in the given order; what is not preparing any more is left alone."""
    for result in results:
        row = moves.find(tx, result.id)
        if row is None or row.state is not State.PREPARING:
            continue
        transition = result.transition
        # It may have been prepared before, with other keys, or was let pass and is not now.
        free_keys(tx, row.route, row.id, row.once)
        passes = isinstance(transition, Ready)
        owner = claim_keys(tx, row.route, row.id, row.accepted_at, result.once, passes=passes)
        if owner:
            transition = Drop(reason=DropReason.DUPLICATE, detail=f"{owner} came first")
        move = core.move(row.facts, transition, core.DeliveryPolicy(), now, 0.0)
        key = result.key if result.ordered else None
        if key is None:
            tx.change("set_loose_key", (result.key, row.seq))
        to = moves.changed(
            row,
            key=key,
            document=result.document,
            steps=result.steps,
            once=once_json(result.once),
        )
        moves.write(tx, row, transition, move, now, to=to)
        if result.turn is not None and move.state is State.PENDING:
            on_busy.take(tx, row.seq, row.id, row.route, result.turn, now)
        if result.batch is not None and move.state is State.PENDING:
            size = tx.value("document_size", (row.seq,))
            batches.place(
                tx,
                batches.OpenBatch(
                    seq=row.seq,
                    id=row.id,
                    route=row.route,
                    actor=row.actor,
                    key=key,
                    batch=result.batch,
                    size=size,
                ),
                now,
            )
