"""What a run is when it starts, when it ends, and when a daemon finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.core.deliveries.breaker import Sign
from orgloop.core.deliveries.delivery import Facts, Move
from orgloop.core.deliveries.transition import Transition
from orgloop.journal.model.accepting import Acceptance
from orgloop.journal.model.waking import Settlement


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStart:
    """A run, committed before its program starts; its delivery becomes `started` in the same transaction.

    `session` is (key, session id) to remember for the actor; an empty key remembers nothing, the run has
    the session's id all the same. `spec` is for people: argv, cwd, names of variables, never values.
    `account` and `machine` say where that session belongs. `request` is what will be sent, for a run
    elsewhere.
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
    account: str = ""
    machine: str = ""
    request: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunBegun:
    """A run was seen to have begun: its agent works, or another system has it. With `session.started`.

    `ref` is what the other system calls it, as JSON with an `id`; None for a program.
    """

    run_id: str
    at: int
    follow_up: Acceptance
    ref: Mapping[str, Any] | None = None
    session_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """A run's end, its delivery's move and the events that follow: one transaction, once.

    `completion` is what `actor.stopped` carries, or why nothing began. `forget_session` drops the
    session of the run's key; `session_id` replaces it. With NotStarted the run's row gets no outcome and
    the reason `not_started`, and a session that it would have begun is forgotten. `at` is when this is
    written, `ended_at` when the program ended: earlier, if no daemon ran then. Where `last_line` is empty
    or `cost_usd` is None, what was noted last stays. `tokens` is None if nobody told.
    `pause_tries` is how often nobody had answered before. `session_started` is that event, if the run has
    begun and it was not told yet. `sign` is what it shows to the circuit breaker of its actor.
    `limited_until` is when the usage limit is over that the run met in the middle of its work.
    """

    run_id: str
    transition: Transition
    move: Move
    at: int
    outcome: str
    reason: str
    text: str = ""
    last_line: str = ""
    completion: Mapping[str, Any] = field(default_factory=dict)
    exit_status: int | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    session_id: str | None = None
    session_usd: float | None = None
    context_tokens: int | None = None
    heard: bool | None = None
    forget_session: bool = False
    pause_until: int | None = None
    pause_tries: int = 0
    limited_until: int | None = None
    ended_at: int | None = None
    session_started: Acceptance | None = None
    follow_up: Acceptance | None = None
    sign: Sign | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRemote:
    """What is known of a run elsewhere: what was sent, its ref, a wish to end it, what a callback brought."""

    request: bytes
    ref: Mapping[str, Any] | None
    stop_at: int | None
    called_back: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """An event that woke a run, with its chain."""

    id: str
    trace_id: str
    hops: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    """A run that has not ended, as a starting daemon finds it, with its delivery's facts.

    `limits`, `spec` and `directory` are those that it started with; `cost_usd` is what it told so far.
    `last_seen` is until when it was heard of, or its answer waited for, in ms since 1970.
    `answered`: its agent has said something. `begun`: its start was told. `session_usd` is what its
    session had cost before it. `remote` is there if it is a run of another system. `causes` are the events
    that woke it, that of the delivery that leads first.
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
    causes: Sequence[Cause]
    facts: Facts
    directory: str | None
    limits: Mapping[str, Any]
    spec: Mapping[str, Any]
    offset: int = 0
    cost_usd: float | None = None
    last_seen: int | None = None
    answered: bool = False
    begun: bool = False
    session_usd: float = 0.0
    remote: OpenRemote | None = None
