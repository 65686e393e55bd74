"""A run of a program, and what it has written so far."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop import runner
from orgloop.errors import FAULTS
from orgloop.plugin import Supervised
from orgloop.runtime.runs.live_run import LiveRun
from orgloop.runtime.runs.local import git

log = logging.getLogger(__name__)

CHUNK: Final = 1 << 20
"""Bytes of output that are read at once."""

LONGEST_LINE: Final = 8 << 20
"""Bytes of a line of output that is still read; a longer one says nothing."""


@dataclass(slots=True, kw_only=True)
class LocalRun(LiveRun):
    """A run of a program on this machine."""

    directory: Path
    actor: Supervised | None
    before: git.Head | None = None
    process: subprocess.Popen[bytes] | None = None
    """The runner, if this daemon started it."""
    no_runner: str = ""
    """Why there is none."""
    offset: int = 0
    rest: bytes = b""
    behind: bool = False
    """There may be more to take in at once."""
    skipped: int = 0
    """Bytes that were left out of a line that is too long, and goes on."""

    def take_in(self) -> bool:
        """Read some of what the program has written since; True if there was a line to show."""
        try:
            with (self.directory / runner.STDOUT).open("rb") as file:
                file.seek(self.offset)
                chunk = file.read(CHUNK)
        except OSError:
            self.behind = False
            return False
        self.behind = len(chunk) == CHUNK
        self.offset += len(chunk)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if lines and self.skipped:
            self.skipped = 0
            del lines[0]
        if self.skipped or len(self.rest) > LONGEST_LINE:
            self.skipped, self.rest = self.skipped + len(self.rest), b""
        news = False
        for line in lines:
            news |= self._take_line(line.decode("utf-8", errors="replace"))
        return news

    def take_rest(self) -> None:
        """The program has ended: what it wrote last is a line, newline or not."""
        rest, self.rest = self.rest, b""
        if rest:
            self._take_line(rest.decode("utf-8", errors="replace"))

    @property
    def read_offset(self) -> int:
        """Where a later daemon goes on reading: after the last whole line."""
        return self.offset - len(self.rest) - self.skipped

    def _take_line(self, line: str) -> bool:
        if self.actor is None:
            return False
        try:
            progress = self.actor.read(line)
        except FAULTS:
            log.exception("a line of run %s cannot be read", self.run_id)
            return False
        if progress is None:
            return False
        self.take(progress)
        return True
