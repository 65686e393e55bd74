"""Questions to the journal's reader, asked in a thread so that no answer keeps an event waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from orgloop.errors import Overloaded
from orgloop.journal.protocols import Reader

T = TypeVar("T")

MOST_WAITING: Final = 64


class Readings:
    """One reader, one thread, one question after the other. The reader stays its owner's to close."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orgloop-reader")
        self._waiting = 0

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """The answer of `question(reader)`. Raises Overloaded if too many wait, else what the reader does."""
        if self._waiting >= MOST_WAITING:
            raise Overloaded(
                f"{self._waiting} requests wait for the journal already", hint="ask again after a moment"
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._reader)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the thread. Idempotent; whoever still waits is told that the daemon stops."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
