"""The engine, composed: everything between a configuration and a journal."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orgloop.config.model import Organization
from orgloop.core.delivery import Move, State
from orgloop.core.happening import Discarded, Released, Retried
from orgloop.core.ids import IdSequence
from orgloop.journal.follow import Follower
from orgloop.journal.model import (
    Acceptance,
    Accepted,
    AppliedRow,
    ClaimedWake,
    DaemonRow,
    RunEnd,
    Settlement,
)
from orgloop.journal.protocols import Journal, Reader
from orgloop.plugin import Clock, Context
from orgloop.runtime.actors import Actors
from orgloop.runtime.clock import SystemClock
from orgloop.runtime.dispatcher import Dispatcher
from orgloop.runtime.executor import Executor
from orgloop.runtime.home import Home
from orgloop.runtime.http import HttpClient
from orgloop.runtime.inbound import Doorway
from orgloop.runtime.intake import Intake
from orgloop.runtime.janitor import Janitor
from orgloop.runtime.lend import Lent
from orgloop.runtime.observer import Observer
from orgloop.runtime.preparer import Preparer
from orgloop.runtime.runs import Runs
from orgloop.runtime.sources import Sources
from orgloop.runtime.tally import Tally
from orgloop.runtime.wiring import Wiring, build

log = logging.getLogger(__name__)

FINGERPRINTS: Final = "fingerprints"
"""Key of an applied snapshot: what decides how each route's waiting work is prepared."""

DRAIN: Final = 0.7
"""Seconds that wakes in flight get at a stop before they are handed back."""


class Runtime:
    """One project at work in one home.

    `start` returns when everything runs, `apply` replaces the configuration live, `stop` returns
    when all is settled or handed back; both ends may be called twice.
    """

    def __init__(
        self,
        journal: Journal,
        home: Home,
        organization: Organization,
        read: Callable[[], Reader],
        *,
        clock: Clock | None = None,
        version: str = "",
    ) -> None:
        self.home = home
        self.journal = journal
        self.clock = clock or SystemClock()
        self.wiring = build(organization)
        self._started_at = self.clock.now()
        self._read = read
        self._version = version
        self.port: int | None = None
        self._ended = False
        self._http = HttpClient()
        self.tally = Tally()
        ids = IdSequence(random.getrandbits(20))
        self.intake = Intake(journal, self.clock, ids, self.wiring, self._accepted)
        self.doorway = Doorway(self.intake, lambda: self.wiring)
        self.runs = Runs(
            journal, self.clock, ids, self.intake, self.wiring, home.path, self._settled, self._run_ended
        )
        self.executor = Executor(journal, self.clock, self.wiring, self.runs, self._settled)
        self.actors = Actors(self.clock, self._lend, self._actor_opened)
        self.dispatcher = Dispatcher(
            journal, self.clock, self.wiring, self.executor.execute, self.actors.is_open
        )
        self.preparer = Preparer(journal, self.clock, self._prepared)
        self.sources = Sources(journal, self.clock, self.intake, self._lend, self._source_health, self.tally)
        self.observer = Observer(lambda: Follower.at_end(read()))
        self._janitor = Janitor(journal, read, self.clock, self.life, self._retention, home.runs)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def organization(self) -> Organization:
        """The configuration that runs."""
        return self.wiring.organization

    def life(self) -> DaemonRow:
        """This daemon's row, as of now."""
        now = self.clock.now()
        return DaemonRow(
            started_at=self._started_at,
            last_seen=now,
            ended_at=now if self._ended else None,
            pid=os.getpid(),
            port=self.port,
            version=self._version,
        )

    async def start(self) -> None:
        """Recover what was left, apply the configuration, and begin. Returns when everything runs."""
        await self.journal.recover(self.clock.now())
        await self.journal.beat(self.life())
        await self._commit_applied(self.wiring)
        self.observer.use(self.organization.loggers)
        self.actors.use(self.wiring)
        await self.runs.adopt()
        self.preparer.use(self.wiring.routes)
        await self.sources.use(self.wiring)
        self._tasks = [
            asyncio.create_task(self.dispatcher.run(), name="dispatcher"),
            asyncio.create_task(self._janitor.run(), name="janitor"),
        ]

    async def apply(self, organization: Organization) -> Mapping[str, int]:
        """Replace the configuration live; what did not change goes on untouched.

        The new parts are built first: if one cannot be, PluginError is raised and the old
        configuration goes on. Returns what happened to waiting work, counted by word.
        """
        old = self.wiring
        new = build(organization, old)
        moved = await self._commit_applied(new)
        self.wiring = new
        self.intake.wiring = self.executor.wiring = self.runs.wiring = new
        self.observer.use(organization.loggers)
        retired = self.actors.use(new)
        self.dispatcher.use(new)
        self.preparer.use(new.routes)
        await self.sources.use(new)
        await self.dispatcher.settled([part.spec.id for part in retired])
        await self.actors.retire(retired)
        return moved

    async def operate(self, delivery_id: str, happening: Released | Retried | Discarded) -> Move:
        """What a person decided about a delivery. Raises NotFound, or Conflict if it cannot be done now."""
        moved = await self.journal.operate(delivery_id, happening, self.clock.now())
        # Its key's next may be due now, and whose that is the move does not say.
        self.dispatcher.wake_all()
        self.observer.poke()
        return moved

    async def stop(self, grace: float = DRAIN) -> None:
        """Take and claim nothing more, hand back what is in flight, close everything. Agents go on."""
        if self._ended:
            return
        self._ended = True
        await self.sources.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.preparer.close()
        await self.dispatcher.drain(grace)
        await self.runs.close()
        await self.actors.close()
        await self._http.close()
        await self.journal.beat(self.life())
        await asyncio.to_thread(self.observer.close)
        await self.journal.close()

    async def _commit_applied(self, wiring: Wiring) -> Mapping[str, int]:
        """Write down what is applied from now on. Returns what follows for waiting work, counted."""
        organization = wiring.organization
        fingerprints = {route.name: route.fingerprint for route in organization.routes}
        before = await asyncio.to_thread(self._applied_fingerprints)
        row = AppliedRow(
            at=self.clock.now(),
            project=organization.name,
            root=str(organization.root),
            snapshot={**organization.snapshot, FINGERPRINTS: fingerprints},
        )
        return await self.journal.apply(
            row,
            {route.name: route.actor for route in organization.routes},
            self.clock.now(),
            actors={id: part.spec.kind.has_runs for id, part in wiring.actors.items()},
            changed=[name for name, print_ in fingerprints.items() if before.get(name, print_) != print_],
        )

    def _applied_fingerprints(self) -> Mapping[str, str]:
        """Those of the routes that were applied last, also by an earlier daemon."""
        reader = self._read()
        try:
            applied = reader.applied()
        finally:
            reader.close()
        return applied.snapshot.get(FINGERPRINTS, {}) if applied is not None else {}

    def _lend(self, id: str) -> Context:
        return Lent(
            id=id,
            project=self.organization.name,
            clock=self.clock,
            http=self._http,
            environment=self.organization.environment,
            intake=self.intake,
        )

    def _retention(self) -> int:
        return self.organization.defaults.event_retention_ms

    # --- what follows from commits ----------------------------------------------------------------

    def _accepted(self, acceptance: Acceptance, accepted: Sequence[Accepted]) -> None:
        for event in acceptance.events:
            for delivery in event.deliveries:
                if delivery.state is State.PENDING:
                    self.dispatcher.wake(delivery.actor)
                elif delivery.state is State.PREPARING:
                    self.preparer.wake(delivery.route)
        self.observer.poke()

    def _prepared(self, actors: Sequence[str]) -> None:
        for actor in actors:
            self.dispatcher.wake(actor)
        self.observer.poke()

    def _settled(self, claimed: ClaimedWake, settlement: Settlement) -> None:
        seconds = (settlement.at - settlement.tried.began) / 1000
        self.tally.tried(claimed.route, claimed.actor, settlement.happening, seconds)
        if settlement.move.state is State.PENDING:
            self.dispatcher.due(settlement.pause_until or settlement.move.due)
        self.observer.poke()

    def _run_ended(self, actor: str, end: RunEnd) -> None:
        self.tally.run_ended(actor, end.happening, end.outcome, end.cost_usd)
        if end.move.state is State.PENDING:
            self.dispatcher.due(end.pause_until or end.move.due)
        # A slot, a directory or a key may be free now, for any actor with runs.
        self.dispatcher.wake_all()
        self.observer.poke()

    def _actor_opened(self, actor: str) -> None:
        self.dispatcher.wake(actor)

    def _source_health(self, source: str, error: str) -> None:
        if error:
            log.warning("source %s: %s", source, error)
        else:
            log.info("source %s works again", source)
        self.observer.poke()
