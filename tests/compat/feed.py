"""A polled source that gives what a test puts into it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from orgloop.plugin import Connector, Context, Draft, Page, Settings, SourceKind


class NoSettings(Settings):
    """Nothing to set."""


@dataclass(kw_only=True)
class Feed:
    """Each poll gives the next page; without one it has nothing new. A page may also be an error to raise.

    `checkpoints` are those that it was asked with, `most` how many polls went on at once.
    """

    pages: deque[Page | Exception] = field(default_factory=deque)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    checkpoints: list[str | None] = field(default_factory=list)
    going: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def connector(self) -> Connector:
        """The connector `feed` whose sources are this one."""
        return Connector(
            name="feed",
            title="A feed",
            source=SourceKind(settings=NoSettings, open=lambda _id, _settings: self, polled=True),
        )

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        self.checkpoints.append(checkpoint)
        self.going += 1
        self.most = max(self.most, self.going)
        try:
            await self.gate.wait()
            page = self.pages.popleft() if self.pages else Page(checkpoint=checkpoint)
            if isinstance(page, Exception):
                raise page
            return page
        finally:
            self.going -= 1


def draft(name: str, **payload: Any) -> Draft:
    """An event of a feed."""
    return Draft(provenance={"platform": "feed", "platform_event": name}, payload=payload)
