"""A run that goes on: what its end needs, and what its program has said so far."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop import runner
from orgloop.core.delivery import Facts
from orgloop.core.event import Event
from orgloop.plugin import Progress, Supervised
from orgloop.runtime import git

log = logging.getLogger(__name__)

CHUNK: Final = 1 << 20
"""Bytes of output that are read at once."""


@dataclass(slots=True)
class LiveRun:
    """A run that goes on, with what its end needs."""

    run_id: str
    directory: Path
    facts: Facts
    event: Event
    delivery_id: str
    route: str
    actor_id: str
    harness: str
    actor: Supervised | None
    session_id: str | None
    resumed: bool
    cwd: str | None
    started_at: int
    before: git.Head | None = None
    process: subprocess.Popen[bytes] | None = None
    offset: int = 0
    rest: bytes = b""
    last_line: str = ""
    pause_tries: int = 0

    def take_in(self) -> bool:
        """Read what the program has written since; True if there was a line to show."""
        try:
            with (self.directory / runner.STDOUT).open("rb") as file:
                file.seek(self.offset)
                chunk = file.read(CHUNK)
        except OSError:
            return False
        self.offset += len(chunk)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        news = False
        for line in lines:
            news |= self._take_line(line.decode("utf-8", errors="replace"))
        return news

    @property
    def read_offset(self) -> int:
        """Where a later daemon goes on reading: after the last whole line."""
        return self.offset - len(self.rest)

    def _take_line(self, line: str) -> bool:
        if self.actor is None:
            return False
        try:
            progress: Progress | None = self.actor.read(line)
        except Exception:
            log.exception("a line of run %s cannot be read", self.run_id)
            return False
        if progress is None:
            return False
        self.session_id = progress.session_id or self.session_id
        self.last_line = progress.text or self.last_line
        return True
