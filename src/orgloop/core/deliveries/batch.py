"""Batches: events of one route that wake their actor together. When one is due, and what replaces what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST_EVENTS: Final = 500
"""How many events one wake can have."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""How many bytes of events one wake can have; one event alone may have more."""

_WRITTEN: Final = frozenset({"created", "opened", "submitted", "edited", "updated"})
"""Actions that leave a thing with a text: a later one of these says all that an earlier one said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPolicy:
    """`then.batch` of a route. A batch is due `window_ms` after its last event, and `max_wait_ms` after its
    first one at the latest; with `max_events` it is due at once."""

    window_ms: int = 120_000
    max_wait_ms: int = 600_000
    max_events: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """How one delivery is collected: into the open batch of its route with the same `key`.

    `thing` is what the event is about, and what kind of change it was: of two deliveries in one batch with
    the same, the later one takes the place of the earlier one. None: nothing replaces it.
    """

    key: str
    policy: BatchPolicy
    thing: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """An open batch. `due`, and `until` for due at the latest, are ms since 1970; `size` is in bytes."""

    members: int
    due: int
    until: int
    size: int

    @classmethod
    def begun(cls, policy: BatchPolicy, size: int, now: int) -> Batch:
        """With its first event."""
        until = now + policy.max_wait_ms
        return cls(members=1, due=min(until, now + policy.window_ms), until=until, size=size)

    def takes(self, size: int) -> bool:
        """Whether an event of this size has room in it."""
        return self.size + size <= MOST_BYTES

    def after(self, policy: BatchPolicy, size: int, now: int, *, replaces: bool) -> Batch:
        """With one more event. What is due already stays so: it waits only for its turn."""
        members = self.members if replaces else self.members + 1
        due = self.due if self.due <= now else min(self.until, now + policy.window_ms)
        full = members >= policy.max_events
        return Batch(
            members=members, due=min(due, now) if full else due, until=self.until, size=self.size + size
        )


def thing_of(entity: str | None, document: Mapping[str, Any]) -> str | None:
    """What an event says about which thing; None if it names none.

    A comment that is written and then edited has one text, the last one. A pull request that is labelled
    and then closed has two changes, and an agent must hear of both.
    """
    if not entity:
        return None
    provenance = document.get("provenance")
    names = provenance if isinstance(provenance, Mapping) else {}
    kind, action = names.get("native_event"), names.get("native_action")
    if not isinstance(kind, str) or not isinstance(action, str):
        name = names.get("platform_event")
        kind, _, action = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    return f"{entity}\n{kind}\n{'text' if action in _WRITTEN else action}"
