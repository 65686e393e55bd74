"""`then.session`: which session of its agent a run works in."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from orgloop.config.schema.limits import ConfigPart
from orgloop.config.schema.values import Count, Milliseconds
from orgloop.core.runs.session_policy import SessionMode


class SessionConfig(ConfigPart):
    """`then.session`: a mode, or a map with a mode and limits."""

    mode: SessionMode = SessionMode.RESUME
    """`resume`: a run goes on in the session of its key. `fork`: in a copy of it. `fresh`: in a new one."""
    max_wakes: Count | None = None
    """With so many runs in it, a session is left and a new one begun."""
    max_age: Milliseconds | None = None
    """So long after its beginning, too."""
    max_context_tokens: Count | None = None
    """With so many tokens of context, too."""

    @model_validator(mode="before")
    @classmethod
    def _from_mode(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.mode is SessionMode.FRESH and self.model_fields_set - {"mode"}:
            raise ValueError("must not have limits with `mode: fresh`: each run begins a session anyway")
        return self
