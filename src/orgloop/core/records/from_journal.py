"""Records from the rows of the journal, for the daemon and `orgloop logs` alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol, assert_never

from orgloop.core.deliveries.delivery import NEEDLESS, State
from orgloop.core.deliveries.prepare_steps import BATCH_KEY, SESSION_KEY, StepResult
from orgloop.core.deliveries.transition import DropReason, HoldReason
from orgloop.core.events.session_lifecycle import RunOutcome
from orgloop.core.records.record import Record, RecordPhase

IN_STEPS: Final = frozenset(
    {
        DropReason.TRANSFORM,
        DropReason.DUPLICATE,
        DropReason.OWN_WORDS,
        HoldReason.TRANSFORM,
        HoldReason.UNTRUSTED,
    }
)
"""Reasons that a delivery's prepare steps tell already."""


class Happened(StrEnum):
    """What can happen to a delivery, by the word that the journal keeps: the class's name in snake case.

    `begun` is of no class, since it moves nothing: the run of a delivery was seen to have begun.
    """

    DELIVERED = "delivered"
    STARTED = "started"
    BEGUN = "begun"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    RETRY = "retry"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    LIMITED = "limited"
    INTERRUPTED = "interrupted"
    READY = "ready"
    DROP = "drop"
    HOLD = "hold"
    CLAIMED = "claimed"
    RUN_ENDED = "run_ended"
    NOT_STARTED = "not_started"
    PREPARE = "prepare"
    RELEASED = "released"
    RETRIED = "retried"
    DISCARDED = "discarded"


UNCOUNTED: Final[frozenset[str]] = frozenset(
    {Happened.THROTTLED, Happened.UNAVAILABLE, Happened.LIMITED, Happened.INTERRUPTED}
)
"""How a try can end that does not count as an attempt; of a run that never began, the reason."""

RESULTS: Final[frozenset[str]] = frozenset(
    {
        *(set(StepResult) - {StepResult.ONCE, StepResult.NO_KEY, StepResult.HOLD}),
        *(State.HELD, State.DEAD, DropReason.EXPIRED, *NEEDLESS, *UNCOUNTED),
        *(Happened.DELIVERED, Happened.STARTED, Happened.SKIPPED),
        *(Happened.RETRY, Happened.RELEASED, Happened.RETRIED, Happened.DISCARDED),
        *RunOutcome,
    }
)
"""Every result that a record can have."""


class EventFacts(Protocol):
    """An event, as the journal takes it or gives it."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def platform_event(self) -> str: ...
    @property
    def trace_id(self) -> str: ...


class DeliveryFacts(Protocol):
    """A delivery, as the journal takes it or gives it. `steps` as in `core.deliveries.prepare_steps`."""

    @property
    def id(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def steps(self) -> Sequence[Mapping[str, Any]]: ...


class SystemFacts(Protocol):
    """Something that happened to a source, or to a part of the daemon. `times`: so many alike."""

    @property
    def at(self) -> int: ...
    @property
    def phase(self) -> RecordPhase: ...
    @property
    def subject(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def times(self) -> int: ...


class StepFacts(Protocol):
    """One thing that happened to a delivery after its event was accepted. Times are ms since 1970."""

    @property
    def at(self) -> int: ...
    @property
    def delivery_id(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def transition(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def attempt(self) -> int: ...
    @property
    def began(self) -> int | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def sop_file(self) -> str | None: ...
    @property
    def run_id(self) -> str | None: ...
    @property
    def run_outcome(self) -> str: ...
    @property
    def platform_event(self) -> str: ...
    @property
    def run_ms(self) -> int | None: ...


def of_event(event: EventFacts, deliveries: Iterable[DeliveryFacts], at: int) -> list[Record]:
    """An event accepted at `at`: it came, which routes it matched, what was decided with the acceptance."""
    metadata = {"platform_event": event.platform_event} if event.platform_event else {}
    records = [_of_accepted(event, RecordPhase.SOURCE_EMIT, at, metadata=metadata)]
    for delivery in deliveries:
        records.append(_of_match(event, delivery, RecordPhase.ROUTE_MATCH, at))
        records += _of_entries(event, delivery, [entry for entry in delivery.steps if "at" not in entry], at)
    if len(records) == 1:
        records.append(_of_accepted(event, RecordPhase.ROUTE_NO_MATCH, at))
    return records


def of_prepared(event: EventFacts, delivery: DeliveryFacts) -> list[Record]:
    """What was decided about a delivery after its event was accepted: nothing if all was decided then."""
    return _of_entries(event, delivery, [entry for entry in delivery.steps if "at" in entry], 0)


def of_system(entry: SystemFacts) -> Record:
    """Something that happened to a source, or to the daemon itself."""
    fails = entry.phase in (RecordPhase.SOURCE_FAILED, RecordPhase.SYSTEM_ERROR)
    is_source = entry.phase.startswith("source.")
    metadata: dict[str, Any] = {}
    if entry.subject and not is_source:
        metadata["part"] = entry.subject
    if entry.detail and not fails:
        metadata["detail"] = entry.detail
    if entry.times > 1:
        metadata["times"] = entry.times
    return Record(
        at=entry.at,
        phase=entry.phase,
        event_id=entry.event_id,
        source=entry.subject if is_source else "",
        error=entry.detail if fails else "",
        metadata=metadata,
    )


def of_step(step: StepFacts) -> list[Record]:
    """What happened to a delivery. Empty for what other records tell already.

    A try is two records: when it began and how it ended, but for a run, which ends with a step of its own.
    Raises ValueError for a word that is not in Happened.
    """
    happened = Happened(step.transition)
    if happened in (Happened.DROP, Happened.HOLD) and step.reason in IN_STEPS:
        return []
    if happened is Happened.STARTED:
        return [_attempt(step, step.at if step.began is None else step.began)]
    record = _of_transition(step, happened)
    if record is None:
        return []
    return (
        [_attempt(step, step.began), record]
        if _is_try(step, happened) and step.began is not None
        else [record]
    )


def _of_transition(step: StepFacts, happened: Happened) -> Record | None:
    match happened:
        case Happened.CLAIMED | Happened.READY | Happened.PREPARE | Happened.STARTED:
            return None
        case Happened.DELIVERED:
            return _told(step, RecordPhase.DELIVER_SUCCESS, happened, detail=step.detail)
        case Happened.BEGUN:
            return _told(step, RecordPhase.RUN_STARTED, Happened.STARTED)
        case Happened.RUN_ENDED:
            return _run_ended(step)
        case Happened.SKIPPED:
            return _told(step, RecordPhase.DELIVER_SKIPPED, happened, reason=step.detail)
        case Happened.NOT_STARTED if step.reason in UNCOUNTED:
            return _unfinished(step, RecordPhase.DELIVER_WAIT, step.reason)
        case Happened.RETRY | Happened.REJECTED | Happened.NOT_STARTED:
            return _unfinished(step, RecordPhase.DELIVER_RETRY, Happened.RETRY)
        case Happened.THROTTLED | Happened.UNAVAILABLE | Happened.LIMITED | Happened.INTERRUPTED:
            return _unfinished(step, RecordPhase.DELIVER_WAIT, happened)
        case Happened.DROP:
            expired = step.reason == DropReason.EXPIRED
            phase = RecordPhase.DELIVER_EXPIRED if expired else RecordPhase.DELIVER_SKIPPED
            return _told(step, phase, step.reason, reason=step.detail)
        case Happened.HOLD:
            return _unfinished(step, RecordPhase.DELIVER_HELD, State.HELD)
        case Happened.RELEASED | Happened.RETRIED:
            return _told(step, RecordPhase.DELIVER_RELEASED, happened, reason=step.detail)
        case Happened.DISCARDED:
            return _told(step, RecordPhase.DELIVER_DISCARDED, happened, reason=step.detail)
        case _:
            assert_never(happened)


def _run_ended(step: StepFacts) -> Record:
    """A run's end by its outcome: the wake is delivered all the same, but only a success is a good end."""
    if step.run_outcome in ("", RunOutcome.SUCCESS):
        return _told(step, RecordPhase.RUN_ENDED, step.run_outcome or Happened.DELIVERED, detail=step.detail)
    return _told(step, RecordPhase.RUN_FAILED, step.run_outcome, error=step.detail)


def _is_try(step: StepFacts, happened: Happened) -> bool:
    """The end of a run is none, also where there was no result to tell of: its try ended when it began."""
    of_run = (Happened.BEGUN, Happened.RUN_ENDED, Happened.NOT_STARTED)
    return happened not in of_run and step.run_id is None


def _attempt(step: StepFacts, began: int) -> Record:
    metadata = {"sop": step.sop_file} if step.sop_file else {}
    return _of_delivery(step, RecordPhase.DELIVER_ATTEMPT, began, metadata=metadata)


def _unfinished(step: StepFacts, phase: RecordPhase, result: str) -> Record:
    """A try, or a wait, that did not end well: where it left the delivery says how bad it is."""
    if step.state is State.DEAD:
        return _told(step, RecordPhase.DELIVER_FAILURE, State.DEAD, error=step.detail, reason=step.reason)
    if step.state is State.HELD:
        return _told(step, RecordPhase.DELIVER_HELD, State.HELD, error=step.detail, reason=step.reason)
    return _told(step, phase, result, error=step.detail)


def _told(step: StepFacts, phase: RecordPhase, result: str, *, error: str = "", **metadata: str) -> Record:
    known: dict[str, Any] = {"attempt": step.attempt} if step.attempt else {}
    known.update((name, text) for name, text in metadata.items() if text)
    return _of_delivery(
        step,
        phase,
        step.at,
        result=str(result),
        error=error,
        duration_ms=_lasted(step),
        metadata=known,
    )


def _lasted(step: StepFacts) -> int | None:
    """How long it took: of a run, until its program ended, whenever a daemon wrote that down."""
    if step.run_ms is not None:
        return step.run_ms
    return None if step.began is None else step.at - step.began


def _of_delivery(step: StepFacts, phase: RecordPhase, at: int, **more: Any) -> Record:
    return Record(
        at=at,
        phase=phase,
        event_id=step.event_id,
        trace_id=step.trace_id,
        delivery_id=step.delivery_id,
        run_id=step.run_id or "",
        source=step.source,
        target=step.actor,
        route=step.route,
        event_type=step.event_type,
        event_name=step.platform_event,
        **more,
    )


def _of_entries(
    event: EventFacts, delivery: DeliveryFacts, entries: Iterable[Mapping[str, Any]], at: int
) -> list[Record]:
    records: list[Record] = []
    for entry in entries:
        if entry["name"] in (SESSION_KEY, BATCH_KEY) and entry["result"] == StepResult.NO_KEY:
            continue
        ended = delivery.reason == DropReason.DUPLICATE and entry["result"] == StepResult.ONCE
        result = StepResult.DROP if ended else StepResult(entry["result"])
        reason = DropReason.DUPLICATE.value if ended else entry.get("reason", "")
        records.append(_of_entry(event, delivery, entry, result, reason, entry.get("at", at)))
        if ended:
            break
    return records


def _of_entry(
    event: EventFacts,
    delivery: DeliveryFacts,
    entry: Mapping[str, Any],
    result: StepResult,
    reason: str,
    at: int,
) -> Record:
    """What one transform, or one guard, did."""
    phase, word = _of_result(result, entry.get("on_error", "pass"))
    facts: dict[str, Any] = {"result": word, "duration_ms": entry.get("ms")}
    if result is StepResult.HOLD:
        facts |= {"error": reason, "metadata": {"reason": entry["name"]}}
    else:
        facts["transform"] = entry["name"]
        if result is StepResult.ERROR:
            facts["error"] = reason
        elif reason:
            facts["metadata"] = {"reason": reason}
    return _of_match(event, delivery, phase, at, **facts)


def _of_match(event: EventFacts, delivery: DeliveryFacts, phase: RecordPhase, at: int, **more: Any) -> Record:
    return _of_accepted(
        event, phase, at, delivery_id=delivery.id, route=delivery.route, target=delivery.actor, **more
    )


def _of_result(result: StepResult, on_error: str) -> tuple[RecordPhase, str]:
    """The phase, and the word to filter by."""
    match result:
        case StepResult.PASS | StepResult.ONCE | StepResult.NO_KEY:
            return RecordPhase.TRANSFORM_PASS, StepResult.PASS.value
        case StepResult.CHANGE:
            return RecordPhase.TRANSFORM_PASS, result.value
        case StepResult.DROP:
            return RecordPhase.TRANSFORM_DROP, result.value
        case StepResult.HOLD:
            return RecordPhase.DELIVER_HELD, State.HELD.value
        case StepResult.ERROR if on_error == "drop":
            return RecordPhase.TRANSFORM_ERROR_DROP, StepResult.DROP.value
        case StepResult.ERROR if on_error in ("halt", "hold"):
            return RecordPhase.TRANSFORM_ERROR_HALT, State.HELD.value
        case StepResult.ERROR:
            return RecordPhase.TRANSFORM_ERROR, result.value
        case _:
            assert_never(result)


def _of_accepted(event: EventFacts, phase: RecordPhase, at: int, **more: Any) -> Record:
    return Record(
        at=at,
        phase=phase,
        event_id=event.id,
        trace_id=event.trace_id,
        source=event.source,
        event_type=event.type,
        event_name=event.platform_event,
        **more,
    )
