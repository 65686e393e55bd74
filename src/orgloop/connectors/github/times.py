"""GitHub's times, and seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def seconds(value: Any) -> int | None:
    """GitHub's time, such as 2026-01-05T10:00:00Z, in seconds since 1970; None if it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        time = datetime.fromisoformat(value)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def iso(at: int) -> str:
    """Seconds since 1970 as GitHub writes times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
