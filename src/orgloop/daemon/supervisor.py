"""Keeps a daemon alive: after a crash it is started again, ever later, until that makes no sense any more."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
STABLE: Final = 60.0
"""Seconds of life after which the pauses begin anew."""

FIRST_LIFE: Final = 10.0
"""A daemon that gives up within so many seconds of its very first start would do so again."""

MOST: Final = 10
WITHIN: Final = 300.0
"""More crashes than `MOST` in this many seconds, and a person is needed."""


def supervise(command: Sequence[str], say: Callable[[str], None]) -> int:
    """Run `command` until it exits with 0, or until we are told to stop. Returns its exit code.

    SIGTERM and SIGINT are handed on, each time: the second one ends the daemon on the spot.
    """
    crashes: deque[float] = deque()
    pause = FIRST_PAUSE
    stopping = Stopping()
    while True:
        began = time.monotonic()
        # In a group of its own: Ctrl-C reaches us alone, and the daemon hears of it once.
        child = subprocess.Popen(command, process_group=0)
        stopping.watch(child)
        status = child.wait()
        if status == 0 or stopping.asked:
            return max(status, 0)
        now = time.monotonic()
        if status > 0 and not crashes and now - began < FIRST_LIFE:
            return status
        crashes.append(now)
        while crashes and now - crashes[0] > WITHIN:
            crashes.popleft()
        if len(crashes) > MOST:
            say(f"the daemon died {len(crashes)} times in {WITHIN:.0f} s: it is not started again")
            return status if status > 0 else 128 - status
        if now - began > STABLE:
            pause = FIRST_PAUSE
        how = f"with exit status {status}" if status > 0 else f"by {signal.Signals(-status).name}"
        say(f"the daemon ended {how}; it starts again in {pause:.0f} s")
        if stopping.wait(pause):
            return 0
        pause = min(pause * 2, LONGEST_PAUSE)


class Stopping:
    """Hands our signals on to the child."""

    def __init__(self) -> None:
        self.asked = False
        self._child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # The terminal that started us may go away.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """From now on this is the child."""
        self._child = child
        if self.asked:
            child.terminate()

    def wait(self, seconds: float) -> bool:
        """Sleep; True if we are to stop."""
        end = time.monotonic() + seconds
        while not self.asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
        return self.asked

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()


def daemon_command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs this program again with these arguments."""
    return [sys.executable, "-m", "orgloop", *arguments]
