"""What only a running daemon knows of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orgloop.runtime.engine import Runtime


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrences:
    """How often something happened since the daemon's start, when last (ms since 1970), and why."""

    times: int
    at: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Postponed:
    """A source waits until `until` (ms since 1970): its other side told it to come later."""

    until: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerState:
    """A logger, and how often it failed since the daemon's start."""

    name: str
    failures: int
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """It, by ids of sources, actors and loops. `journal_fault` says why nothing can be committed, if so.

    The sources in `unproven` refused a request whose sender was not proven.
    """

    next_polls: Mapping[str, int] = field(default_factory=dict)
    later: Mapping[str, Postponed] = field(default_factory=dict)
    refused: Mapping[str, Occurrences] = field(default_factory=dict)
    unproven: Collection[str] = ()
    loggers: Sequence[LoggerState] = ()
    not_open: Mapping[str, str] = field(default_factory=dict)
    troubles: Mapping[str, Occurrences] = field(default_factory=dict)
    journal_fault: str = ""
    waiting_accepts: int = 0


def live_of(runtime: Runtime, journal_fault: str) -> Live:
    """What a running engine knows now. Call it in its event loop."""
    sources = runtime.sources
    return Live(
        next_polls=dict(sources.next_polls),
        later={id: Postponed(until=one.until, reason=one.reason) for id, one in sources.later.items()},
        refused={
            id: Occurrences(times=one.times, at=one.at, why=one.reason)
            for id, one in runtime.counters.refusals.items()
        },
        unproven={id for id, one in runtime.counters.refusals.items() if one.unproven},
        loggers=[
            LoggerState(name=one.spec.name, failures=one.failures, error=one.last_error)
            for one in runtime.observer.threads
        ],
        not_open=dict(runtime.actors.failing),
        troubles={
            name: Occurrences(times=one.times, at=one.at, why=one.error)
            for name, one in runtime.supervisor.troubles.items()
        },
        journal_fault=journal_fault,
        waiting_accepts=runtime.journal.waiting,
    )


def live_of_document(document: Mapping[str, Any]) -> Live:
    """What a daemon said at `/api/status`. It may be of another version: what it does not say is left out."""
    sources: Sequence[Mapping[str, Any]] = document.get("sources", ())
    polls = {one["id"]: _moment(one.get("next_poll")) for one in sources}
    return Live(
        next_polls={id: at for id, at in polls.items() if at is not None},
        later={
            one["id"]: Postponed(until=_moment(waits["until"]) or 0, reason=str(waits["reason"]))
            for one in sources
            if (waits := one.get("later"))
        },
        refused={
            one["id"]: Occurrences(times=one["refused"], at=at, why=str(one["refused_why"]))
            for one in sources
            if (at := _moment(one.get("last_refused"))) is not None
        },
        unproven={one["id"] for one in sources if one.get("refused_unproven")},
        loggers=[
            LoggerState(name=one["name"], failures=one["failures"], error=str(one["error"]))
            for one in document.get("loggers", ())
        ],
        not_open=document.get("not_open", {}),
        troubles={
            name: Occurrences(times=one["times"], at=_moment(one["at"]) or 0, why=str(one["error"]))
            for name, one in document.get("troubles", {}).items()
        },
        journal_fault=str(document.get("journal_fault", "")),
        waiting_accepts=document.get("waiting_accepts", 0),
    )


def _moment(text: str | None) -> int | None:
    return int(datetime.fromisoformat(text).timestamp() * 1000) if text else None
