"""What goes into the journal and what comes out of it: plain values, the same for every backend.

Times are milliseconds since 1970. Documents are events as JSON bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.core.admission import Usage, Verdict, Want
from orgloop.core.delivery import Facts, Move, State
from orgloop.core.happening import Happening

# --- accept -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One event for one route, prepared as far as the accept transaction can.

    `state` is preparing, pending, held or dropped, with its `reason` and `detail`.
    `once` are (key hash, window in ms): unless this delivery owns each of them for its route, it is
    inserted as dropped(duplicate). `document` is set only if the transforms changed the event.
    `steps` says what each transform did: name, result, and a reason.
    """

    id: str
    route: str
    actor: str
    runs: bool
    state: State
    reason: str = ""
    detail: str = ""
    key: str | None = None
    once: Sequence[tuple[str, int]] = ()
    document: bytes | None = None
    steps: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event with the work that it causes. `identity` is its semantic key within its source."""

    id: str
    source: str
    type: str
    platform_event: str
    trace_id: str
    hops: int
    document: bytes
    deliveries: Sequence[NewDelivery] = ()
    identity: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What commits together: events, their deliveries, the source's checkpoint.

    `request` is the provider's delivery id: if the source has seen it, nothing is inserted and
    each event is answered with the first one's id. An event whose identity was seen is left out
    alone, the checkpoint moves all the same.
    """

    source: str
    at: int
    events: Sequence[NewEvent]
    request: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """One event's answer: its id, or the first one's if it is a duplicate."""

    event_id: str
    duplicate: bool


# --- claim --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimWant:
    """How many wakes of `actor` may be claimed now.

    `admit` is the guard for actors with runs, called in the transaction with what is wanted and
    what is used at that moment; None for actors that only hand over. `directory` is where its
    runs work.
    """

    actor: str
    slots: int
    admit: Callable[[Want, Usage], Verdict] | None = None
    directory: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedWake:
    """A delivery that is now running, with all that waking needs.

    `token` guards every later write: it changes with each claim. `document` is the event as the
    transforms left it. `session_id` is what the key's session led to, if anything. `pause_tries` is how
    many knocks at this actor nobody has answered; 0 if it is not paused.
    """

    id: str
    token: int
    event_id: str
    route: str
    actor: str
    facts: Facts
    key: str | None
    document: bytes
    trace_id: str
    hops: int
    session_id: str | None = None
    pause_tries: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What was claimed; `held` those that a guard held.

    `next_due` is the next time at which something of these actors is due. `waiting` says, per actor,
    why its first wake must wait, when nothing is due by time alone.
    """

    wakes: Sequence[ClaimedWake]
    held: Sequence[str] = ()
    next_due: int | None = None
    waiting: Mapping[str, str] = field(default_factory=dict)


# --- prepare ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ToPrepare:
    """A delivery in `preparing`, in acceptance order. `document` is the event as accepted."""

    id: str
    seq: int
    event_id: str
    route: str
    actor: str
    document: bytes
    crashes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The result of the transforms: `happening` is Ready, Drop or Hold. `once` as in NewDelivery."""

    id: str
    happening: Happening
    key: str | None = None
    once: Sequence[tuple[str, int]] = ()
    document: bytes | None = None
    steps: Sequence[Mapping[str, Any]] = ()


# --- settle -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """What one try was: when it began, and the SOP that it carried (text by hash, path for people)."""

    began: int
    sop_hash: str | None = None
    sop_file: str | None = None
    sop_text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """The end of one try: written only if the delivery is still running under `token`.

    `pause_until` counts if `move.pause_actor` is set: the actor is left alone until then.
    """

    id: str
    token: int
    happening: Happening
    move: Move
    at: int
    tried: Try
    pause_until: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStart:
    """A run, committed before its program starts; its delivery becomes `started` in the same transaction.

    `session` is (key, session id) to remember for the actor; an empty key remembers nothing, the run has
    the session's id all the same. `spec` is for people: argv, cwd, names of variables, never values.
    `follow_up` is the `session.started` event.
    """

    run_id: str
    settlement: Settlement
    actor: str
    harness: str
    directory: str | None
    run_dir: str
    spec: Mapping[str, Any]
    limits: Mapping[str, Any]
    session: tuple[str, str | None] | None = None
    follow_up: Acceptance | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """A run's end, its delivery's move and the events that follow: one transaction, once.

    `completion` is what `actor.stopped` carries, or why nothing began. `forget_session` drops the
    session of the run's key; `session_id` replaces it. With NotStarted the run's row gets no outcome and
    the reason `not_started`, and a session that it would have begun is forgotten.
    """

    run_id: str
    happening: Happening
    move: Move
    at: int
    outcome: str
    reason: str
    text: str = ""
    completion: Mapping[str, Any] = field(default_factory=dict)
    exit_status: int | None = None
    cost_usd: float | None = None
    session_id: str | None = None
    forget_session: bool = False
    pause_until: int | None = None
    follow_up: Acceptance | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    """A run that has not ended, as a starting daemon finds it, with its delivery's facts.

    `limits`, `spec` and `directory` are those that it started with.
    """

    run_id: str
    delivery_id: str
    event_id: str
    actor: str
    route: str
    harness: str
    run_dir: str
    key: str | None
    session_id: str | None
    resumed: bool
    started_at: int
    trace_id: str
    hops: int
    document: bytes
    facts: Facts
    directory: str | None
    limits: Mapping[str, Any]
    spec: Mapping[str, Any]
    offset: int = 0


# --- look up ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRow:
    """A committed event. `routes` is how many routes it matched."""

    seq: int
    id: str
    at: int
    source: str
    type: str
    platform_event: str
    trace_id: str
    hops: int
    routes: int
    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRow:
    """A delivery as it stands. `document` is set if transforms changed the event."""

    seq: int
    id: str
    event_id: str
    trace_id: str
    source: str
    event_type: str
    route: str
    actor: str
    runs: bool
    state: State
    reason: str
    detail: str
    key: str | None
    head: bool
    due: int
    accepted_at: int
    changed_at: int
    age_from: int
    attempts: int
    failures: int
    crashes: int
    waived: Sequence[str]
    run_id: str | None
    steps: Sequence[Mapping[str, Any]]
    document: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRow:
    """One thing that happened to a delivery: `happening` is the class name in snake case (`retry`)."""

    seq: int
    at: int
    delivery_id: str
    event_id: str
    trace_id: str
    source: str
    event_type: str
    route: str
    actor: str
    happening: str
    state: State
    attempt: int
    began: int | None
    reason: str
    detail: str
    sop_hash: str | None
    sop_file: str | None
    run_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A run. `ended_at` None: it goes on. `outcome` is success, failure, cancelled or unknown; it is empty
    for a run that never began its work, whose reason is `not_started`."""

    seq: int
    id: str
    delivery_id: str
    event_id: str
    trace_id: str
    hops: int
    actor: str
    route: str
    harness: str
    key: str | None
    session_id: str | None
    directory: str | None
    run_dir: str
    spec: Mapping[str, Any]
    started_at: int
    ended_at: int | None
    outcome: str
    reason: str
    text: str
    exit_status: int | None
    cost_usd: float | None
    completion: Mapping[str, Any]
    last_line: str
    last_seen: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogRow:
    """What is not finished and alike: how much, since when the first has been so, and when it was due.

    `due` is of those that only wait for their turn, None if there is none.
    """

    actor: str
    route: str
    state: State
    reason: str
    count: int
    since: int
    due: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """A source's health and checkpoint."""

    source: str
    checkpoint: str | None
    last_poll: int | None
    last_success: int | None
    last_event: int | None
    errors: int
    error: str
    events: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseRow:
    """An actor that nobody answers for: its work waits until `until`, then one wake knocks."""

    actor: str
    since: int
    until: int
    tries: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRow:
    """What was applied, when: the snapshot that `plan` compares with."""

    at: int
    project: str
    root: str
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonRow:
    """One life of the daemon. `ended_at` None and not alive: it died, within a minute after `last_seen`."""

    started_at: int
    last_seen: int
    ended_at: int | None
    pid: int
    port: int | None
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Filters for lists, newest first unless `after` (a seq to follow) is set. Empty means any.

    `since` is inclusive, `until` exclusive: when an event or its delivery was accepted, a step
    happened, a run started. Filters on what an event does not have itself (route, actor, delivery,
    states, reason) ask for an event with such a delivery. `reason` of a run is why it ended.
    """

    source: str = ""
    route: str = ""
    actor: str = ""
    event_id: str = ""
    trace_id: str = ""
    delivery_id: str = ""
    states: Sequence[State] = ()
    reason: str = ""
    since: int | None = None
    until: int | None = None
    after: int | None = None
    limit: int = 100
