"""Actors do work when woken: they take a wake and answer at once, or they have runs.

An actor with runs is three pure functions; the engine spawns, streams, adopts, times out, settles.
It is also a source: its runs' ends are `actor.stopped` events under its own id.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from orgloop.core.deliveries.transition import (
    DeliverOutcome,
    Limited,
    Rejected,
    Retry,
    Throttled,
    Unavailable,
)
from orgloop.core.events.event import Event
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin.context import Context


@dataclass(frozen=True, kw_only=True, slots=True)
class WakeSession:
    """The agent's own session that a key leads to. `id` None: none yet, begin one.

    `fork`: work in a copy of it, which gets an id of its own. Only actors whose `abilities` say so are asked.
    """

    key: str
    id: str | None = None
    fork: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wake:
    """What an actor gets: the lead event, the SOP with the event's data, and what identifies the try.

    `events` are all events of this wake in acceptance order; the first is the lead's.
    `sop` is the prompt file's text without front matter (None if the route has none), `prompt` the
    SOP followed by the event as delimited data: what an agent reads.
    `config` is the route's `then.config`, placeholders filled in. `delivery_id` never changes;
    `idempotency_key` is the same after an unknown outcome and new after a known failure.
    `run_id` is set for actors with runs. `directory` (an existing directory for the run's files) is set
    for runs on this machine, with `prompt_file`, which has the prompt there. `work_directory` is set where
    the run has a work tree of its own: it works there, and not where its settings say. `callback` is set for
    runs elsewhere: where the other system may report, a secret.
    These also get the run's mark for what they write: `marker` for comments, `trailer` for commits. An actor
    without runs has a `marker`, too: it is the same for each try of a delivery.
    `account` is the account of the project that pays for a run, `account_env` what that adds to the
    environment of its program: the engine does so, over what the actor says.
    `timeout` in seconds bounds `deliver`.
    """

    event: Event
    events: Sequence[Event]
    route: str
    actor: str
    project: str
    delivery_id: str
    idempotency_key: str
    attempt: int
    prompt: str
    sop: str | None = None
    sop_file: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    session: WakeSession | None = None
    run_id: str | None = None
    directory: str | None = None
    prompt_file: str | None = None
    work_directory: str | None = None
    callback: str | None = None
    marker: str | None = None
    trailer: str | None = None
    account: str | None = None
    account_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0


class Actor(Protocol):
    """What every actor has."""

    async def open(self, ctx: Context) -> None:
        """Called once before the first wake. An exception keeps the actor unavailable; its work waits."""

    async def close(self) -> None:
        """Called once at the end. Exceptions are logged."""


@runtime_checkable
class Deliverer(Actor, Protocol):
    """Hands over and answers at once."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Wake the outside actor. Calls overlap, one at a time per key. It begins no run: see `Remote`.

        Cancelled at the route's `delivery.timeout` (an unknown outcome, tried again with the same
        idempotency key). An exception is a counted `Retry` with its text.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLimitsSpec:
    """Limits of one run, in seconds and bytes; None is no limit. They hold while the daemon is down, too.

    `start_s`: until the first byte of output; `silence_s`: between bytes; `total_s`: from start to end.
    A stop sends `stop_signal`, and SIGKILL after `grace_s`. A program that has given its result (see `Turns`)
    has `grace_s` to end by itself.
    """

    start_s: float | None = None
    silence_s: float | None = None
    total_s: float | None = None
    output_bytes: int | None = 256 * 1024 * 1024
    grace_s: float = 10.0
    stop_signal: int = signal.SIGTERM


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """How to know a program's own result among the JSON objects that it writes, one a line.

    A line with one of the members `ends` (name, text) at its top ends a turn with a result; one of `begins`
    starts another turn. While the last line of `busy` (name, text, name of a list) has something in its
    list, another turn will start. A program that has its result and does not end within `grace_s` is ended.
    """

    ends: Sequence[tuple[str, str]]
    begins: Sequence[tuple[str, str]] = ()
    busy: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """One program to run. `argv[0]` is looked up in the child's PATH.

    `env` is what the actor adds to the child's allow-listed environment, `env_pass` the names
    that it takes over from the daemon's. `stdin` is the prompt or empty. `session_id` is
    remembered for the wake's session key as soon as the run is committed. `account` names the login that
    the session belongs to: a wake with another one begins a session of its own. `take_over` is the command
    with which a person goes on in this session, in `cwd`. `logins` are names of variables of which each
    says whose login is used: an account of the project with variables of its own leaves out the others.
    """

    argv: Sequence[str]
    cwd: str
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    env_pass: Sequence[str] = ()
    limits: RunLimitsSpec = RunLimitsSpec()
    session_id: str | None = None
    account: str = ""
    turns: Turns | None = None
    take_over: Sequence[str] = ()
    logins: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What one line of output says: shown as the run's last line; None fields say nothing new.

    `cost_usd` is what the run has cost so far: the run's own sum, unless `finish` names another.
    `spent` is what one request of it cost by our own estimate, under that request's id: said again, it
    counts once. The sum stands for the cost of a run that was ended before it could tell.
    `alive`: it shows that the agent can work. A line that only greets, complains or asks again does not,
    and leaves an actor paused that nobody answered for.
    `result`: the line is the agent's result. A run that is lost after that has come to its end.
    """

    text: str | None = None
    session_id: str | None = None
    cost_usd: float | None = None
    spent: tuple[str, float] | None = None
    alive: bool = True
    result: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitInfo:
    """How the program ended. `status` is 0..255, 128 + signal, or None if nobody knows.

    `stopped` names the limit that ended it: start, silence, total, output; or result (it had given its
    result and did not end), requested, or lost (it vanished with its machine), or None.
    `stdout` and `stderr` are the last megabyte of each, with the whole of the line in which that begins;
    `duration_s` is in seconds, `ended_at` in ms since 1970. `result` is the line with the program's last
    result, wherever it is, if the spec's `turns` say how to know it.

    What an agent reports as its result goes before its exit status, and before what stopped it.
    """

    status: int | None
    stopped: str | None
    stdout: str
    stderr: str
    duration_s: float
    session_id: str | None = None
    resumed: bool = False
    ended_at: int = 0
    result: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A run's end, as `actor.stopped` carries it.

    `text` is what the agent said last, `json` its structured result (its own structured output,
    else the last fenced JSON block of the text, else None). Costs are US dollars, estimated by
    the agent; `tokens` are counts by kind. `session_cost_usd` is what the whole session has cost, where the
    agent tells that: without `cost_usd`, the run has cost what came to it. `context_tokens` is what its last
    request read and wrote: how full the session's context is. `denied_tools` names what it tried and was not
    allowed to use. `details` are further facts, which the event has under the same names.
    """

    phase: Phase
    outcome: RunOutcome
    reason: str
    text: str = ""
    json: Any = None
    session_id: str | None = None
    cost_usd: float | None = None
    session_cost_usd: float | None = None
    tokens: Mapping[str, int] | None = None
    context_tokens: int | None = None
    turns: int | None = None
    models: Mapping[str, Any] | None = None
    denied_tools: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotBegun:
    """The program ended before any paid work: the wake may be tried again, as `outcome` says.

    `forget_session`: the session that it should have resumed does not exist any more. `session_fault`: the
    session may be why, if it was resumed; not so where the agent's service was at fault.
    """

    outcome: Retry | Unavailable | Throttled | Limited | Rejected
    forget_session: bool = False
    session_fault: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Abilities:
    """What an actor can do with sessions: go on in one, work in a copy, tell how full its context is."""

    resume: bool = False
    fork: bool = False
    context: bool = False


@runtime_checkable
class Priced(Protocol):
    """An actor whose runs tell what they cost, and keep a cap of their own."""

    @property
    def cap_usd(self) -> float | None:
        """US dollars that a run may cost at the most; None if it has no cap."""
        ...


@runtime_checkable
class Accounted(Protocol):
    """An actor that knows, once it is open, whose usage limits its runs meet.

    Actors with the same account wait for the same limits. What a project says of accounts goes first.
    """

    @property
    def account(self) -> str:
        """Its name for people, such as `claude-code login`. It holds no secret."""
        ...


@runtime_checkable
class Supervised(Actor, Protocol):
    """Has runs. Its functions are pure and quick; `read` and `finish` may come again after a restart."""

    @property
    def harness(self) -> str:
        """Which agent this is: `claude-code`, `process`, ..."""
        ...

    @property
    def directory(self) -> str | None:
        """The resolved directory in which runs work, one at a time; None if runs may overlap anywhere."""
        ...

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        """What to run. Raises Refused if this wake can never be run: it is then rejected."""
        ...

    def read(self, line: str) -> Progress | None:
        """One line of standard output, without its newline."""
        ...

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        """What the run came to."""
        ...
