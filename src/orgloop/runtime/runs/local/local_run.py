"""A run of a program, and what it has written so far."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orgloop import runner
from orgloop.errors import FAULTS
from orgloop.plugin import Supervised
from orgloop.runtime.runs.live_run import LiveRun
from orgloop.runtime.runs.local import git, run_directory

log = logging.getLogger(__name__)

CHUNK: Final = 256 << 10
"""Bytes of output that are read at once."""

FAR_BEHIND: Final = 16 << 20
"""Bytes of output that are caught up with. Of more, only the end is read: a flood says nothing to people."""

REREAD: Final = 1 << 20
"""Bytes of output that a later daemon reads again: it must know whether they hold the result."""

LONGEST_LINE: Final = 8 << 20
"""Bytes of a line of output that is still read; a longer one says nothing."""


@dataclass(slots=True, kw_only=True)
class LocalRun(LiveRun):
    """A run of a program on this machine."""

    directory: Path
    actor: Supervised | None
    before: git.Head | None = None
    tree: Mapping[str, Any] = field(default_factory=dict)
    """Its own work tree, if it has one: its name, its base, and what the run's event says of it."""
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
    resulted: bool = False
    """The last that its agent said is its result."""
    tells: bool = False
    """Its agent's output shows whether it works: that it goes on for long shows nothing."""
    _lines: deque[bytes] = field(default_factory=deque)
    """Whole lines that are read, and not understood yet."""

    @property
    def owes_start(self) -> bool:
        return not self.begun

    def take_in(self, seconds: float) -> bool:
        """Read some of what the program has written since, for so long; True if there was a line to show."""
        if not self._lines:
            self._read()
        news, deadline = False, time.monotonic() + seconds
        while self._lines:
            news |= self._take_line(self._lines.popleft().decode("utf-8", errors="replace"))
            if time.monotonic() > deadline:
                self.behind = True
                break
        return news

    def _read(self) -> None:
        """The next lines, as far as they are there."""
        try:
            with run_directory.open_plain(self.directory / runner.STDOUT) as file:
                length = file.seek(0, os.SEEK_END)
                if length - self.offset > FAR_BEHIND:
                    self.rest, self.skipped, self.offset = b"", 1, length - CHUNK
                file.seek(self.offset)
                chunk = file.read(CHUNK)
        except OSError:
            self.behind = False
            return
        self.behind = len(chunk) == CHUNK
        self.offset += len(chunk)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if lines and self.skipped:
            self.skipped = 0
            del lines[0]
        if self.skipped or len(self.rest) > LONGEST_LINE:
            self.skipped, self.rest = self.skipped + len(self.rest), b""
        self._lines.extend(lines)

    def take_rest(self) -> None:
        """The program has ended: what it wrote last is a line, newline or not."""
        rest, self.rest = self.rest, b""
        if rest:
            self._take_line(rest.decode("utf-8", errors="replace"))

    @property
    def read_offset(self) -> int:
        """Where a later daemon goes on reading: after the last whole line that was understood."""
        return self.offset - len(self.rest) - self.skipped - sum(len(line) + 1 for line in self._lines)

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
        if progress.result:
            self.resulted = True
        elif progress.alive:
            self.resulted = False
        return True
