"""What happens to sources and to the daemon itself, in the journal: a flood is one record with a count."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from orgloop.core.records.record import RecordPhase
from orgloop.errors import JournalError
from orgloop.journal.model import SystemEntry
from orgloop.journal.protocols import Operating
from orgloop.plugin import Clock
from orgloop.runtime.support.supervisor import Errands

log = logging.getLogger(__name__)

QUIET: Final = 60.0
"""Seconds for which what is like an earlier one is only counted."""

MOST: Final = 1_000
"""Different things that are told apart in this time; what is new beyond them is not written."""


class SystemLog:
    """The first of its kind is written at once, what follows within a minute as one with a count."""

    def __init__(self, journal: Operating, clock: Clock, errands: Errands) -> None:
        self._journal = journal
        self._clock = clock
        self._errands = errands
        self._counted: dict[tuple[RecordPhase, str], SystemEntry | None] = {}

    def note(self, phase: RecordPhase, subject: str, *, event_id: str = "", detail: str = "") -> None:
        """Something happened just now. Returns at once; what cannot be written is left out."""
        entry = SystemEntry(
            at=self._clock.now(), phase=phase, subject=subject, event_id=event_id, detail=detail
        )
        key = (phase, subject)
        if key in self._counted:
            before = self._counted[key]
            self._counted[key] = replace(entry, times=before.times + 1 if before is not None else 1)
        elif len(self._counted) < MOST:
            self._counted[key] = None
            self._errands.run("a record of the daemon", self._write([entry]))

    async def tell(self, phase: RecordPhase, detail: str = "") -> None:
        """Something of the whole daemon, written when this returns."""
        await self._write([SystemEntry(at=self._clock.now(), phase=phase, detail=detail)])

    async def run(self) -> None:
        """Write down each minute what was counted, until cancelled."""
        while True:
            await self._clock.sleep(QUIET)
            await self.flush()

    async def flush(self) -> None:
        """Write down what was counted so far."""
        counted = [entry for entry in self._counted.values() if entry is not None]
        # What went on within this minute goes on being counted; the rest is news again.
        self._counted = {key: None for key, entry in self._counted.items() if entry is not None}
        if counted:
            await self._write(counted)

    async def _write(self, entries: list[SystemEntry]) -> None:
        try:
            await self._journal.record(entries)
        except JournalError as exc:
            log.warning("%s could not be recorded: %s", entries[0].phase, exc.message)
