"""A polled source, and what the engine does with its pages: commit them, or fail to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

from aiohttp import web

from orgloop.plugin import Connector, Draft, Page
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context

Fault = Callable[[web.Request], web.StreamResponse]


def text(status: int, body: str | bytes, **headers: str) -> Fault:
    """An answer that a server gives once, instead of its own. Underscores in names of headers are hyphens."""
    content = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=status, body=content, headers=named)


class Polled:
    """A source of one connector, by the time of `now` (ms since 1970)."""

    def __init__(
        self, connector: Connector, http: HttpClient, config: dict[str, Any], now: Callable[[], int]
    ) -> None:
        assert connector.source is not None
        self.id, self.kind = connector.name, connector.source
        self.settings: Any = self.kind.settings.model_validate(config)
        self.context = FakeContext(http=cast(Any, http))
        self.now = now
        self.checkpoint: str | None = None
        self.events: dict[str, Draft] = {}
        self.repeated = 0
        self.source: Any = None

    async def begin(self) -> Self:
        """A fresh process."""
        self.source = self.kind.open(self.id, self.settings)
        self.context.clock.time = self.now()
        await self.source.open(as_context(self.context))
        return self

    async def poll(self, *, crash: bool = False) -> list[Draft]:
        """All steps of one poll. With `crash` the first step's page is never committed."""
        found: list[Draft] = []
        more = True
        while more:
            self.context.clock.time = self.now()
            page: Page = await self.source.poll(self.checkpoint)
            if crash:
                return list(page.events)
            assert page.checkpoint != self.checkpoint or not page.more
            self.checkpoint, more = page.checkpoint or self.checkpoint, page.more
            found += self.take(page.events)
        return found

    def take(self, drafts: Any) -> list[Draft]:
        """What the journal does: the first of a key counts."""
        fresh = []
        for draft in drafts:
            assert draft.key is not None
            if draft.key in self.events:
                self.repeated += 1
            else:
                self.events[draft.key] = draft
                fresh.append(draft)
        return fresh
