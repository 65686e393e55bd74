"""Housekeeping: the daemon's pulse, expiry of what is held, pruning of what is finished."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orgloop.core.ids import made_at
from orgloop.core.text.units import DAY
from orgloop.errors import JournalUnavailable
from orgloop.journal.model import DaemonRow
from orgloop.journal.protocols import Journal, Reader
from orgloop.plugin import Clock

log = logging.getLogger(__name__)

BEAT: Final = 30.0
"""Seconds between two signs of life; the gap after a crash is known this exactly."""

TIDY: Final = 3600.0
"""Seconds between two rounds of expiry and pruning."""

PAGE: Final = 100
"""Events that are pruned in one transaction."""

SEEN: Final = 7 * DAY
"""Milliseconds for which a duplicate is recognised, at the least."""


class Janitor:
    """One loop. `retention` gives the milliseconds that finished work is kept."""

    def __init__(
        self,
        journal: Journal,
        read: Callable[[], Reader],
        clock: Clock,
        life: Callable[[], DaemonRow],
        retention: Callable[[], int],
        runs: Path,
    ) -> None:
        self._journal = journal
        self._read = read
        self._clock = clock
        self._life = life
        self._retention = retention
        self._runs = runs
        self._next_tidy = clock.monotonic() + BEAT

    async def run(self) -> None:
        """Until cancelled; may be begun again."""
        while True:
            try:
                await self._journal.beat(self._life())
                if self._clock.monotonic() >= self._next_tidy:
                    self._next_tidy = self._clock.monotonic() + TIDY
                    await self.tidy()
            except JournalUnavailable as exc:
                log.warning("deleting old data waits: %s", exc.message)
            await self._clock.sleep(BEAT)

    async def tidy(self) -> None:
        """One round. Directories are this machine's own; the journal is tidied by one worker."""
        now = self._clock.now()
        before = now - self._retention()
        if await self._journal.lead("prune"):
            await self._tidy_journal(now, before)
        await asyncio.to_thread(self._remove_directories, before)

    async def _tidy_journal(self, now: int, before: int) -> None:
        expired = await self._journal.expire(now, before)
        if expired:
            log.info("%d held deliveries expired", expired)
        while await self._journal.prune(before, min(before, now - SEEN), PAGE) == PAGE:
            pass

    def _remove_directories(self, before: int) -> None:
        """Delete run directories that are old and belong to no run any more."""
        reader = self._read()
        try:
            for directory in self._runs.iterdir() if self._runs.is_dir() else ():
                # By its own time: a run that starts right now has a directory before it has a row.
                at = made_at(directory.name)
                if at is not None and at < before and reader.run(directory.name) is None:
                    shutil.rmtree(directory, ignore_errors=True)
        finally:
            reader.close()
