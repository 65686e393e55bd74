"""What is known of events before one comes: their fields, and the values that these can have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orgloop.core.events.event import AuthorType, EventType
from orgloop.core.events.fields import Path, same
from orgloop.core.events.match import names_match
from orgloop.core.events.session_lifecycle import Phase, RunOutcome, platform_event

Values = tuple[Any, ...]
"""The values that a field can have: values, and types (`str`, `int`, `float`, `bool`) for all of a type."""

TEXT: Final[Values] = (str,)
NUMBER: Final[Values] = (int, float)
FLAG: Final[Values] = (True, False)
ANYTHING: Final[Values] = ()
"""Nothing is known of the value."""

BELOW: Final = "*"
"""The last part of a path whose whole map is open: whatever lies below it may be there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventShape:
    """Events of one kind: by which names routes call them (none for any name), and their fields as dot paths.

    A path that ends in `.*` says that anything may lie there. Fields that every event has need not be named.
    """

    names: Sequence[str]
    fields: Mapping[str, Values]

    def has(self, path: Path) -> bool:
        """Whether an event of this kind may have something at `path`."""
        return self._at(path) is not None

    def values(self, path: Path) -> Values:
        """The values that may be there; ANYTHING if that is not known, or if nothing may be there."""
        return self._at(path) or ANYTHING

    def _at(self, path: Path) -> Values | None:
        known = {**ENVELOPE_FIELDS, **self.fields}
        parts = [key for key, _ in path.steps]
        text = ".".join(parts)
        if text in known:
            return known[text]
        above = (".".join([*parts[:length], BELOW]) for length in range(len(parts), 0, -1))
        is_open = any(place in known for place in above)
        is_map = any(place.startswith(f"{text}.") for place in known)
        return ANYTHING if is_open or is_map else None


ENVELOPE_FIELDS: Final[Mapping[str, Values]] = {
    "id": TEXT,
    "timestamp": TEXT,
    "source": TEXT,
    "type": tuple(EventType),
    "trace_id": TEXT,
    "hops": NUMBER,
    "parents.*": ANYTHING,
    "provenance.platform": TEXT,
    "provenance.platform_event": TEXT,
    "provenance.author": ANYTHING,
    "provenance.author_type": tuple(AuthorType),
}


def shapes_of(events: Iterable[str], shapes: Sequence[EventShape]) -> list[EventShape]:
    """The shapes of the events that these names or globs mean."""
    patterns = tuple(events)
    return [shape for shape in shapes if not shape.names or names_match(patterns, tuple(shape.names))]


def may_be(value: object, values: Values) -> bool:
    """Whether a field with these values can have this one."""
    return not values or any(_is_one(value, one) for one in values)


def _is_one(value: object, known: Any) -> bool:
    if not isinstance(known, type):
        return same(value, known)
    return type(value) is known or (known is float and type(value) is int)


_SESSION: Final[Mapping[str, Values]] = {
    "provenance.session_id": TEXT,
    "provenance.working_directory": TEXT,
    "payload.lifecycle.terminal": FLAG,
    "payload.lifecycle.reason": ANYTHING,
    "payload.lifecycle.dedupe_key": TEXT,
    "payload.session.id": TEXT,
    "payload.session.adapter": TEXT,
    "payload.session.harness": TEXT,
    "payload.session.cwd": TEXT,
    "payload.session.started_at": TEXT,
}
_RUN: Final[Mapping[str, Values]] = {
    "provenance.run_id": TEXT,
    "payload.run_id": TEXT,
    "payload.route": TEXT,
}

SESSION_STARTED: Final[Mapping[str, Values]] = {
    **_SESSION,
    "payload.lifecycle.phase": (Phase.STARTED, Phase.ACTIVE),
    "payload.session.meta.*": ANYTHING,
}
"""The fields of the begin of a session, whoever tells of it."""

SESSION_ENDED: Final[Mapping[str, Values]] = {
    **_SESSION,
    "payload.lifecycle.phase": (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED),
    "payload.lifecycle.outcome": tuple(RunOutcome),
    "payload.session.ended_at": TEXT,
    "payload.session.exit_status": ANYTHING,
    "payload.session.meta.*": ANYTHING,
    "payload.session_id": TEXT,
    "payload.working_directory": TEXT,
    "payload.duration_seconds": NUMBER,
    "payload.exit_status": ANYTHING,
    "payload.summary": TEXT,
}
"""The fields of the end of a session, whoever tells of it."""

RUN_SHAPES: Final[Sequence[EventShape]] = (
    EventShape(
        names=(EventType.RESOURCE_CHANGED, platform_event(Phase.STARTED)),
        fields={**SESSION_STARTED, **_RUN},
    ),
    EventShape(
        names=(
            EventType.ACTOR_STOPPED,
            *(platform_event(phase) for phase in (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED)),
        ),
        fields={
            **SESSION_ENDED,
            **_RUN,
            "payload.result.text": TEXT,
            "payload.result.json": ANYTHING,
            "payload.result.json.*": ANYTHING,
            "payload.delivery_id": TEXT,
            "payload.cost_usd": ANYTHING,
            "payload.turns": ANYTHING,
            "payload.tokens.*": ANYTHING,
            "payload.models.*": ANYTHING,
            "payload.git.*": ANYTHING,
            "payload.duration": NUMBER,
            "payload.denied_tools.*": ANYTHING,
            "payload.cost_estimated": FLAG,
            "payload.resumed": FLAG,
            "payload.resumes": FLAG,
            "payload.account": TEXT,
            "payload.account_instead_of": TEXT,
            "payload.fresh_session": TEXT,
            "payload.forked_from": TEXT,
            "payload.stop_reason": TEXT,
            "payload.api_error": TEXT,
            "payload.needs_you": FLAG,
            "payload.asked": TEXT,
            "payload.ended_tasks.*": ANYTHING,
            "payload.limit_until": TEXT,
            "payload.json_error": TEXT,
            "payload.notes.*": ANYTHING,
        },
    ),
)
"""The events of an actor that has runs: their beginnings and their ends."""
