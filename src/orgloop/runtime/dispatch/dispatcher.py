"""Claims what is due, as far as slots are free, and hands it to the executor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final

from orgloop.core.deliveries.admission import Waiting
from orgloop.core.text.units import humanize
from orgloop.errors import JournalUnavailable
from orgloop.journal.model import ClaimedWake, ClaimWant
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock
from orgloop.runtime.dispatch.cancelling import Cancelling
from orgloop.runtime.dispatch.guards import admission, reserves
from orgloop.runtime.dispatch.tree_roots import TreeRoots
from orgloop.runtime.support.engine_events import EngineEvents
from orgloop.runtime.support.machine import Machine
from orgloop.runtime.wiring import ActorPart, Current

log = logging.getLogger(__name__)

STARTS_AT_ONCE: Final = 8
"""How many runs are brought to life at the same time; how many go on is decided at the claim."""

LOOK_AGAIN_MS: Final = 30_000
"""Longest time without a look at the journal: nothing depends on it, it only bounds a surprise."""

SET_BACK_MS: Final = 1_000
"""By so much at the least a clock is set back; less is what it is corrected by all the time."""

HAND_BACK: Final = 5.0
"""Seconds in which interrupted wakes are written down at a stop."""

GIVE_UP: Final = 0.5
"""Seconds for what ignores even that."""


class Dispatcher:
    """One loop; claims only for actors that may have work."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        current: Current,
        execute: Callable[[ClaimedWake, Callable[[], None]], Coroutine[Any, Any, None]],
        is_open: Callable[[ActorPart], bool],
        events: EngineEvents,
        stop_run: Callable[[str], Awaitable[None]],
        machine: Machine | None = None,
    ) -> None:
        """`execute` calls its second argument once the actor is done with the wake; then it settles.

        `stop_run` ends a run softly.
        """
        self._journal = journal
        self._clock = clock
        self._execute = execute
        self._is_open = is_open
        self._events = events
        self._current = current
        self._ready: set[str] = set(current.wiring.actors)
        self._quiet: dict[str, int] = {}
        self._due: int | None = None
        self._ahead: int | None = None
        self._changed = asyncio.Event()
        self._changed.set()
        self._cancelling = Cancelling(journal, current, stop_run)
        self._machine = machine or Machine()
        self._trees = TreeRoots(clock, self.wake_all)
        self._in_flight: dict[str, set[asyncio.Task[None]]] = {}
        self._slots: dict[str, set[tuple[str, int]]] = {}

    def wake(self, actor: str) -> None:
        """This actor may have work, or a free slot."""
        self._ready.add(actor)
        self._changed.set()

    def wake_all(self) -> None:
        """A limit that several actors share may have become free, or there are other actors."""
        self._quiet.clear()
        self._ready.update(self._current.wiring.actors)
        self._changed.set()

    def due(self, at: int) -> None:
        """Something becomes claimable at that time."""
        if self._due is None or at < self._due:
            self._due = at
            self._changed.set()

    @property
    def in_flight(self) -> int:
        """How many wakes are being executed."""
        return sum(len(tasks) for tasks in self._in_flight.values())

    async def run(self) -> None:
        """Until cancelled; may be begun again. What is being executed goes on: see `drain`."""
        self.wake_all()
        while True:
            await self._pause()
            self._changed.clear()
            wants: list[ClaimWant] = []
            try:
                await self._follow_clock()
                await self._cancelling.look()
                wants = self._wants()
                if wants:
                    await self._claim(wants)
            except JournalUnavailable as exc:
                log.warning("no delivery can be claimed: %s", exc.message)
                self._ready.update(want.actor for want in wants)
                await self._clock.sleep(1)
                self._changed.set()

    async def settled(self, actors: Collection[str]) -> None:
        """Return when nothing that goes on now for these actors goes on any more."""
        tasks = [task for actor in actors for task in self._in_flight.get(actor, ())]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, grace: float) -> None:
        """Let what is in flight finish for `grace` seconds, then interrupt it; return when all is settled.

        What cannot be settled then, since the journal or a plugin does not let go, is left to the next
        start to recover.
        """
        await self._trees.close()
        left = {task for tasks in self._in_flight.values() for task in tasks}
        for patience in (grace, HAND_BACK, GIVE_UP):
            if not left:
                return
            _, left = await asyncio.wait(left, timeout=patience)
            for task in left:
                task.cancel()
        if left:
            log.warning(
                "%d deliveries could not be returned to the queue: the next start recovers them", len(left)
            )

    async def _pause(self) -> None:
        """Until something changed, or is due: what is due does not wait for a moment without news."""
        if not self._changed.is_set():
            left = LOOK_AGAIN_MS if self._due is None else min(self._due - self._clock.now(), LOOK_AGAIN_MS)
            try:
                async with asyncio.timeout(max(0, left) / 1000):
                    await self._changed.wait()
            except TimeoutError:
                self._look_at_all()
        if self._due is not None and self._due <= self._clock.now():
            self._look_at_all()

    def _look_at_all(self) -> None:
        self._due = None
        self._ready.update(self._current.wiring.actors)

    async def _follow_clock(self) -> None:
        """A clock that was set back must not make what is due wait until it has caught up."""
        now = self._clock.now()
        ahead = now - round(self._clock.monotonic() * 1000)
        by = self._ahead - ahead if self._ahead is not None else 0
        if by >= SET_BACK_MS:
            log.warning("the clock was set back by %s", humanize(by))
            await self._journal.set_back(now, by)
            self._look_at_all()
        self._ahead = ahead

    def _wants(self) -> list[ClaimWant]:
        wants = []
        for actor in list(self._ready):
            part = self._current.wiring.actors.get(actor)
            slots = self._free_slots(part) if part is not None and self._is_open(part) else 0
            directory = part.directory if part is not None else None
            tree = self._trees.root(directory) if directory is not None else None
            # While a tree is looked for, its actor is left out: it is ready again once it is found.
            quiet = part.spec.quiet.until(self._clock.now()) if part is not None and part.spec.quiet else None
            if quiet is not None and self._quiet.get(actor) == quiet:
                # The journal knows, and says so: events that come meanwhile need not write it again.
                self.due(quiet)
            elif part is not None and slots > 0 and (tree is not None or directory is None):
                wants.append(
                    ClaimWant(
                        actor=actor,
                        slots=slots,
                        admit=admission(self._current.wiring, part, self._clock),
                        reserve=reserves(part),
                        tree=tree,
                        rates_only=not part.has_runs,
                        accounts=part.accounts,
                        closed_until=quiet,
                        closed_by=part.spec.quiet_setting,
                        pressure=self._pressure(part),
                    )
                )
            self._ready.discard(actor)
        return wants

    def _pressure(self, part: ActorPart) -> Waiting | None:
        """Why no program of it may start on this machine now. What runs elsewhere needs none."""
        defaults = self._current.wiring.organization.defaults
        if part.supervised is None:
            return None
        now = self._clock.now()
        return self._machine.pressure(part.spec.id, defaults.memory_free, defaults.load, now)

    def _free_slots(self, part: ActorPart) -> int:
        most = STARTS_AT_ONCE if part.has_runs else part.spec.kind.concurrency
        return most - len(self._slots.get(part.spec.id, ()))

    async def _claim(self, wants: list[ClaimWant]) -> None:
        claims = await self._journal.claim(wants, self._clock.now())
        self._quiet |= {want.actor: want.closed_until for want in wants if want.closed_until is not None}
        for wake in claims.wakes:
            self._launch(wake)
        if claims.held:
            self._events.claims_wait()
            self._ready.update(want.actor for want in wants)
            self._changed.set()
        if claims.next_due is not None:
            self.due(claims.next_due)

    def _launch(self, wake: ClaimedWake) -> None:
        slots = self._slots.setdefault(wake.actor, set())
        slot = (wake.id, wake.token)
        slots.add(slot)

        def free() -> None:
            # While the end of one wake is written, the next one is claimed: in the same transaction, mostly.
            slots.discard(slot)
            self.wake(wake.actor)

        task = asyncio.create_task(self._execute(wake, free), name=f"wake {wake.id}")
        tasks = self._in_flight.setdefault(wake.actor, set())
        tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            free()
            if not task.cancelled() and task.exception() is not None:
                log.error("a wake of %s failed with an error", wake.actor, exc_info=task.exception())

        task.add_done_callback(done)
