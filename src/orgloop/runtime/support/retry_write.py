"""Writing down what has already happened, however long the journal needs to become writable again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from orgloop.errors import JournalUnavailable
from orgloop.plugin import Clock

log = logging.getLogger(__name__)

LONGEST: Final = 5.0
"""Seconds between two tries, at the most."""


async def until_written(clock: Clock, what: str, write: Callable[[], Awaitable[bool]]) -> bool:
    """What `write` returns once it raises no JournalUnavailable. The log names `what` meanwhile."""
    pause = 0.1
    while True:
        try:
            return await write()
        except JournalUnavailable as exc:
            log.warning("%s is kept in memory until the journal can be written: %s", what, exc.message)
        await clock.sleep(pause)
        pause = min(pause * 2, LONGEST)
