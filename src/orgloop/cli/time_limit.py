"""How long a command may take: also where a file system hangs, and no answer to a question of ours comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer, main_thread
from types import FrameType
from typing import Final

from orgloop.cli import output
from orgloop.errors import OrgLoopError

LIMIT: Final = 120.0
"""Seconds. Whatever a command asks of a daemon, a program or a service has a shorter limit of its own."""

_running: list[Timer] = []


@contextmanager
def time_limit(report: Callable[[OrgLoopError], int], seconds: float = LIMIT) -> Iterator[None]:
    """End this process, with what `report` returns, if the block takes longer and never calls `no_limit`."""
    _start(report, seconds)
    try:
        yield
    finally:
        no_limit()


def no_limit() -> None:
    """From now on this command takes as long as it likes: it waits for a person, follows, or serves."""
    while _running:
        _running.pop().cancel()


def _start(report: Callable[[OrgLoopError], int], seconds: float) -> None:
    timer = Timer(seconds, _end, [report, seconds])
    timer.daemon = True
    _running.append(timer)
    timer.start()


def _end(report: Callable[[OrgLoopError], int], seconds: float) -> None:
    at_work = sys._current_frames().get(main_thread().ident or 0)
    if at_work is not None and at_work.f_code.co_filename == output.__file__:
        # Whoever reads what it prints takes time.
        _start(report, seconds)
        return
    path = _path_in(at_work)
    where = f": {path} does not answer" if path is not None else ""
    late = OrgLoopError(
        f"the command has not ended within {seconds:g} s{where}",
        hint="check that its file system is mounted; no work is lost" if path is not None else "try it again",
    )
    status = report(late)
    sys.stdout.flush()
    # Not by an exception: the thread that hangs would not hear of it.
    os._exit(status)


def _path_in(frame: FrameType | None) -> Path | None:
    """The path with which a thread deals at this moment, if it deals with one."""
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, Path):
                return value
        frame = frame.f_back
    return None
