"""Records: what loggers and `orgloop logs` show, derived in one place from what the journal holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from orgloop.core.events.event import event_title


class Level(StrEnum):
    """How loud a record is."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class RecordPhase(StrEnum):
    """Where on the one path something happened: a closed list."""

    SOURCE_EMIT = "source.emit"
    SOURCE_DUPLICATE = "source.duplicate"
    SOURCE_FAILED = "source.failed"
    SOURCE_RECOVERED = "source.recovered"
    ROUTE_MATCH = "route.match"
    ROUTE_NO_MATCH = "route.no_match"
    TRANSFORM_PASS = "transform.pass"
    TRANSFORM_DROP = "transform.drop"
    TRANSFORM_ERROR = "transform.error"
    TRANSFORM_ERROR_DROP = "transform.error_drop"
    TRANSFORM_ERROR_HALT = "transform.error_halt"
    DELIVER_ATTEMPT = "deliver.attempt"
    DELIVER_SUCCESS = "deliver.success"
    DELIVER_SKIPPED = "deliver.skipped"
    DELIVER_FAILURE = "deliver.failure"
    DELIVER_RETRY = "deliver.retry"
    DELIVER_WAIT = "deliver.wait"
    DELIVER_HELD = "deliver.held"
    DELIVER_RELEASED = "deliver.released"
    DELIVER_DISCARDED = "deliver.discarded"
    DELIVER_EXPIRED = "deliver.expired"
    RUN_STARTED = "run.started"
    RUN_ENDED = "run.ended"
    RUN_FAILED = "run.failed"
    RUNTIME_START = "runtime.start"
    RUNTIME_STOP = "runtime.stop"
    RUNTIME_APPLY = "runtime.apply"
    SYSTEM_ERROR = "system.error"


LEVELS: Mapping[RecordPhase, Level] = {
    RecordPhase.SOURCE_FAILED: Level.WARN,
    RecordPhase.SOURCE_DUPLICATE: Level.DEBUG,
    RecordPhase.ROUTE_NO_MATCH: Level.DEBUG,
    RecordPhase.TRANSFORM_ERROR: Level.WARN,
    RecordPhase.TRANSFORM_ERROR_DROP: Level.WARN,
    RecordPhase.TRANSFORM_ERROR_HALT: Level.ERROR,
    RecordPhase.DELIVER_ATTEMPT: Level.DEBUG,
    RecordPhase.DELIVER_FAILURE: Level.ERROR,
    RecordPhase.DELIVER_RETRY: Level.WARN,
    RecordPhase.DELIVER_WAIT: Level.WARN,
    RecordPhase.DELIVER_HELD: Level.ERROR,
    RecordPhase.DELIVER_EXPIRED: Level.WARN,
    RecordPhase.RUN_FAILED: Level.WARN,
    RecordPhase.SYSTEM_ERROR: Level.ERROR,
}
"""Levels that are not `info`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One thing that happened. `at` is ms since 1970, `duration_ms` milliseconds; empty means not applicable.

    `event_name` is what its provider calls the event, `target` the actor's id, `result` the outcome in a word
    or two, `error` what went wrong.
    """

    at: int
    phase: RecordPhase
    event_id: str = ""
    trace_id: str = ""
    delivery_id: str = ""
    run_id: str = ""
    source: str = ""
    target: str = ""
    route: str = ""
    transform: str = ""
    event_type: str = ""
    event_name: str = ""
    result: str = ""
    error: str = ""
    duration_ms: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """The level of its phase."""
        return LEVELS.get(self.phase, Level.INFO)

    @property
    def title(self) -> str:
        """What the event is called in a line."""
        return event_title(self.event_type, self.event_name)

    def document(self) -> dict[str, Any]:
        """The record under its public names. What does not apply is left out, but for event and trace id."""
        known: dict[str, Any] = {
            "timestamp": timestamp(self.at),
            "level": self.level.value,
            "phase": self.phase.value,
            "event_id": self.event_id,
            "trace_id": self.trace_id,
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value:
                known[name] = value
        if self.duration_ms is not None:
            known["duration_ms"] = self.duration_ms
        if self.metadata:
            known["metadata"] = self.metadata
        return known


_OPTIONAL: Final = (
    "delivery_id",
    "run_id",
    "source",
    "target",
    "route",
    "transform",
    "event_type",
    "event_name",
    "result",
    "error",
)


def timestamp(at: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC with three decimals and a Z."""
    return f"{_to_the_second(at // 1000)}.{at % 1000:03}Z"


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    """Remembered: under load, thousands of events share their second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
