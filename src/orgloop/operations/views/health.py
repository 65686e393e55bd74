"""How healthy something is: the rules, once for every output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from orgloop.journal.model import SourceRow

UNHEALTHY_AFTER: Final = 5
"""Failed polls in a row after which a source counts as unhealthy."""

LITTLE_ROOM: Final = 64 << 20
"""Bytes on the home's disk below which it is told. With less than a tenth of that it is urgent."""

SourceHealth = Literal["healthy", "degraded", "unhealthy", "unknown"]
Health = Literal["ok", "degraded", "error", "stopped"]
"""Of a whole organization. `stopped`: no daemon runs."""


def source_health(row: SourceRow | None, *, heard: bool = True) -> SourceHealth:
    """By its failed polls in a row: healthy without one, unhealthy after several. `heard`: a daemon
    runs and answers."""
    if not heard:
        return "unknown"
    if row is None or row.errors == 0:
        return "healthy"
    return "degraded" if row.errors < UNHEALTHY_AFTER else "unhealthy"
