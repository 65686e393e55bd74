"""The lifecycle of an agent session: what `payload.lifecycle` and `payload.session` say."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar, assert_never

from orgloop.core.events.event import EventType

_SIGNALS: Final = {130: "sigint", 137: "sigkill", 143: "sigterm"}
_CRASHES: Final = {
    int(getattr(signal, name)): name.lower()
    for name in (
        *("SIGILL", "SIGTRAP", "SIGABRT", "SIGEMT", "SIGFPE", "SIGBUS", "SIGSEGV", "SIGSYS"),
        *("SIGPIPE", "SIGALRM", "SIGSTKFLT", "SIGXCPU", "SIGXFSZ"),
    )
    if hasattr(signal, name)
}
"""Signals that a program gets for what it did itself."""

_LAST_SIGNAL: Final = 64
_STOPS: Final = {
    "start": "timeout_start",
    "silence": "timeout_silence",
    "total": "timeout_total",
    "output": "output_limit",
}
GIVEN: Final = "result"
"""What stopped a run that had given its result, and did not end by itself."""

_SHOWN: Final = 40
_Kind = TypeVar("_Kind", bound=StrEnum)

LOST: Final = "lost"
"""Why a run is over that vanished with its machine."""


class LifecycleError(ValueError):
    """A lifecycle or session would break its own rules. The message names the field."""


class Phase(StrEnum):
    """Where a session is. The last three are terminal: the session is over."""

    STARTED = "started"
    """It began."""
    ACTIVE = "active"
    """It goes on: it became busy or idle."""
    COMPLETED = "completed"
    """It ended by itself, without an error."""
    FAILED = "failed"
    """It ended by itself, with an error."""
    STOPPED = "stopped"
    """Something else ended it: a signal, a person, a limit."""

    @property
    def terminal(self) -> bool:
        """Whether the session is over."""
        match self:
            case Phase.STARTED | Phase.ACTIVE:
                return False
            case Phase.COMPLETED | Phase.FAILED | Phase.STOPPED:
                return True
            case _:
                assert_never(self)


class RunOutcome(StrEnum):
    """How a session that is over ended."""

    SUCCESS = "success"
    """It did not report an error."""
    FAILURE = "failure"
    """It reported an error."""
    CANCELLED = "cancelled"
    """It was ended before it was done."""
    UNKNOWN = "unknown"
    """It is over, and nobody saw how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifecycle:
    """A session's phase; once that is terminal, its outcome as well.

    `reason` is a short word such as `exit_code_1` or `sigterm`. `dedupe_key` is for information;
    see `dedupe_key()`. Raises LifecycleError if the outcome does not fit the phase, or the key is
    empty.
    """

    phase: Phase
    outcome: RunOutcome | None = None
    reason: str | None = None
    dedupe_key: str

    def __post_init__(self) -> None:
        if self.terminal and self.outcome is None:
            raise LifecycleError(f"the phase {self.phase} is terminal: give it an outcome")
        if not self.terminal and self.outcome is not None:
            raise LifecycleError(f"the phase {self.phase} is not terminal: it cannot have an outcome yet")
        if not self.dedupe_key:
            raise LifecycleError("dedupe_key is empty: make it with dedupe_key()")

    @property
    def terminal(self) -> bool:
        """Whether the session is over."""
        return self.phase.terminal

    def to_payload(self) -> dict[str, Any]:
        """The value of `payload.lifecycle`; what is not known is left out."""
        return _present(
            phase=self.phase.value,
            terminal=self.terminal,
            outcome=self.outcome.value if self.outcome else None,
            reason=self.reason,
            dedupe_key=self.dedupe_key,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One session of one agent.

    `adapter` is what reported it, `harness` what ran it (`claude-code`, `codex`, …). Times are
    ISO 8601 in UTC. `ended_at` and `exit_status` are known once it is over. `meta` is what the
    harness adds. Raises LifecycleError if `id`, `adapter` or `harness` is empty.
    """

    id: str
    adapter: str
    harness: str
    cwd: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    exit_status: int | None = None
    meta: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value in (("id", self.id), ("adapter", self.adapter), ("harness", self.harness)):
            if not value:
                raise LifecycleError(f"the session's {name} is empty: every session names one")

    def to_payload(self) -> dict[str, Any]:
        """The value of `payload.session`; what is not known is left out."""
        return _present(
            id=self.id,
            adapter=self.adapter,
            harness=self.harness,
            cwd=self.cwd,
            started_at=self.started_at,
            ended_at=self.ended_at,
            exit_status=self.exit_status,
            meta=None if self.meta is None else dict(self.meta),
        )


def from_exit_status(status: int) -> tuple[Phase, RunOutcome, str]:
    """What the exit status of a finished harness means: phase, outcome and reason.

    `status` is as a shell gives it: death by signal N is 128 + N. (Python's subprocess says -N,
    which here is an exit code like any other.) A crash is a failure; a signal that others send ends a run.
    """
    if status == 0:
        return Phase.COMPLETED, RunOutcome.SUCCESS, "exit_code_0"
    if status <= 128 or status > 128 + _LAST_SIGNAL:
        return Phase.FAILED, RunOutcome.FAILURE, f"exit_code_{status}"
    crash = _CRASHES.get(status - 128)
    if crash is not None:
        return Phase.FAILED, RunOutcome.FAILURE, crash
    return Phase.STOPPED, RunOutcome.CANCELLED, _SIGNALS.get(status, f"signal_{status - 128}")


def from_stop(status: int | None, stopped: str | None) -> tuple[Phase, RunOutcome, str] | None:
    """Phase, outcome and reason of a run that a limit or a person ended, or that is lost; else None.

    `stopped` names what ended it (`start`, `silence`, `total`, `output`, `requested`, `result`, `lost`),
    None if it ended without being asked to; `status` is None if nobody saw it.
    """
    if stopped == GIVEN:
        return Phase.STOPPED, RunOutcome.UNKNOWN, GIVEN
    if stopped == LOST or (stopped is None and status is None):
        return Phase.STOPPED, RunOutcome.UNKNOWN, LOST
    if stopped is None:
        return None
    return Phase.STOPPED, RunOutcome.CANCELLED, _STOPS.get(stopped, stopped)


def from_end(status: int | None, stopped: str | None) -> tuple[Phase, RunOutcome, str]:
    """Phase, outcome and reason of a run by what its runner tells: what stopped it, else its exit status."""
    return from_stop(status, stopped) or from_exit_status(status or 0)


def lifecycle_key(harness: str, session_id: str, phase: Phase) -> str:
    """`harness:session:phase`. A resumed session ends many times with the same key."""
    return f"{harness}:{session_id}:{phase}"


def event_type(phase: Phase) -> EventType:
    """The type of the event that reports `phase`."""
    return EventType.ACTOR_STOPPED if phase.terminal else EventType.RESOURCE_CHANGED


def platform_event(phase: Phase) -> str:
    """The `provenance.platform_event` of the event that reports `phase`."""
    return f"session.{phase}"


def check(payload: object, event_type: str) -> list[tuple[str, str]]:
    """What is wrong with the lifecycle of an event that came from outside.

    `payload` is the event's payload as JSON, `event_type` its type. Gives (field, message) pairs;
    the field is `lifecycle`, `session`, one of their keys as a dot path, or `type`. An optional
    key may be absent or null. A lifecycle or session that is not there ends the check.
    """
    body = payload if isinstance(payload, Mapping) else {}
    lifecycle, session = body.get("lifecycle"), body.get("session")
    absent = [
        (name, f"must be a map under payload.{name}; got {_kind(value)}")
        for name, value in (("lifecycle", lifecycle), ("session", session))
        if not isinstance(value, Mapping)
    ]
    if not isinstance(lifecycle, Mapping) or not isinstance(session, Mapping):
        return absent
    phase = _member(Phase, lifecycle.get("phase"))
    return [
        *_check_lifecycle(lifecycle, phase),
        *_check_session(session, phase),
        *_check_type(event_type, phase),
    ]


def _check_lifecycle(lifecycle: Mapping[str, object], phase: Phase | None) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    terminal, outcome = lifecycle.get("terminal"), lifecycle.get("outcome")
    if phase is None:
        problems.append(("lifecycle.phase", _one_of(Phase, lifecycle.get("phase"))))
    if not isinstance(terminal, bool):
        problems.append(("lifecycle.terminal", f"must be true or false; got {_kind(terminal)}"))
    elif phase is not None and terminal is not phase.terminal:
        problems.append(("lifecycle.terminal", f"must be {str(phase.terminal).lower()} in the phase {phase}"))
    required = phase is not None and phase.terminal
    if (outcome is not None or required) and _member(RunOutcome, outcome) is None:
        problems.append(("lifecycle.outcome", _one_of(RunOutcome, outcome)))
    problems += _check_texts("lifecycle", lifecycle, required=("dedupe_key",), optional=("reason",))
    return problems


def _check_session(session: Mapping[str, object], phase: Phase | None) -> list[tuple[str, str]]:
    problems = _check_texts(
        "session",
        session,
        required=("id", "adapter", "harness"),
        optional=("cwd", "started_at", "ended_at"),
    )
    status = session.get("exit_status")
    if status is None:
        return problems
    if isinstance(status, bool) or not isinstance(status, (int, float)):
        problems.append(("session.exit_status", f"must be a number; got {_kind(status)}"))
    elif phase is not None and not phase.terminal:
        problems.append(("session.exit_status", f"must be left out in the phase {phase}: it is not over"))
    return problems


def _check_type(kind: str, phase: Phase | None) -> list[tuple[str, str]]:
    if phase is None or kind == event_type(phase):
        return []
    return [("type", f"must be {event_type(phase)} in the phase {phase}; got {kind[:_SHOWN]!r}")]


def _check_texts(
    parent: str, values: Mapping[str, object], *, required: tuple[str, ...], optional: tuple[str, ...]
) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    for key in required:
        value = values.get(key)
        if not isinstance(value, str) or not value:
            problems.append((f"{parent}.{key}", f"must be a non-empty string; got {_kind(value)}"))
    for key in optional:
        value = values.get(key)
        if value is not None and not isinstance(value, str):
            problems.append((f"{parent}.{key}", f"must be a string, or left out; got {_kind(value)}"))
    return problems


def _member(kind: type[_Kind], value: object) -> _Kind | None:
    return kind(value) if isinstance(value, str) and value in kind._value2member_map_ else None


def _one_of(kind: type[StrEnum], value: object) -> str:
    shown = repr(value[:_SHOWN]) if isinstance(value, str) else _kind(value)
    return f"must be one of {', '.join(kind)}; got {shown}"


def _kind(value: object) -> str:
    """What a JSON value is, in the words of JSON: enough to find it, never the value itself."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case "":
            return "an empty string"
        case str():
            return "a string"
        case Mapping():
            return "a map"
        case _:
            return "a list"


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
