"""Quiet hours: a part of each day in which nothing is to start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo


@dataclass(frozen=True, kw_only=True, slots=True)
class QuietHours:
    """From one time of the day until another, which may be on the next day. The two differ."""

    begins: time
    ends: time
    zone: tzinfo

    def until(self, now: int) -> int | None:
        """When the quiet time that goes on at `now` ends, in ms since 1970; None if none goes on."""
        local = datetime.fromtimestamp(now / 1000, self.zone)
        clock = local.time()
        over_night = self.ends < self.begins
        begun, not_over = clock >= self.begins, clock < self.ends
        if not ((begun or not_over) if over_night else (begun and not_over)):
            return None
        day = local.date() + timedelta(days=1 if over_night and begun else 0)
        end = datetime.combine(day, self.ends, self.zone)
        if end.timestamp() * 1000 <= now:
            # The clock is set back at that time, and shows it twice: the second one counts.
            end = end.replace(fold=1)
        return max(round(end.timestamp() * 1000), now + 1)
