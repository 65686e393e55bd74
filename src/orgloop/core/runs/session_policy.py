"""Which session of its agent a run works in: that of its key, a copy of that, or a new one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orgloop.core.text.units import humanize


class SessionMode(StrEnum):
    """`then.session` of a route."""

    RESUME = "resume"
    """It goes on in the session that its key leads to."""
    FORK = "fork"
    """It works in a copy of that session, which itself stays as it is."""
    FRESH = "fresh"
    """It begins a session, and the key leads there from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPolicy:
    """How a route uses sessions. A session that has reached one of the limits is not taken up again.

    `max_wakes` counts the runs in it, `max_age_ms` is from its beginning, `max_context_tokens` what its
    agent read and wrote with its last request.
    """

    mode: SessionMode = SessionMode.RESUME
    max_wakes: int | None = None
    max_age_ms: int | None = None
    max_context_tokens: int | None = None

    def why_new(self, *, wakes: int, age_ms: int, context_tokens: int | None) -> str:
        """Why a session is not taken up any more, as the end of a sentence about it; empty if it may be."""
        if self.max_wakes is not None and wakes >= self.max_wakes:
            return f"had {wakes} wakes, and {self.max_wakes} is the most"
        if self.max_age_ms is not None and age_ms >= self.max_age_ms:
            return f"is {humanize(age_ms)} old, and {humanize(self.max_age_ms)} is the most"
        most = self.max_context_tokens
        if most is not None and context_tokens is not None and context_tokens >= most:
            return f"has {context_tokens} tokens of context, and {most} is the most"
        return ""
