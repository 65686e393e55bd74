"""How a delivery's row changes after a move of `core.deliveries.delivery`, and its key's queue with it.

A key's queue are the deliveries of one actor and key that are preparing, pending, running or
started. Exactly one of them is the head: the one that is awake (running or started), else the first by
place. A place is the order of acceptance, or for what a person lets go on, a later one.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from orgloop.core.deliveries import delivery as core
from orgloop.core.deliveries.admission import LimitScope, ScopeLevel
from orgloop.core.deliveries.delivery import BLOCKING, FINISHED, DeliveryPolicy, Facts, Move, State
from orgloop.core.deliveries.transition import Transition
from orgloop.journal.model import PauseKind, PauseRow
from orgloop.journal.verbs import ledger, members
from orgloop.journal.verbs.keys import free_keys, steps_json
from orgloop.journal.verbs.transaction import Transaction

WORDS: Final[Mapping[type, str]] = {
    kind: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower() for kind in typing.get_args(Transition)
}
"""Every transition's class, as steps call it: `run_ended`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery, as a move needs it. The order of its fields is the queries'."""

    seq: int
    id: str
    route: str
    actor: str
    runs: int
    state: State
    reason: str
    key: str | None
    head: int
    pos: int
    accepted_at: int
    age_from: int
    attempts: int
    failures: int
    crashes: int
    waived: str
    document: bytes | None
    steps: str | None
    once: str | None
    lead: int | None
    members: int
    token: int

    @property
    def shares(self) -> bool:
        """Whether its wake has other members."""
        return self.lead is not None or self.members > 1

    @property
    def facts(self) -> Facts:
        return Facts(
            state=self.state,
            accepted_at=self.accepted_at,
            age_from=self.age_from,
            attempts=self.attempts,
            failures=self.failures,
            crashes=self.crashes,
            reason=self.reason,
            # Who is in a wake is fixed with its first claim.
            members=1 if self.token else 2 if self.lead is not None else self.members,
        )

    @property
    def queued(self) -> bool:
        return self.key is not None and self.state in BLOCKING


def find(tx: Transaction, delivery_id: str) -> Row | None:
    """The delivery with this id."""
    found = tx.one("find", (delivery_id,))
    return None if found is None else _row(found)


def load(tx: Transaction, seq: int) -> Row:
    """The delivery with this seq, which is known to be there."""
    return _row(tx.rows("load", (seq,))[0])


def happen(tx: Transaction, row: Row, transition: Transition, now: int, *, by: str = "") -> Move:
    """Apply to a row that nobody holds what needs no policy and no chance. Raises IllegalMove."""
    move = core.move(row.facts, transition, DeliveryPolicy(), now, 0.0)
    prepares = move.state is State.PREPARING
    to = changed(row, key=row.key, document=None, steps=(), once=row.once) if prepares else row
    write(tx, row, transition, move, now, to=to, by=by)
    return move


def write(
    tx: Transaction, row: Row, transition: Transition, move: Move, now: int, *, to: Row, by: str = ""
) -> None:
    """Write the row after `move`, and its step. `to` is the row with what its transforms left."""
    tx.waiting.clear()
    waived = ",".join(dict.fromkeys(filter(None, [*row.waived.split(","), move.waive])))
    pos = tx.next() if move.rejoin else row.pos
    after = replace(to, state=move.state, pos=pos)
    stays = row.queued and after.queued and (after.key, after.pos) == (row.key, row.pos)
    alone = move.state in BLOCKING and after.key is None and row.lead is None
    head = row.head if stays else int(alone)
    tx.change(
        "write",
        (
            row.seq,
            move.state,
            move.reason,
            move.detail,
            move.due,
            now,
            move.age_from,
            move.attempts,
            move.failures,
            move.crashes,
            waived,
            after.key,
            pos,
            after.document,
            after.steps,
            head,
            after.once,
        ),
    )
    if not stays:
        if row.queued and row.head:
            promote(tx, row.actor, row.key, now)
        if after.queued:
            _join(tx, row.actor, after.key, pos, now)
    if members.gives_keys_back(move):
        free_keys(tx, row.route, row.id, row.once)
    if move.state in FINISHED:
        tx.finished(row.route, row.actor, move.state)
    tx.add_step(
        at=now,
        delivery=row.seq,
        transition=WORDS[type(transition)],
        state=move.state,
        attempt=move.attempts,
        reason=move.reason,
        detail=move.detail or by,
    )
    if row.members > 1:
        members.follow(
            tx, row.seq, move, members.StepSummary(transition=WORDS[type(transition)], at=now, by=by)
        )


def free_keys_of(tx: Transaction, seq: int) -> None:
    """The delivery with this seq owns none of its keys any more."""
    for id, route, once in tx.rows("once_of", (seq,)):
        free_keys(tx, route, id, once)


def leave(tx: Transaction, row: Row, now: int) -> Row:
    """A delivery leaves its wake. If it led, the next one leads, at its place. Returns it as it is then."""
    members.leave(tx, row.seq, row.lead, row.members)
    if row.lead is None and row.queued and row.head:
        promote(tx, row.actor, row.key, now)
    return load(tx, row.seq)


def promote(tx: Transaction, actor: str, key: str | None, now: int) -> None:
    """Give a key that lost its head its next one. Heads queue from when they became it: see `candidates`."""
    tx.change("promote", (actor, key, now))


def repoint(tx: Transaction, row: Row, actor: str, runs: bool, now: int) -> None:
    """Another actor for a delivery that waits for its turn or for a person."""
    # What it waited for with the old one is no part of its age with the new one.
    age_from = row.age_from + ledger.waited_for_actor(tx, row.actor, row.age_from, now)
    tx.change("repoint", (row.seq, actor, runs, 0 if row.queued else row.head, age_from))
    if row.members > 1:
        tx.change("repoint_members", (row.seq, actor, runs, age_from))
    # The members of a wake that another leads were counted with it.
    tx.repointed(row.route, row.actor, actor, row.members)
    if row.queued:
        if row.head:
            promote(tx, row.actor, row.key, now)
        _join(tx, actor, row.key, row.pos, row.accepted_at)


def changed(
    row: Row,
    *,
    key: str | None,
    document: bytes | None,
    steps: Sequence[Mapping[str, Any]],
    once: str | None,
) -> Row:
    """The row with what its transforms left."""
    return replace(row, key=key, document=document, steps=steps_json(steps), once=once)


def probe_failed(
    tx: Transaction, actor: str, until: int, began: int, now: int, reason: str, *, tries: int = 0
) -> None:
    """Nobody answered: pause the actor, or extend its pause.

    Of wakes that failed together only the first counts as a try: a wake that began before the
    pause was over is no new probe. `tries` is how often nobody had answered before this one, for a
    pause that was ended too early.
    """
    known = tx.paused(actor)
    if known is None:
        tx.pause(PauseRow(actor=actor, since=now, until=until, tries=tries + 1, reason=reason))
    elif began >= known.until:
        tx.pause(replace(known, until=until, tries=known.tries + 1, reason=reason))


def end_pause(tx: Transaction, actor: str, now: int, kind: PauseKind | None = None) -> bool:
    """End the actor's pause, if it has one of this kind; None: of any. Whether it had."""
    pause = tx.paused(actor)
    if pause is None or kind not in (None, pause.kind):
        return False
    ledger.note_waited(tx, LimitScope(level=ScopeLevel.ACTOR, name=actor), pause.since, now)
    tx.resume(actor)
    return True


def answers(tx: Transaction, actor: str, now: int) -> None:
    """Somebody answers for the actor. That closes no breaker."""
    end_pause(tx, actor, now, PauseKind.UNAVAILABLE)


def _join(tx: Transaction, actor: str, key: str | None, pos: int, now: int) -> None:
    """Let a row that is in a key's queue now be its head, if it comes before a head that has not begun."""
    tx.change("yield_head", (actor, key, pos))
    promote(tx, actor, key, now)


def _row(found: Sequence[Any]) -> Row:
    values = list(found)
    values[5] = State(values[5])
    return Row(*values)
