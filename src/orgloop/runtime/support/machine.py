"""How much this machine has to do: whether a further program may start."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orgloop.core.deliveries.admission import LimitScope, ScopeLevel, Unit, WaitCause, Waiting, Window

HOLDS_MS: Final = 10_000
"""So long it waits, unless it is looked at again: half way."""

FRESH_MS: Final = 1_000
"""A reading holds for so long."""

MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")


class Machine:
    """Reads memory and load, at most once a second. Where it cannot, nothing has to wait."""

    def __init__(
        self,
        free: Callable[[], int | None] | None = None,
        load: Callable[[], float | None] | None = None,
    ) -> None:
        self._free = free or memory_free
        self._load = load or load_average
        self._read_at: int | None = None
        self._known: tuple[int | None, float | None] = (None, None)

    def pressure(self, actor: str, memory_free: int | None, load: float | None, now: int) -> Waiting | None:
        """Why no program of this actor may start now: less free memory, or more load, than allowed."""
        if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
            self._read_at, self._known = now, (self._free(), self._load())
        free, average = self._known
        if memory_free is not None and free is not None and free < memory_free:
            return _waiting(actor, WaitCause.MEMORY, memory_free, "defaults.limits.memory_free", now)
        if load is not None and average is not None and average > load:
            return _waiting(actor, WaitCause.LOAD, round(load * 100), "defaults.limits.load", now)
        return None


def memory_free(meminfo: Path = MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that a new program can have: of the machine, or of this container if that is less."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text("ascii").splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None
    try:
        limit = int((cgroup / "memory.max").read_text("ascii"))
        used = int((cgroup / "memory.current").read_text("ascii"))
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text("ascii").splitlines())
        # What only caches files is given back.
        return min(free, max(0, limit - used + int(stat.get("inactive_file", 0))))
    except (OSError, ValueError):
        return free


def load_average() -> float | None:
    """How many programs ran or waited for a processor, over the last minute."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _waiting(actor: str, cause: WaitCause, limit: int, setting: str, now: int) -> Waiting:
    return Waiting(
        scope=LimitScope(level=ScopeLevel.ACTOR, name=actor),
        unit=Unit.RUNS,
        window=Window.AT_ONCE,
        limit=limit,
        until=now + HOLDS_MS,
        setting=setting,
        cause=cause,
    )
