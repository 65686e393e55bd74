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
from orgloop.core.record import timestamp
from orgloop.errors import FAULTS
from orgloop.plugin import Progress, Supervised
from orgloop.runtime.runs import git
from orgloop.runtime.runs.completion import RunFacts
from orgloop.runtime.support.sanitize import text

log = logging.getLogger(__name__)

CHUNK: Final = 1 << 20
"""Bytes of output that are read at once."""

LONGEST_LINE: Final = 8 << 20
"""Bytes of a line of output that is still read; a longer one says nothing."""

SHOWN: Final = 200
"""Characters of a line for people."""


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
    """The runner, if this daemon started it."""
    no_runner: str = ""
    """Why there is none."""
    offset: int = 0
    rest: bytes = b""
    behind: bool = False
    """There may be more to take in at once."""
    skipped: int = 0
    """Bytes that were left out of a line that is too long, and goes on."""
    last_line: str = ""
    cost_usd: float | None = None
    """What it has told of its cost by now."""
    pause_tries: int = 0
    """How often nobody had answered before it was started."""
    works: bool = False
    """It has shown that its actor is there."""

    @property
    def about(self) -> RunFacts:
        """What its events say about it."""
        return RunFacts(
            run_id=self.run_id,
            delivery_id=self.delivery_id,
            route=self.route,
            actor=self.actor_id,
            harness=self.harness,
            session_id=self.session_id or self.run_id,
            cwd=self.cwd,
            started_at=timestamp(self.started_at),
        )

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
            progress: Progress | None = self.actor.read(line)
        except FAULTS:
            log.exception("a line of run %s cannot be read", self.run_id)
            return False
        if progress is None:
            return False
        if progress.session_id:
            self.session_id = text(progress.session_id)
        self.works |= progress.works
        if isinstance(progress.cost_usd, int | float):
            self.cost_usd = progress.cost_usd
        self.last_line = one_line(text(progress.text or "")) or self.last_line
        return True


def one_line(text: str, limit: int = SHOWN) -> str:
    """A text on one bounded line that can be stored."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= limit else f"{line[:limit]}…"
