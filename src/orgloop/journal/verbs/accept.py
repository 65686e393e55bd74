"""Taking events in: identities, events, deliveries, and the source's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from orgloop.core.deliveries.delivery import BLOCKING, FINISHED, State
from orgloop.core.deliveries.transition import DropReason
from orgloop.journal.model import Acceptance, Accepted, NewDelivery, NewEvent, Repeats
from orgloop.journal.verbs import batches, loops, on_busy, queues
from orgloop.journal.verbs.keys import claim_keys, once_json, steps_json
from orgloop.journal.verbs.transaction import Transaction

_Work = Callable[[Transaction], None]


def accept(tx: Transaction, acceptance: Acceptance) -> Sequence[Accepted]:
    """Insert what is new, answer for what is not, move the checkpoint."""
    follow: list[_Work] = []
    answers = _answers(tx, acceptance, follow)
    if follow:
        tx.flush()
        for work in follow:
            work(tx)
    if acceptance.checkpoint is not None:
        tx.change("set_checkpoint", (acceptance.source, acceptance.checkpoint, acceptance.at))
    return answers


def weight(acceptance: Acceptance) -> tuple[int, int]:
    """How many rows and bytes it writes, roughly."""
    rows, size = 1, 0
    for event in acceptance.events:
        rows += 1 + len(event.deliveries)
        size += len(event.document) + sum(len(d.document) for d in event.deliveries if d.document)
    return rows, size


def checkpoint(tx: Transaction, source: str) -> str | None:
    """How far the source's polls came."""
    found: str | None = tx.value("get_checkpoint", (source,))
    return found


def polled(tx: Transaction, source: str, at: int, error: str) -> None:
    """Note a poll that brought nothing new, or failed."""
    if error:
        tx.change("poll_failed", (source, at, error))
    else:
        tx.change("polled", (source, at))


def _answers(tx: Transaction, acceptance: Acceptance, follow: list[_Work]) -> Sequence[Accepted]:
    source, at, events, request = acceptance.source, acceptance.at, acceptance.events, acceptance.request
    if request is None or not events:
        return _insert_new(tx, acceptance, follow)
    first = _first(tx, source, "request", request, events[0].id, at)
    if first is not None:
        return [Accepted(event_id=first, duplicate=True)] * len(events)
    answers = _insert_new(tx, acceptance, follow)
    if answers[0].duplicate:
        tx.change("answer_request_with", (answers[0].event_id, source, request))
    return answers


def _insert_new(tx: Transaction, acceptance: Acceptance, follow: list[_Work]) -> Sequence[Accepted]:
    source, at = acceptance.source, acceptance.at
    answers = []
    fresh = 0
    for event in acceptance.events:
        first = None
        if event.identity is not None:
            first = _first(tx, source, "event", event.identity, event.id, at)
            if first is None and event.identity == event.id and tx.value("is_there", (event.id,)):
                # Handed in again by the id that it was given here.
                first = event.id
        if first is not None:
            answers.append(Accepted(event_id=first, duplicate=True))
            continue
        _insert(tx, event, at, follow)
        fresh += not event.is_replay
        answers.append(Accepted(event_id=event.id, duplicate=False))
    tx.arrived(source, at, fresh)
    return answers


def _first(tx: Transaction, source: str, kind: str, key: str, event_id: str, at: int) -> str | None:
    """The event that had this key before, or None if it is this one's now."""
    if tx.change("see", (source, kind, key, event_id, at)):
        return None
    first: str = tx.value("seen", (source, kind, key))
    return first


def _insert(tx: Transaction, event: NewEvent, at: int, follow: list[_Work]) -> None:
    """Write it and its deliveries. What is to be done once they are there joins `follow`."""
    seq = tx.next()
    tx.add_event(
        (
            seq,
            event.id,
            tx.project,
            at,
            event.source,
            event.type,
            event.platform_event,
            event.trace_id,
            event.hops,
            len(event.deliveries),
            event.document,
            event.entity,
        )
    )
    for delivery in event.deliveries:
        number, state = _deliver(tx, seq, delivery, at)
        if delivery.key is not None and not delivery.ordered:
            follow.append(partial(_loosen, seq=number, key=delivery.key))
        if delivery.drop_key is not None and state in (State.PENDING, State.PREPARING):
            follow.append(partial(on_busy.name, seq=number, drop_key=delivery.drop_key))
        if state is State.PENDING and not (delivery.turn is None and delivery.batch is None):
            follow += _meeting(number, delivery, event, at)
        if event.repeats is not None and delivery.runs and state in (State.PENDING, State.PREPARING):
            chain = (event.trace_id, event.hops, event.repeats)
            follow.append(partial(_hold_loops, seq=number, route=delivery.route, chain=chain, now=at))
        if delivery.queue is not None and state in (State.PENDING, State.PREPARING):
            follow.append(
                partial(queues.take, seq=number, route=delivery.route, limit=delivery.queue, now=at)
            )
    if event.needless:
        why = f"{event.id} came later: {event.platform_event or event.type}"
        follow.append(partial(on_busy.drop_needless, event_seq=seq, why=why, needless=event.needless, now=at))


def _loosen(tx: Transaction, seq: int, key: str) -> None:
    tx.change("set_loose_key", (key, seq))


def _hold_loops(tx: Transaction, seq: int, route: str, chain: tuple[str, int, Repeats], now: int) -> None:
    loops.take(tx, seq, route, *chain, now)


def _meeting(seq: int, new: NewDelivery, event: NewEvent, at: int) -> Iterator[_Work]:
    """What it does with others of its route and key."""
    if new.turn is not None:
        yield partial(on_busy.take, seq=seq, id=new.id, route=new.route, turn=new.turn, now=at)
    if new.batch is not None:
        document = event.document if new.document is None else new.document
        collected = batches.OpenBatch(
            seq=seq,
            id=new.id,
            route=new.route,
            actor=new.actor,
            key=new.key if new.ordered else None,
            batch=new.batch,
            size=len(document),
        )
        yield partial(batches.place, new=collected, now=at)


def _deliver(tx: Transaction, event_seq: int, new: NewDelivery, at: int) -> tuple[int, State]:
    """Its number, and its state."""
    state, reason, detail = new.state, new.reason, new.detail
    if new.once:
        owner = claim_keys(tx, new.route, new.id, at, new.once, passes=new.state is State.PENDING)
        if owner:
            state, reason, detail = State.DROPPED, DropReason.DUPLICATE, f"{owner} came first"
    tx.fired(new.route, new.actor, at)
    if state in FINISHED:
        tx.finished(new.route, new.actor, state)
    seq = tx.next()
    waits, key = state in BLOCKING, new.key if new.ordered else None
    row = (
        seq,
        new.id,
        tx.project,
        event_seq,
        new.route,
        new.actor,
        new.runs,
        state,
        reason,
        detail,
        key,
        waits and key is None,
        seq,
        at,
        at,
        at,
        at,
        new.document,
        steps_json(new.steps),
        once_json(new.once),
    )
    tx.add_delivery(row, (new.actor, key) if waits and key is not None else None)
    return seq, state
