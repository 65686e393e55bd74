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
    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


def _write(lines: Lines) -> None:
    written = logging.Formatter()
    while (record := lines.get()) is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{written.format(record)}\n")
            sys.stderr.flush()
