"""How much of a route may wait, and what becomes of the rest: `queue_depth` and `overflow`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Overflow(StrEnum):
    """What becomes of deliveries that are too many."""

    HOLD = "hold"
    """The new one waits for a person."""
    DROP_OLDEST = "drop_oldest"
    """The oldest one that was not tried yet is dropped; the new one if all were."""
    REFUSE = "refuse"
    """The new one is dropped. Its event is accepted all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueLimit:
    """At most `depth` deliveries of a route wait. `setting` is the key in `orgloop.yaml` that says so."""

    depth: int
    overflow: Overflow
    setting: str
