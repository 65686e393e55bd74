"""What prepare did with one delivery, as the journal keeps it: one entry per transform, in their order.

`steps` of a delivery is a list of JSON objects; nothing follows an entry that ended the delivery:

    {"name": "drop-bot-noise", "result": "error", "reason": "…", "on_error": "drop", "ms": 0.02}

`name` (of the transform, or for `hold` the hold reason; SESSION_KEY, BATCH_KEY) and `result` (a StepResult)
are always there, the rest only if there is something to say: `reason` for people; `on_error`, the policy that
was applied, for `error`; `ms`, how long the step took; `at` (ms since 1970), when it ran, if that
was after its event was accepted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

SESSION_KEY = "session_key"
"""The entry that says why a wake has no session, though its route has a session key."""


BATCH_KEY = "batch.key"
"""The entry that says why a wake is collected with no other, though its route has batches."""


class StepResult(StrEnum):
    """What one step did."""

    PASS = "pass"
    """The event went on as it was."""
    CHANGE = "change"
    """The event went on changed."""
    ONCE = "once"
    """The event went on if it was the first with its key; a delivery dropped as duplicate ended here."""
    NO_KEY = "no_key"
    """A part of a key has no value, so there is no key: nothing is a duplicate, and no session is shared."""
    DROP = "drop"
    """The event ended here."""
    ERROR = "error"
    """The step failed: `on_error` pass went on, drop ended the event, hold and halt the delivery for now."""
    HOLD = "hold"
    """No transform but a guard of the route holds the delivery; `name` says which."""


def step(
    name: str,
    result: StepResult,
    *,
    reason: str = "",
    on_error: str = "",
    ms: float | None = None,
    at: int | None = None,
) -> dict[str, Any]:
    """One entry of a delivery's `steps`."""
    entry: dict[str, Any] = {"name": name, "result": result.value}
    if reason:
        entry["reason"] = reason
    if on_error:
        entry["on_error"] = on_error
    if ms is not None:
        entry["ms"] = round(ms, 3)
    if at is not None:
        entry["at"] = at
    return entry
