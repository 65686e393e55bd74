"""What a run says while it goes on, written down now and then."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from orgloop.errors import JournalUnavailable
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock
from orgloop.runtime.runs.live_run import LiveRun

log = logging.getLogger(__name__)

NOTE: Final = 2.0
"""Seconds between two notes of its last line in the journal."""

ALIVE_AFTER: Final = 30.0
"""Seconds after which a run that goes on shows that its actor is there, whatever it says."""


class Notes:
    """Notes of one run. `alive_after`: seconds after which it counts as work that it is there at all.

    `begin` tells of its start, as soon as it is seen to work; is called again until it is told. `is_seen`:
    whether it is heard of, or waited for, when something is written.
    """

    def __init__(
        self,
        live: LiveRun,
        journal: Journal,
        clock: Clock,
        *,
        alive_after: float | None = None,
        begin: Callable[[], Awaitable[None]] | None = None,
        is_seen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._live = live
        self._journal = journal
        self._clock = clock
        self._alive_after = alive_after
        self._begin = begin
        self._is_seen = is_seen
        self._noted = self._began = clock.monotonic()
        self._shown = False

    @property
    def age(self) -> float:
        """Seconds since something was written down, or since this began."""
        return self._clock.monotonic() - self._noted

    async def look(self, *, news: bool) -> None:
        """Write down what there is to write by now. `news`: it has said something."""
        now = self._clock.monotonic()
        if news and now - self._noted >= NOTE:
            await self.write()
        lasts = self._alive_after is not None and now - self._began >= self._alive_after
        if not (self._live.alive or lasts):
            return
        # That ends the pause of an actor that was not there, whichever daemon probed.
        if not self._shown:
            self._shown = self._live.alive = True
            await self.write()
        if self._begin is not None and not self._live.begun:
            await self._begin()

    async def write(self) -> None:
        """Write it down now; what cannot be written is left to the next time."""
        live = self._live
        self._noted = self._clock.monotonic()
        try:
            await self._journal.note_run(
                live.run_id,
                last_line=live.last_line,
                offset=live.read_offset,
                at=self._clock.now(),
                session_id=live.session_id,
                cost_usd=live.known_cost,
                alive=live.alive,
                answered=live.answered,
                seen=self._is_seen(),
            )
        except JournalUnavailable:
            log.debug("the last line of %s could not be recorded", live.run_id)
