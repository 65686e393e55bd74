"""Events as JSON bytes and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orgloop.core.events.event import ENVELOPE, Event
from orgloop.core.text.json_text import dump_json, load_json
from orgloop.errors import Refused


def dump(document: dict[str, Any]) -> bytes:
    """An event document as compact JSON. Raises Refused (400) for what is no JSON, or is nested too deep."""
    try:
        return dump_json(document)
    except ValueError as exc:
        raise Refused(
            f"this event cannot be stored: {exc}", hint="send JSON that is nested less than 200 levels deep"
        ) from exc


def load(document: bytes) -> Event:
    """The event of a stored document."""
    return event_of(load_json(document))


def event_of(data: Mapping[str, Any]) -> Event:
    """The same, of a document that was read."""
    return Event(
        id=data["id"],
        timestamp=data["timestamp"],
        source=data["source"],
        type=data["type"],
        provenance=data["provenance"],
        payload=data["payload"],
        trace_id=data["trace_id"],
        parents=tuple(data["parents"]),
        hops=data["hops"],
        extra={key: value for key, value in data.items() if key not in ENVELOPE},
    )
