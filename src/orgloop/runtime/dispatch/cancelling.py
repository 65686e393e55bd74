"""Stops runs for the sake of a later event of their key: `on_busy: cancel_in_progress`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from orgloop.errors import NotFound
from orgloop.journal.protocols import Journal
from orgloop.runtime.wiring import Current

log = logging.getLogger(__name__)


class Cancelling:
    """The journal says which; each is asked once by this daemon, and again by the next one."""

    def __init__(self, journal: Journal, current: Current, stop: Callable[[str], Awaitable[None]]) -> None:
        """`stop` ends a run softly. It raises NotFound if the run does not go on, or OSError."""
        self._journal = journal
        self._current = current
        self._stop = stop
        self._asked: set[str] = set()

    async def look(self) -> None:
        """Stop what is to be stopped by now. Raises JournalUnavailable."""
        if not self._current.wiring.cancels:
            return
        ids = await self._journal.runs_to_cancel()
        self._asked.intersection_update(ids)
        for id in ids:
            if id in self._asked:
                continue
            try:
                await self._stop(id)
            except NotFound:
                continue
            except OSError as exc:
                log.warning("run %s cannot be told to end: %s", id, exc)
                continue
            self._asked.add(id)
