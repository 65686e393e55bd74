"""The event: an immutable envelope around what happened, who caused it and which chain it belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

ENVELOPE: Final = (
    "id",
    "timestamp",
    "source",
    "type",
    "provenance",
    "payload",
    "trace_id",
    "parents",
    "hops",
)
"""The envelope's keys, in the order in which an event is written."""

UNCHANGEABLE: Final = ("id", "timestamp", "source", "trace_id", "parents", "hops")
"""What a transform cannot change: identity and lineage belong to the journal."""


REPLAY_OF: Final = "replay_of"
"""The key of a replay: the id of the event that was replayed."""


class EventType(StrEnum):
    """The canonical types. Everything finer is `provenance.platform_event`."""

    RESOURCE_CHANGED = "resource.changed"
    """Something in an outside system changed; also a cron tick and a started run."""
    ACTOR_STOPPED = "actor.stopped"
    """A run ended, whatever its outcome."""
    MESSAGE_RECEIVED = "message.received"
    """A person or a system said something."""


class AuthorType(StrEnum):
    """Who caused an event."""

    TEAM_MEMBER = "team_member"
    EXTERNAL = "external"
    BOT = "bot"
    SYSTEM = "system"
    SELF = "self"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event, as committed.

    `id` is `evt_` and 16 hex digits that grow with time; `trace_id` is `trc_` and 16.
    `timestamp` is ISO 8601 in UTC with three decimals. `source` is the configured source's id.
    `parents` are the ids of the events that caused this one, `hops` how many runs lie between
    the outside event that began the trace (0) and this one.
    `extra` holds top-level keys beyond the envelope that a transform added.
    """

    id: str
    timestamp: str
    source: str
    type: str
    provenance: Mapping[str, Any]
    payload: Any
    trace_id: str
    parents: tuple[str, ...] = ()
    hops: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_replay(self) -> bool:
        """Whether a person replays an earlier event with it."""
        return REPLAY_OF in self.extra

    def document(self) -> dict[str, Any]:
        """The event as one JSON object: what filters, templates, scripts and prompts see."""
        return {
            "id": self.id,
            "timestamp": self.timestamp,
            "source": self.source,
            "type": self.type,
            "provenance": self.provenance,
            "payload": self.payload,
            "trace_id": self.trace_id,
            "parents": list(self.parents),
            "hops": self.hops,
            **self.extra,
        }

    def replayed(self, id: str) -> Event:
        """The same event once more: same author, time, lineage and payload, under an id of its own."""
        return dataclasses.replace(self, id=id, extra={**self.extra, REPLAY_OF: self.id})

    def changed_by(self, document: Mapping[str, Any]) -> Event:
        """This event with another document's content, identity and lineage kept.

        Raises ValueError if the document could not be an event: `type` is not text, or
        `provenance` is not a map.
        """
        kind = document.get("type", self.type)
        provenance = document.get("provenance", self.provenance)
        if not isinstance(kind, str) or not kind:
            raise ValueError("`type` of a changed event must be a non-empty string")
        if not isinstance(provenance, Mapping):
            raise ValueError("`provenance` of a changed event must be a map")
        return dataclasses.replace(
            self,
            type=kind,
            provenance=provenance,
            payload=document.get("payload"),
            extra={key: value for key, value in document.items() if key not in ENVELOPE},
        )


def event_title(kind: str, platform_event: str) -> str:
    """What an event is called in a list: its provider's name. The end of a run is called by its type, too,
    since routes name that.
    """
    if kind == EventType.ACTOR_STOPPED and platform_event not in ("", kind):
        return f"{kind} ({platform_event})"
    return platform_event or kind


def event_names(kind: str, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Every name that `when.events` may call this event by, most general first.

    The canonical type, `provenance.platform_event`, and the provider's own `native_event` alone
    and with `.native_action`. Where `platform_event` says more exactly what the same native event
    was, it stands for that: a merge is `pull_request.merged` and not `pull_request.closed`.
    """
    names = [kind]
    platform_event = provenance.get("platform_event")
    if isinstance(platform_event, str) and platform_event:
        names.append(platform_event)
    native = provenance.get("native_event")
    if isinstance(native, str) and native:
        names.append(native)
        action = provenance.get("native_action")
        if isinstance(action, str) and action and not names[1].startswith(f"{native}."):
            names.append(f"{native}.{action}")
    return tuple(dict.fromkeys(names))
