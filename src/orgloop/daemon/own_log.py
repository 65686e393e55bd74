"""The daemon's own log: what Python's `logging` gets, on standard error."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final

MOST_WAITING: Final = 1000
"""Lines that are kept for a standard error that takes none. Newer ones are left out."""

MOST_ALIKE: Final = 20
"""Lines of one kind, with their tracebacks, that are written in a while. The others are counted."""

WHILE: Final = 60.0
"""Seconds."""

MOST_KINDS: Final = 1000

LAST_LINES: Final = 1.0
"""Seconds that the last lines get at the end."""

Lines = queue.Queue[logging.LogRecord | None]


@contextmanager
def own_log() -> Iterator[None]:
    """Write the log from a thread: a terminal that stands still must not make the daemon wait."""
    lines: Lines = queue.Queue(MOST_WAITING)
    handler = _Handler(lines)
    thread = Thread(target=_write, args=(lines,), name="own log", daemon=True)
    thread.start()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        with suppress(queue.Full):
            lines.put_nowait(None)
            thread.join(LAST_LINES)


class _Handler(logging.handlers.QueueHandler):
    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)
        self.addFilter(Flood().is_written)

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


class Flood:
    """Bounds what is written of one kind: a flood of connections must not fill the disk with lines."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def is_written(self, record: logging.LogRecord) -> bool:
        """Whether a line is written. The first after a flood says how many were not."""
        # asyncio puts facts of each case into the lines behind the first.
        kind = (record.name, str(record.msg).partition("\n")[0][:100])
        since, count = self._kinds.get(kind, (record.created, 0))
        if not 0 <= record.created - since < WHILE:
            if count > MOST_ALIKE:
                record.msg = f"{record.getMessage()} (and {count - MOST_ALIKE} more like it before)"
                record.args = None
            since, count = record.created, 0
        if len(self._kinds) >= MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (since, count + 1)
        return count < MOST_ALIKE


def _write(lines: Lines) -> None:
    written = logging.Formatter()
    while (record := lines.get()) is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{written.format(record)}\n")
            sys.stderr.flush()
