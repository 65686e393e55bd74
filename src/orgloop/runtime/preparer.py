"""Works through what is `preparing`: transforms run several at once, results commit in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orgloop.errors import JournalUnavailable
from orgloop.journal.model import Prepared, ToPrepare
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock
from orgloop.runtime.documents import load
from orgloop.runtime.prepare import prepare_later
from orgloop.runtime.wiring import Route

log = logging.getLogger(__name__)

PAGE: Final = 64
"""How many deliveries of one route are in hand at the same time."""

AT_ONCE: Final = 8
"""How many chains of transforms run at the same time, over all routes."""


class Preparer:
    """One worker per route that has slow transforms, so that a slow one delays nobody else."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        on_prepared: Callable[[Sequence[str]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._on_prepared = on_prepared
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._workers: dict[str, tuple[Route, asyncio.Event, asyncio.Task[None]]] = {}

    def use(self, routes: Mapping[str, Route]) -> None:
        """Work for these routes from now on."""
        for name, (route, _, task) in list(self._workers.items()):
            if routes.get(name) is not route:
                task.cancel()
                del self._workers[name]
        for name, route in routes.items():
            if not route.bounded and name not in self._workers:
                work = asyncio.Event()
                work.set()
                task = asyncio.create_task(self._run(route, work), name=f"prepare {name}")
                self._workers[name] = (route, work, task)

    def wake(self, route: str) -> None:
        """This route has something in `preparing`."""
        worker = self._workers.get(route)
        if worker is not None:
            worker[1].set()

    async def close(self) -> None:
        """Stop; what is not finished is prepared again at the next start."""
        tasks = [task for _, _, task in self._workers.values()]
        self._workers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, route: Route, work: asyncio.Event) -> None:
        while True:
            await work.wait()
            work.clear()
            try:
                while await self._page(route):
                    pass
            except JournalUnavailable as exc:
                log.warning("transforms of route %s wait: %s", route.name, exc.message)
                await self._clock.sleep(1)
                work.set()

    async def _page(self, route: Route) -> bool:
        """Prepare the oldest ones; False if there is nothing to do."""
        page = await self._journal.to_prepare(route.name, PAGE)
        tasks = [asyncio.create_task(self._prepare(route, item)) for item in page]
        try:
            done = 0
            while done < len(tasks):
                await tasks[done]
                ready = done
                while ready < len(tasks) and tasks[ready].done():
                    ready += 1
                results = [task.result() for task in tasks[done:ready]]
                await self._journal.prepared(results, self._clock.now())
                self._on_prepared([item.actor for item in page[done:ready]])
                done = ready
        finally:
            for task in tasks:
                task.cancel()
        return bool(page)

    async def _prepare(self, route: Route, item: ToPrepare) -> Prepared:
        async with self._slots:
            result = await prepare_later(route, load(item.document), self._clock.now())
        return Prepared(
            id=item.id,
            happening=result.happening,
            key=result.key,
            once=result.once,
            document=result.document,
            steps=result.steps,
        )
