"""The roots of the work trees in which runs work, found beside the event loop and looked at again later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orgloop.config.git_files import root_of
from orgloop.plugin import Clock

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0
"""Seconds that a file system gets to say what a directory belongs to."""

FRESH_MS: Final = 30_000
"""For so long a root is believed: a repository may be made or moved while we run."""


@dataclass(frozen=True, slots=True)
class _Found:
    root: str
    at: int


class TreeRoots:
    """Knows roots by directory. `on_found` hears when one is known that somebody asked for."""

    def __init__(self, clock: Clock, on_found: Callable[[], None]) -> None:
        self._clock = clock
        self._on_found = on_found
        self._found: dict[str, _Found] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    def root(self, directory: str) -> str | None:
        """The root as far as it is known; None while it is looked for the first time."""
        known = self._found.get(directory)
        if (known is None or self._clock.now() - known.at >= FRESH_MS) and directory not in self._looking:
            self._looking[directory] = asyncio.create_task(self._look(directory))
        return known.root if known is not None else None

    async def close(self) -> None:
        """Look for nothing more."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, directory: str) -> None:
        looking = asyncio.create_task(asyncio.to_thread(root_of, directory))
        try:
            done, _ = await asyncio.wait({looking}, timeout=PATIENCE)
            if not done and directory not in self._found:
                # Its own name still keeps two runs out of the same directory.
                log.warning("%s does not answer: which work tree it belongs to is not known", directory)
                self._keep(directory, directory)
            # A file system that hangs holds this one thread, however often somebody asks.
            self._keep(directory, await looking)
        finally:
            looking.cancel()
            del self._looking[directory]

    def _keep(self, directory: str, root: str) -> None:
        known = self._found.get(directory)
        self._found[directory] = _Found(root, self._clock.now())
        if known is None or known.root != root:
            self._on_found()
