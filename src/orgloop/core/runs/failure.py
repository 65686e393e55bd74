"""A run that did not come out well, as people read it: why it ended, and what its program said last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orgloop.core.events.session_lifecycle import RunOutcome
from orgloop.core.text.units import humanize

TEXT_LIMIT: Final = 100_000
"""Characters of an agent's last words, or of its result as JSON, that an event carries."""

ERROR_LIMIT: Final = 2_000
"""Characters of standard error that end the result of a run that failed."""

REQUESTED: Final = "requested"
"""The reason of a run that was told to end: by a person, or for the sake of a later event."""

_LIMITS: Final[Mapping[str, str]] = {
    "timeout_total": "timeout",
    "timeout_start": "start_timeout",
    "timeout_silence": "silence_timeout",
    "output_limit": "max_output",
}
"""The key in an actor's `config` that sets each limit."""


def failed(outcome: str) -> bool:
    """Whether a run with this outcome began, and did not come out well."""
    return outcome not in ("", RunOutcome.SUCCESS)


def last_words(stdout: str, stderr: str) -> str:
    """What a failed program said: the end of its output, and last the end of what it complained of."""
    complaint = stderr.strip()
    if len(complaint) > ERROR_LIMIT:
        part = complaint[-ERROR_LIMIT:]
        complaint = part.partition("\n")[2] or part
    words = stdout.strip()[-(TEXT_LIMIT - len(complaint) - 1) :].lstrip()
    return "\n".join(filter(None, (words, complaint)))


def why(reason: str, lasted_ms: int) -> str:
    """The reason of a run's end in words: for a limit, the key that sets it."""
    if reason == REQUESTED:
        return "stopped on request"
    key = _LIMITS.get(reason)
    return reason if key is None else f"ended after {humanize(lasted_ms)}: config.{key}"


def lines_of(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line for line in text.splitlines() if line.strip()]
