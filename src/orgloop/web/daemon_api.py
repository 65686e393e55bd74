"""What the endpoints work with: the engine, the journal's reader, and what only the daemon can do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orgloop.runtime.engine import Runtime
from orgloop.web.reader_thread import Readings


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessControl:
    """What the daemon's process does when it is asked to.

    `shutdown` is called once the answer is on its way. `reload` reads the project again and applies
    it; it returns counts of what happened to waiting work, or raises ConfigError or PluginError and
    leaves everything as it was. `doctor` returns the report of `orgloop doctor --json`.
    """

    shutdown: Callable[[], None]
    reload: Callable[[], Awaitable[Mapping[str, int]]]
    doctor: Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonApi:
    """One server's view of the daemon. `port` is the one it listens on."""

    runtime: Runtime
    readings: Readings
    process: ProcessControl
    port: int
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    examining: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def module(self) -> str:
        """The project's name."""
        return self.runtime.organization.name

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.runtime.life().pid

    @property
    def version(self) -> str:
        """The running OrgLoop's."""
        return self.runtime.life().version

    @property
    def uptime_ms(self) -> int:
        """Since the engine was made."""
        life = self.runtime.life()
        return life.last_seen - life.started_at

    async def reload(self) -> Mapping[str, int]:
        """Read the project again and apply it, one at a time. Raises ConfigError or PluginError."""
        async with self.applying:
            return await self.process.reload()

    async def doctor(self) -> Mapping[str, Any]:
        """The doctor's report, one at a time: it asks other systems."""
        async with self.examining:
            return await self.process.doctor()
