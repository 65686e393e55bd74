"""How often actors were woken: counts in short steps of time, so that a rate holds for any window."""

from __future__ import annotations

from typing import Final

from orgloop.core.deliveries.admission import WINDOW_MS, LimitScope, Room, Window
from orgloop.journal.verbs.transaction import Transaction

_STEPS: Final = 50
"""Of so many steps is a window. What is in a step counts until all of the step has left the window."""


class WakeCounts:
    """The counts as one claim sees them, with what it adds."""

    def __init__(self, tx: Transaction, now: int) -> None:
        self._tx = tx
        self._now = now
        self._known: dict[tuple[LimitScope, Window], dict[int, int]] = {}

    def room(self, scope: LimitScope, window: Window, need: int, limit: int) -> Room:
        """As `Ledger.room`, for wakes."""
        counts = self._counts(scope, window)
        used = sum(counts.values())
        excess, free_at = used + need - limit, self._now
        for begins in sorted(counts):
            if excess <= 0:
                break
            excess -= counts[begins]
            free_at = begins + _step(window) + WINDOW_MS[window]
        return Room(used=used, free_at=free_at)

    def add(self, scope: LimitScope, window: Window) -> None:
        """An actor is woken in this scope."""
        counts, begins = self._counts(scope, window), self._now - self._now % _step(window)
        counts[begins] = counts.get(begins, 0) + 1
        self._tx.change("count_wake", (*_name(scope, window), begins))

    def _counts(self, scope: LimitScope, window: Window) -> dict[int, int]:
        found = self._known.get((scope, window))
        if found is None:
            left = self._now - WINDOW_MS[window] - _step(window)
            # What is to come again, since the clock was set back, would count for too long.
            self._tx.change("forget_wakes", (*_name(scope, window), left, self._now))
            found = dict(self._tx.rows("wake_counts", _name(scope, window)))
            self._known[scope, window] = found
        return found


def _step(window: Window) -> int:
    return WINDOW_MS[window] // _STEPS


def _name(scope: LimitScope, window: Window) -> tuple[str, str, str, str]:
    return scope.level, scope.name, scope.actor, window
