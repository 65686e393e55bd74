"""Growing pauses between tries of something that will come back."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 60.0
"""Seconds; a pause never grows beyond."""


class Pauses:
    """1 s, 2 s, 4 s, ... up to a minute."""

    def __init__(self) -> None:
        self._next = 1.0

    def next(self) -> float:
        """The next pause in seconds."""
        pause, self._next = self._next, min(self._next * 2, LONGEST)
        return pause
