"""Starting a program from a plugin that may be cancelled at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def started(start: Coroutine[Any, Any, T], end: Callable[[T], Awaitable[None]]) -> T:
    """What `start` gives, such as a process. If the caller is cancelled meanwhile, `end` gets it instead.

    A start of asyncio's own that is cancelled ends the program alone, and waits, maybe for ever, for
    whoever else has its output.
    """
    starting = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await end(starting.result())
        raise
