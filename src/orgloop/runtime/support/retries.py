"""Trying again: growing pauses, and writing down what has happened once the journal can be written."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from orgloop.errors import JournalUnavailable
from orgloop.plugin import Clock

log = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 60.0
"""Seconds; a pause never grows beyond."""


class Pauses:
    """1 s, 2 s, 4 s, ... up to a minute."""

    def __init__(self) -> None:
        self._next = 1.0

    def next(self) -> float:
        """The next pause in seconds."""
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE)
        return pause


LONGEST_FOR_JOURNAL: Final = 5.0
"""Seconds between two tries to write, at the most."""


async def until_written(clock: Clock, what: str, write: Callable[[], Awaitable[bool]]) -> bool:
    """What `write` returns once it raises no JournalUnavailable. The log names `what` meanwhile."""
    pause = 0.1
    while True:
        try:
            return await write()
        except JournalUnavailable as exc:
            log.warning("%s is kept in memory until the journal can be written: %s", what, exc.message)
        await clock.sleep(pause)
        pause = min(pause * 2, LONGEST_FOR_JOURNAL)
