"""Taking events in: identities, events, deliveries, and the source's checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Seq
from typing import Any

from orgloop.core.delivery import BLOCKING, FINISHED, State
from orgloop.core.json_text import dump_json, load_json
from orgloop.core.transition import DropReason
from orgloop.journal.model import Acceptance, Accepted, NewDelivery, NewEvent
from orgloop.journal.verbs.transaction import Transaction


def accept(tx: Transaction, acceptance: Acceptance) -> Seq[Accepted]:
    """Insert what is new, answer for what is not, move the checkpoint."""
    answers = _answers(tx, acceptance)
    if acceptance.checkpoint is not None:
        tx.change("set_checkpoint", (acceptance.source, acceptance.checkpoint, acceptance.at))
    return answers


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


def claim_keys(
    tx: Transaction,
    route: str,
    delivery: str,
    at: int,
    once: Iterable[tuple[str, int]],
    *,
    passes: bool = True,
) -> str:
    """Make the delivery the owner of its keys, or return the id of the one that owns one of them already.

    `at` is when the delivery was accepted. A window that has passed to the millisecond is over. Only what
    `passes` owns anything: what is turned away or held would keep others out, although no actor saw it. One
    that is prepared again may find a later owner: it takes nothing from that one.
    """
    taken = []
    for key, window in once:
        owner, since = tx.one("owner", (route, key)) or ("", at)
        if owner not in ("", delivery) and abs(at - since) < window:
            return str(owner)
        if not owner or (owner != delivery and since < at):
            taken.append((route, key, at, at + window, delivery))
    if passes:
        tx.change_each("own", taken)
    return ""


def free_keys(tx: Transaction, route: str, delivery: str, once: str | None) -> None:
    """The delivery owns none of its keys any more."""
    tx.change_each("disown", [(route, key, delivery) for key, _ in keys_of(once)])


def keys_of(once: str | None) -> Seq[tuple[str, int]]:
    """The keys of a delivery and their windows, from how they are stored."""
    found: Seq[tuple[str, int]] = load_json(once) if once is not None else ()
    return found


def once_json(once: Seq[tuple[str, int]]) -> str | None:
    """The same, as it is stored."""
    return dump_json(once).decode() if once else None


def steps_json(steps: Seq[Mapping[str, Any]]) -> str | None:
    """What the transforms did, as it is stored."""
    return dump_json(steps).decode() if steps else None


def _answers(tx: Transaction, acceptance: Acceptance) -> Seq[Accepted]:
    source, at, events, request = acceptance.source, acceptance.at, acceptance.events, acceptance.request
    if request is None or not events:
        return _insert_new(tx, acceptance)
    first = _first(tx, source, "request", request, events[0].id, at)
    if first is not None:
        return [Accepted(event_id=first, duplicate=True)] * len(events)
    answers = _insert_new(tx, acceptance)
    if answers[0].duplicate:
        tx.change("answer_request_with", (answers[0].event_id, source, request))
    return answers


def _insert_new(tx: Transaction, acceptance: Acceptance) -> Seq[Accepted]:
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
        _insert(tx, event, at)
        fresh += 1
        answers.append(Accepted(event_id=event.id, duplicate=False))
    tx.arrived(source, at, fresh)
    return answers


def _first(tx: Transaction, source: str, kind: str, key: str, event_id: str, at: int) -> str | None:
    """The event that had this key before, or None if it is this one's now."""
    if tx.change("see", (source, kind, key, event_id, at)):
        return None
    first: str = tx.value("seen", (source, kind, key))
    return first


def _insert(tx: Transaction, event: NewEvent, at: int) -> None:
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
        _deliver(tx, seq, delivery, at)


def _deliver(tx: Transaction, event_seq: int, new: NewDelivery, at: int) -> None:
    state, reason, detail = new.state, new.reason, new.detail
    owner = claim_keys(tx, new.route, new.id, at, new.once, passes=new.state is State.PENDING)
    if owner:
        state, reason, detail = State.DROPPED, DropReason.DUPLICATE, f"{owner} came first"
    tx.fired(new.route, at)
    if state in FINISHED:
        tx.finished(new.route, state)
    seq = tx.next()
    waits = state in BLOCKING
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
        new.key,
        waits and new.key is None,
        seq,
        at,
        at,
        at,
        at,
        new.document,
        steps_json(new.steps),
        once_json(new.once),
    )
    tx.add_delivery(row, (new.actor, new.key) if waits and new.key is not None else None)
