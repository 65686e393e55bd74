"""Works through what is `preparing`: transforms run several at once, results commit in order."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from orgloop.errors import FAULTS, JournalUnavailable
from orgloop.journal.model import Prepared, ToPrepare
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock
from orgloop.runtime.intake.prepare import prepare_later
from orgloop.runtime.support.documents import load
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.supervisor import Supervisor
from orgloop.runtime.wiring import OpenRoute

log = logging.getLogger(__name__)

PAGE: Final = 64
"""How many deliveries of one route are in hand at the same time."""

AT_ONCE: Final = 4
"""How many chains of transforms of one route run at the same time."""

ALL_AT_ONCE: Final = 32
"""How many run at the same time over all routes: many times one route's, so that a slow one delays nobody."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a transform may take to close."""


@dataclass(frozen=True, slots=True)
class _RouteQueue:
    """Where one route's work is announced, and how much of it goes on at once."""

    route: OpenRoute
    work: asyncio.Event = field(default_factory=asyncio.Event)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


_Worker = tuple[_RouteQueue, asyncio.Task[None]]


class Preparer:
    """One worker per route that has something in `preparing`, so that a slow one delays nobody else."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        supervisor: Supervisor,
        events: EngineEvents,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._supervisor = supervisor
        self._events = events
        self._all_slots = asyncio.Semaphore(ALL_AT_ONCE)
        self._routes: Mapping[str, OpenRoute] = {}
        self._workers: dict[str, _Worker] = {}

    async def use(self, routes: Mapping[str, OpenRoute]) -> None:
        """Work for these routes from now on. Returns once what is not used any more has ended."""
        old, self._routes = self._routes, routes
        await self._end([one for name, one in self._workers.items() if routes.get(name) is not one[0].route])
        await close_steps(route for name, route in old.items() if routes.get(name) is not route)

    def wake(self, name: str) -> None:
        """This route has something in `preparing`."""
        route = self._routes.get(name)
        if route is None:
            return
        if name not in self._workers:
            # Also a route that prepares within the accept transaction comes here, once it was changed.
            queue = _RouteQueue(route)
            loop = self._supervisor.keep(f"prepare {name}", partial(self._run, queue))
            self._workers[name] = (queue, asyncio.create_task(loop, name=f"prepare {name}"))
        self._workers[name][0].work.set()

    async def close(self) -> None:
        """Stop; what is not finished is prepared again at the next start."""
        routes, self._routes = self._routes, {}
        await self._end(list(self._workers.values()))
        await close_steps(routes.values())

    async def _end(self, workers: Sequence[_Worker]) -> None:
        for queue, task in workers:
            task.cancel()
            del self._workers[queue.route.name]
        await asyncio.gather(*(task for _, task in workers), return_exceptions=True)

    async def _run(self, queue: _RouteQueue) -> None:
        queue.work.set()
        while True:
            await queue.work.wait()
            try:
                await self._work_off(queue)
            except JournalUnavailable as exc:
                log.warning("transforms of route %s wait: %s", queue.route.name, exc.message)
                await self._clock.sleep(1)
                queue.work.set()

    async def _work_off(self, queue: _RouteQueue) -> None:
        """Prepare the oldest ones, and what comes meanwhile; returns when there is nothing to do."""
        tasks: dict[str, tuple[ToPrepare, asyncio.Task[Prepared]]] = {}
        try:
            while True:
                if queue.work.is_set() and len(tasks) < AT_ONCE:
                    queue.work.clear()
                    for item in await self._journal.to_prepare(queue.route.name, PAGE):
                        if item.id not in tasks:
                            tasks[item.id] = (item, asyncio.create_task(self._prepare(queue, item)))
                if not tasks:
                    return
                await self._until_something_can_be_done(queue, [task for _, task in tasks.values()])
                await self._commit_done(tasks)
                if not tasks:
                    # A page has no room for all there is.
                    queue.work.set()
        finally:
            for _, task in tasks.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in tasks.values()), return_exceptions=True)

    async def _until_something_can_be_done(
        self, queue: _RouteQueue, tasks: list[asyncio.Task[Prepared]]
    ) -> None:
        """The first is done, since results commit in order; or there is room for more, and more has come."""
        news = asyncio.create_task(queue.work.wait())
        try:
            room = {news} if len(tasks) < AT_ONCE else set()
            await asyncio.wait({tasks[0], *room}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _commit_done(self, tasks: dict[str, tuple[ToPrepare, asyncio.Task[Prepared]]]) -> None:
        done = list(itertools.takewhile(lambda pair: pair[1].done(), tasks.values()))
        if not done:
            return
        await self._journal.prepared([task.result() for _, task in done], self._clock.now())
        self._events.prepared([item.actor for item, _ in done])
        for item, _ in done:
            del tasks[item.id]

    async def _prepare(self, queue: _RouteQueue, item: ToPrepare) -> Prepared:
        async with queue.slots, self._all_slots:
            result = await prepare_later(queue.route, load(item.document), self._clock.now(), item.entity)
        return Prepared(
            id=item.id,
            transition=result.transition,
            key=result.key,
            once=result.once,
            document=result.document,
            steps=result.steps,
            batch=result.batch,
            turn=result.turn,
            ordered=queue.route.spec.policy.ordered,
        )


async def close_steps(routes: Iterable[OpenRoute]) -> None:
    """Close the transforms of routes that nobody uses any more."""
    for route in routes:
        for step in route.steps:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await step.transform.close()
            except FAULTS:
                log.exception("transform %s of route %s does not close", step.spec.name, route.name)
