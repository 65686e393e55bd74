"""Runs: their start, what they say, their end, and the sessions that keys lead to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from orgloop.core.deliveries.delivery import FINISHED, Facts, State
from orgloop.core.deliveries.transition import NotStarted
from orgloop.core.records.from_journal import Happened
from orgloop.core.text.json_text import dump_json, load_json
from orgloop.journal.model import Cause, OpenRemote, OpenRun, RunBegun, RunEnd, RunStart
from orgloop.journal.verbs import accounts, breakers, ledger, members, moves
from orgloop.journal.verbs.accept import accept
from orgloop.journal.verbs.ledger import MOST_SPENT, Spent
from orgloop.journal.verbs.settle import has_answered, settle
from orgloop.journal.verbs.transaction import Transaction

NOT_STARTED: Final = "not_started"
"""The reason of a run that never began its work. Such a run has no outcome."""


_MET_LIMIT: Final = "a run met its usage limit"


@dataclass(frozen=True, slots=True)
class Note:
    """What a run said last, until it is written."""

    last_line: str
    offset: int
    at: int
    session_id: str | None
    cost_usd: float | None
    alive: bool
    answered: bool
    seen_at: int | None

    def after(self, earlier: Note | None) -> Note:
        """This note, with what an earlier unwritten one named or showed."""
        if earlier is None:
            return self
        return replace(
            self,
            session_id=earlier.session_id if self.session_id is None else self.session_id,
            cost_usd=earlier.cost_usd if self.cost_usd is None else self.cost_usd,
            alive=earlier.alive or self.alive,
            answered=earlier.answered or self.answered,
            seen_at=earlier.seen_at if self.seen_at is None else self.seen_at,
        )


def start_run(tx: Transaction, start: RunStart) -> bool:
    """Commit a run before its program starts; False if the try is no longer the caller's."""
    if not settle(tx, start.settlement):
        return False
    key, session_id = start.session or ("", None)
    row = tx.one("session", (start.actor, key)) if key else None
    known = row[1] if row is not None else None
    tx.change(
        "insert_run",
        (
            tx.next(),
            start.run_id,
            start.settlement.wake.seq,
            start.actor,
            start.harness,
            session_id,
            "fork_of" in start.spec or (session_id is not None and known == session_id),
            start.directory,
            start.run_dir,
            dump_json(start.spec).decode(),
            dump_json(start.limits).decode(),
            start.settlement.at,
            start.account,
            start.machine,
        ),
    )
    if key and session_id is not None:
        remember(tx, start.actor, key, session_id, start.run_id, start.settlement.at)
    if start.request is not None:
        tx.change("insert_remote", (start.run_id, start.request))
    return True


def run_begun(tx: Transaction, begun: RunBegun) -> bool:
    """A run was seen to have begun; False if that is known, or it has ended. That ends its actor's pause."""
    found = tx.one("open_run", (begun.run_id,))
    if found is None or not tx.change("run_begun", (begun.run_id, begun.at, begun.session_id)):
        return False
    actor, key, delivery, size, attempt = found[1], found[2], found[5], found[10], found[12]
    if key is not None and begun.session_id is not None:
        remember(tx, actor, key, begun.session_id, begun.run_id, begun.at)
    _add_begun(tx, delivery, size, attempt=attempt, at=begun.at, run_id=begun.run_id)
    moves.answers(tx, actor, begun.at)
    accounts.prove_run(tx, actor, delivery, begun.at)
    accept(tx, begun.follow_up)
    tx.flush()
    return True


def _add_begun(tx: Transaction, lead: int, size: int, *, attempt: int, at: int, run_id: str) -> None:
    """A step that moves nothing: the run of this wake has begun."""
    others = members.others(tx, lead) if size > 1 else ()
    for seq in (lead, *(member.seq for member in others)):
        tx.add_step(
            at=at,
            delivery=seq,
            transition=Happened.BEGUN,
            state=State.STARTED,
            attempt=attempt,
            run_id=run_id,
        )


def note_run(tx: Transaction, run_id: str, note: Note) -> None:
    """What a run said last. That it works ends its actor's pause."""
    if note.session_id is not None:
        # Before the run's row names it: another session than that one was made from it.
        found = tx.one("open_run", (run_id,))
        if found is not None and found[2] is not None:
            remember(tx, found[1], found[2], note.session_id, run_id, note.at)
    values = (
        run_id,
        note.last_line,
        note.offset,
        note.seen_at,
        note.session_id,
        note.cost_usd,
        int(note.answered),
    )
    row = tx.one("note_run", values)
    if row is not None and note.alive:
        moves.answers(tx, row[0], note.at)
        accounts.prove_run(tx, row[0], row[1], note.at)


def end_run(tx: Transaction, end: RunEnd) -> bool:
    """End a run and its delivery; False if it has ended before."""
    found = tx.one("open_run", (end.run_id,))
    if found is None:
        return False
    run_seq, actor, key, started_at, resumed, delivery, queue_actor, route, queue_key, session_id, size = (
        found[:11]
    )
    begun_at, attempt, fork_of = found[11:]
    began = not isinstance(end.transition, NotStarted)
    if began and begun_at is None:
        _add_begun(tx, delivery, size, attempt=attempt, at=started_at, run_id=end.run_id)
    if key is not None:
        fresh = not began and not resumed
        _session_after(tx, end, actor, key, session_id, fork_of=fork_of, fresh=fresh)
    tx.change(
        "close_run",
        (
            run_seq,
            end.at if end.ended_at is None else end.ended_at,
            end.outcome if began else "",
            end.reason if began else NOT_STARTED,
            end.text if began else end.text or end.move.detail,
            dump_json(end.completion).decode(),
            end.exit_status,
            end.cost_usd,
            end.session_id,
            end.last_line,
        ),
    )
    _move(tx, end, delivery, (route, queue_actor), started_at, owner=end.run_id if began else None)
    if size > 1:
        summary = members.StepSummary(
            transition=moves.WORDS[type(end.transition)],
            at=end.at,
            began=started_at,
            run_id=end.run_id,
            reason=_why_not(end),
        )
        members.follow(tx, delivery, end.move, summary)
    # Before its charge is closed, which says who pays.
    payer = accounts.payer_of(tx, delivery)
    if began:
        ledger.spend(tx, delivery, end.at, _spent(end, started_at))
    else:
        ledger.refund(tx, delivery, end.at)
    if queue_key is not None:
        moves.promote(tx, queue_actor, queue_key, end.at)
    _actor_after(tx, end, actor, payer, delivery, started_at)
    for event in (end.session_started, end.follow_up):
        if event is not None:
            accept(tx, event)
            tx.flush()
    return True


def _actor_after(
    tx: Transaction, end: RunEnd, actor: str, payer: str | None, delivery: int, started_at: int
) -> None:
    """What the end says of its actor: whether it is paused, its breaker, and its account."""
    if end.move.pause_actor and end.pause_until is not None:
        tries = end.pause_tries
        moves.probe_failed(tx, actor, end.pause_until, started_at, end.at, end.move.detail, tries=tries)
    elif has_answered(end.transition):
        moves.answers(tx, actor, end.at)
    if end.sign is not None:
        breakers.take(tx, actor, end.sign, began=started_at, now=end.at)
    if end.limited_until is not None:
        accounts.meet_limit(tx, actor, payer, end.limited_until, _MET_LIMIT, end.at)
    else:
        accounts.after(tx, actor, payer, delivery, end.transition, end.at)


def open_runs(tx: Transaction, worker: str) -> Sequence[OpenRun]:
    """Every run of this worker that has not ended, oldest first."""
    return [
        OpenRun(
            run_id=row[0],
            delivery_id=row[1],
            event_id=row[2],
            actor=row[3],
            route=row[4],
            harness=row[5],
            run_dir=row[6],
            key=row[7],
            session_id=row[8],
            resumed=bool(row[9]),
            started_at=row[10],
            causes=_causes(tx, row),
            directory=row[14],
            limits=load_json(row[15]),
            spec=load_json(row[22]),
            offset=row[16],
            cost_usd=row[23],
            remote=_remote(row[24:28]),
            answered=bool(row[28]),
            begun=row[32] is not None,
            session_usd=row[29],
            last_seen=row[30],
            facts=Facts(
                state=State.STARTED,
                accepted_at=row[17],
                age_from=row[18],
                attempts=row[19],
                failures=row[20],
                crashes=row[21],
            ),
        )
        for row in tx.rows("open_runs", (worker,))
    ]


def _causes(tx: Transaction, row: Sequence[Any]) -> Sequence[Cause]:
    lead = Cause(id=row[2], trace_id=row[11], hops=row[12])
    if row[31] == 1:
        return [lead]
    others = members.others(tx, row[13])
    return [lead, *(Cause(id=one.event_id, trace_id=one.trace_id, hops=one.hops) for one in others)]


def _remote(row: Sequence[Any]) -> OpenRemote | None:
    request, ref, stop_at, result = row
    if request is None:
        return None
    known = load_json(ref) if ref is not None else None
    return OpenRemote(request=request, ref=known, stop_at=stop_at, called_back=result)


def _move(
    tx: Transaction, end: RunEnd, delivery: int, whose: tuple[str, str], began: int, *, owner: str | None
) -> None:
    """Move the delivery of a run that has ended. `whose` are its route and actor."""
    move = end.move
    tx.change(
        "end_run",
        (
            delivery,
            move.state,
            move.reason,
            move.detail,
            move.due,
            end.at,
            move.age_from,
            move.attempts,
            move.failures,
            move.crashes,
            owner,
        ),
    )
    if members.gives_keys_back(move):
        moves.free_keys_of(tx, delivery)
    if move.state in FINISHED:
        tx.finished(*whose, move.state)
    tx.add_step(
        at=end.at,
        delivery=delivery,
        transition=moves.WORDS[type(end.transition)],
        state=move.state,
        attempt=move.attempts,
        reason=move.reason or _why_not(end),
        detail=move.detail,
        began=began,
        run_id=end.run_id,
    )


def _why_not(end: RunEnd) -> str:
    """The word for why nothing began (`unavailable`); empty if something did."""
    match end.transition:
        case NotStarted(outcome=outcome):
            return moves.WORDS[type(outcome)]
        case _:
            return ""


def _spent(end: RunEnd, started_at: int) -> Spent:
    """What the run used, as far as it is known: of a run that was lost, not even how long it went on."""
    lost = end.outcome == "unknown"
    ended_at = end.at if end.ended_at is None else end.ended_at
    knows_cost = not lost and end.cost_usd is not None and math.isfinite(end.cost_usd)
    return Spent(
        usd=round(min(end.cost_usd or 0.0, MOST_SPENT / 1e6) * 1e6) if knows_cost else None,
        tokens=end.tokens,
        run_time=None if lost else max(0, ended_at - started_at),
    )


def _session_after(
    tx: Transaction,
    end: RunEnd,
    actor: str,
    key: str,
    session_id: str | None,
    *,
    fork_of: str | None,
    fresh: bool,
) -> None:
    """What the key leads to now, and what its session has come to.

    `session_id` is the run's so far, `fork_of` the session that it works in a copy of, if it does. `fresh`:
    the run would have begun its session, but never did.
    """
    if end.session_id is not None:
        remember(tx, actor, key, end.session_id, end.run_id, end.at)
    used = end.session_id or session_id
    began = not isinstance(end.transition, NotStarted)
    heard = None if end.heard is None else int(end.heard)
    why = end.text or end.move.detail
    if fork_of is not None and end.heard is False:
        # A copy that could not be made says something of the session that it should have been made from.
        tx.change("session_ended", (actor, fork_of, None, 0, heard, why, end.at, None))
    elif used is not None:
        values = (actor, used, end.session_usd, int(began), heard, why, end.at, end.context_tokens)
        tx.change("session_ended", values)
    if end.forget_session and not fresh:
        tx.change("forget_session", (actor, key, end.move.detail, end.at))
    elif fresh:
        tx.change("undo_session", (actor, key, end.run_id))
        tx.change("restore_session", (actor, key, end.run_id, end.at))


def remember(tx: Transaction, actor: str, key: str, session_id: str, run_id: str, at: int) -> None:
    """The key leads to this session from now on."""
    tx.change("leave_session", (actor, key, session_id, run_id, at))
    tx.change("enter_session", (run_id, session_id, at))
