"""What a plugin hands in: an event before the journal has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orgloop.core.events.event import EventType


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A run of this home as its marks tell it: its actor, and of the event that woke it trace and hops.

    Of an actor without runs, `run_id` is its delivery's id.
    """

    run_id: str
    actor: str
    event_id: str
    trace_id: str
    hops: int

    @property
    def provenance(self) -> Mapping[str, str]:
        """What an event says of the run, or the delivery, that did it."""
        key = "run_id" if self.run_id.startswith("run_") else "delivery_id"
        return {key: self.run_id, "run_actor": self.actor}


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """An event before the journal has it. The engine adds id, time, source, trace and hops.

    `key` names the fact within its source, with its version if the thing can be edited
    (`review-17@2026-01-05T10:00:00Z`): the same key a second time is a duplicate, whichever way it
    came. None: every draft is a new fact.
    `cause`: the run that did it, if a mark says so; the event then continues that run's trace.
    `entity` names the thing that the fact is about, without its version (`comment-17`): all edits of one
    comment have one. None: no thing that could come again.
    `provenance` needs `platform`; `platform_event`, `native_event`, `native_action`, `author` and
    `author_type` are what routes and trust read.
    """

    provenance: Mapping[str, Any]
    payload: Any
    type: str = EventType.RESOURCE_CHANGED
    key: str | None = None
    cause: Mark | None = None
    entity: str | None = None
