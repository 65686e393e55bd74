"""What can be seen: rows as the reader gives them, and what to ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NewType

from orgloop.core.deliveries.admission import Waiting
from orgloop.core.deliveries.delivery import State
from orgloop.core.records.record import RecordPhase

Cursor = NewType("Cursor", str)
"""A row's place in its list, in the order of commits. Only a reader makes or reads one."""

START: Final = Cursor("")
"""Before the first row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRow:
    """A committed event. `routes` is how many routes it matched, `entity` what it is about."""

    cursor: Cursor
    id: str
    at: int
    source: str
    type: str
    platform_event: str
    trace_id: str
    hops: int
    routes: int
    document: Mapping[str, Any]
    entity: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRow:
    """A delivery as it stands. `document` is set if transforms changed the event.

    `members` are the ids of all deliveries of its wake, the one that leads first; empty if it is alone.
    `batch_until` is set while its wake collects others, with when that ends at the latest.
    `cancelled_by`: its run is, or was, stopped for the sake of that delivery.
    """

    cursor: Cursor
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
    members: Sequence[str] = ()
    batch_until: int | None = None
    cancelled_by: str | None = None

    @property
    def lead(self) -> str:
        """The delivery that leads its wake, and has its key and its run: itself, if it is alone."""
        return self.members[0] if self.members else self.id


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRow:
    """One thing that happened to a delivery: `transition` is the class name in snake case (`retry`).

    `run_outcome` is how the run came out, of a `run_ended`, `run_ms` how long it went on.
    """

    cursor: Cursor
    at: int
    delivery_id: str
    event_id: str
    trace_id: str
    source: str
    event_type: str
    route: str
    actor: str
    transition: str
    state: State
    attempt: int
    began: int | None
    reason: str
    detail: str
    sop_hash: str | None
    sop_file: str | None
    run_id: str | None
    run_outcome: str = ""
    platform_event: str = ""
    run_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A run. `ended_at` None: it goes on. `outcome` is success, failure, cancelled or unknown; it is empty
    for a run that never began its work, whose reason is `not_started`, and for one without a result, whose
    reason is `delivered` or `skipped`. `run_dir` of a run elsewhere is not there."""

    cursor: Cursor
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

    @property
    def is_remote(self) -> bool:
        """Whether it is a job of another system, not a program on this machine."""
        return bool(self.spec.get("remote"))


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRow:
    """A session of an agent. `active`: its key leads to it, so the key's next run takes it up.

    `account`, `work_dir` and `machine` say where it belongs: it is taken up nowhere else. `parent` is the
    session that it was made from, `total_usd` what all of it has cost. `failed` counts the last runs in a
    row that took it up and heard nothing of the agent; `why` says what came of it, or why it was left.
    `context_tokens` is how full its context is, None if its agent does not tell.
    """

    actor: str
    id: str
    key: str
    active: bool
    harness: str
    account: str
    work_dir: str
    machine: str
    parent: str | None
    total_usd: float
    runs: int
    failed: int
    why: str
    run_id: str
    created_at: int
    changed_at: int
    context_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogRow:
    """What is not finished and alike: how much, since when the first has been so, and when it was due.

    `due` is of those that only wait for their turn, None if there is none among the first of the actor. Then
    `since` is when the route last had one. What is pending has no `reason`.
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
class SystemEntry:
    """Something that happened to a source, or to a part of the daemon (`subject`). `times`: so many alike."""

    at: int
    phase: RecordPhase
    subject: str = ""
    event_id: str = ""
    detail: str = ""
    times: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemRow(SystemEntry):
    """The same, as it was written."""

    cursor: Cursor


class PauseKind(StrEnum):
    """Why an actor is paused, and so what ends the pause."""

    UNAVAILABLE = "unavailable"
    """Nobody answers. An answer ends it, whatever it says."""
    BREAKER = "breaker"
    """Its circuit breaker is open. A wake that does not fail closes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseRow:
    """An actor whose work waits until `until`; then one wake probes it. `tries`: how often it had to wait."""

    actor: str
    since: int
    until: int
    tries: int
    reason: str
    kind: PauseKind = PauseKind.UNAVAILABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedRow:
    """An account whose work waits until `until`, or if that is None until a person lets it go on.

    If its usage limit was met, one wake probes then: `probe` is that delivery's seq, and its claim's token.
    """

    account: str
    since: int
    until: int | None
    by_person: bool
    reason: str
    probe: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountUse:
    """How many runs of an account go on, and what those that ended since some time have used."""

    account: str
    at_work: int
    ended: int
    usd: float
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitRow:
    """A scope that is full, why, and since when its wakes wait."""

    waiting: Waiting
    since: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRow:
    """What was applied, when: the snapshot that `plan` compares with."""

    at: int
    project: str
    root: str
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonRow:
    """One life of the daemon. `ended_at` None and not alive: it died, soon after `last_seen`."""

    started_at: int
    last_seen: int
    ended_at: int | None
    pid: int
    port: int | None
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Filters for lists, newest first unless `after` (the cursor to go on from) is set. Empty means any.

    `since` is inclusive, `until` exclusive: when an event or its delivery was accepted, a step
    happened, a run started. Filters on what an event does not have itself (route, actor, delivery,
    states, reason) ask for an event with such a delivery. `reason` of a run is why it ended.
    Without `payloads`, documents of events that are larger than 64 KiB come without theirs: a page
    of those takes gigabytes.
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
    after: Cursor | None = None
    limit: int = 100
    payloads: bool = True
