"""The engine, composed: everything between a configuration and a journal."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orgloop.config.model import Organization
from orgloop.core.deliveries.delivery import Move, State
from orgloop.core.deliveries.transition import Discarded, HoldReason, Released, Retried
from orgloop.core.ids import IdSequence
from orgloop.core.records.record import RecordPhase
from orgloop.errors import Conflict, JournalError, JournalUnavailable, Refused
from orgloop.journal.follow import Follower
from orgloop.journal.model import (
    Acceptance,
    Accepted,
    ClaimedWake,
    DaemonRow,
    RunEnd,
    Settlement,
)
from orgloop.journal.protocols import Journal, Reader
from orgloop.plugin import Clock, Context
from orgloop.project.home import Home
from orgloop.runtime.applied import Applied
from orgloop.runtime.context import PluginContext
from orgloop.runtime.dispatch.actors import Actors
from orgloop.runtime.dispatch.dispatcher import Dispatcher
from orgloop.runtime.dispatch.executor import Executor
from orgloop.runtime.intake.inbound import InboundIntake
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.intake.preparer import Preparer
from orgloop.runtime.intake.sources import Sources
from orgloop.runtime.runs.holder import Engine
from orgloop.runtime.runs.remote.callbacks import Callbacks
from orgloop.runtime.runs.runs import Runs
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.counters import Counters
from orgloop.runtime.support.http import HttpClient
from orgloop.runtime.support.janitor import Janitor
from orgloop.runtime.support.loggers import Observer
from orgloop.runtime.support.marker import Marker
from orgloop.runtime.support.retries import Pauses
from orgloop.runtime.support.supervisor import Errands, Supervisor, cancelled
from orgloop.runtime.support.system_log import SystemLog
from orgloop.runtime.wiring import ActorPart, Current, Wiring, build
from orgloop.runtime.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)

URL: Final = "ORGLOOP_URL"
"""The variable that says where other systems reach this daemon, if that is not this machine."""

DRAIN: Final = 0.7
"""Seconds that wakes in flight get at a stop before they are handed back."""


GLANCE: Final = 0.5
PROBE: Final = 5.0
"""Seconds that a commit may take before the journal counts as not writable."""


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
        self._current = Current(build(organization))
        self._started_at = self.clock.now()
        self._version = version
        self.port: int | None = None
        self._ended = False
        self._http = HttpClient()
        self.counters = Counters()
        self.supervisor = Supervisor(self.clock, self)
        self._errands = Errands(self.supervisor)
        self.system_log = SystemLog(journal, self.clock, self._errands)
        ids = IdSequence(random.getrandbits(20))
        self.intake = Intake(journal, self.clock, ids, self._current, self)
        self.actors = Actors(self.clock, self._lend, self)
        is_open = self.actors.is_open
        self._marker = Marker(home.make_token)
        self.worktrees = Worktrees(home.path, self.clock)
        engine = Engine(
            marker=self._marker,
            journal=journal,
            clock=self.clock,
            ids=ids,
            intake=self.intake,
            home=home.path,
            worktrees=self.worktrees,
            events=self,
        )
        callbacks = Callbacks(home.make_token, self._address)
        self.runs = Runs(engine, callbacks, self._current, is_open, self.supervisor)
        self.observer = Observer(lambda: Follower.at_end(read()))
        execute = Executor(journal, self.clock, self._current, self.runs, self._marker, is_open, self).execute
        stop = self.runs.stop
        self.dispatcher = Dispatcher(journal, self.clock, self._current, execute, is_open, self, stop)
        self.preparer = Preparer(journal, self.clock, self.supervisor, self)
        self.sources = Sources(
            journal, self.clock, self.intake, self._lend, self.supervisor, self, self.counters
        )
        self.inbound = InboundIntake(self.intake, self._current, self.sources.until_open, self)
        self._janitor = Janitor(journal, read, self.clock, self.life, self._retention, home.runs)
        self._loops: list[asyncio.Task[None]] = []
        self._applied = Applied(journal, read, self.clock)
        self._changing = asyncio.Lock()
        self._rebinding = False

    @property
    def wiring(self) -> Wiring:
        """The parts that run, as the configuration connects them."""
        return self._current.wiring

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
        async with self._changing:
            self.observer.use(self.observer.open(self.organization.loggers))
            await self.journal.recover(self.clock.now())
            await self.journal.beat(self.life())
            await self._applied.commit(self.wiring)
            await self.system_log.tell(RecordPhase.RUNTIME_START, f"OrgLoop {self._version}".strip())
            self.actors.use(self.wiring)
            await self.runs.adopt()
            await self._prepare()
            await self.sources.use(self.wiring)
            keep = self.supervisor.keep
            self._loops = [
                asyncio.create_task(keep("the dispatcher", self.dispatcher.run), name="dispatcher"),
                asyncio.create_task(keep("housekeeping", self._janitor.run), name="janitor"),
                asyncio.create_task(keep("the system log", self.system_log.run), name="system_log"),
                asyncio.create_task(keep("the work trees", self._clean_worktrees), name="work trees"),
            ]

    async def apply(self, organization: Organization) -> Mapping[str, int]:
        """Replace the configuration live; what did not change goes on untouched.

        The new parts are built first: if one cannot be, PluginError is raised and the old
        configuration goes on. Raises JournalUnavailable likewise, and Conflict while it stops.
        Returns what happened to waiting work, counted by word.
        """
        async with self._changing:
            if self._ended:
                raise Conflict("OrgLoop is stopping", hint="type `orgloop start`")
            new = build(organization, self.wiring)
            loggers = self.observer.open(organization.loggers)
            try:
                moved = await self._applied.commit(new)
            except BaseException:
                self.observer.discard(loggers)
                raise
            self._current.wiring = new
            self.observer.use(loggers)
            retired = self.actors.use(new)
            self.runs.actors_changed()
            self.dispatcher.wake_all()
            await self._prepare()
            await self.sources.use(new)
            self._errands.run("closing replaced actors", self._retire(retired))
            counts = ", ".join(f"{count} {word}" for word, count in moved.items() if count)
            await self.system_log.tell(RecordPhase.RUNTIME_APPLY, counts)
            self.observer.poke()
            return moved

    async def journal_fault(self, *, glance: bool = False) -> str:
        """Why nothing can be committed now; empty if it can. Writes this daemon's sign of life to find out.

        An event that was refused lately counts, too: on a full disk a small commit may still find room.
        At a `glance`, a commit that takes long is no fault: the answer must not take long itself.
        """
        if fault := self.intake.fault:
            return fault
        try:
            async with asyncio.timeout(GLANCE if glance else PROBE):
                await self.journal.beat(self.life())
        except TimeoutError:
            return "" if glance else f"a commit takes longer than {PROBE:g} s"
        except JournalError as exc:
            return exc.message
        return ""

    async def operate(self, delivery_id: str, transition: Released | Retried | Discarded) -> Move:
        """What a person decided about a delivery. Raises NotFound, or Conflict if it cannot be done now."""
        moved = await self.journal.operate(delivery_id, transition, self.clock.now())
        if moved.state in (State.PENDING, State.PREPARING):
            await self._goes_on(delivery_id)
        # Its key's next may be due now, and whose that is the move does not say.
        self.dispatcher.wake_all()
        self.observer.poke()
        return moved

    async def resume_actor(self, actor: str) -> bool:
        """Let a paused actor go on now, whoever or whatever paused it. False if it is not paused."""
        resumed = await self.journal.resume_actor(actor, self.clock.now())
        self.dispatcher.wake(actor)
        return resumed

    async def _goes_on(self, delivery_id: str) -> None:
        """A person let it go on: tell who works on it, or have it bound to what there is."""
        row = await self._applied.find(delivery_id)
        if row is None:
            return
        if not self.wiring.takes(row.route, row.actor):
            self._rebind()
        elif row.state is State.PREPARING:
            self.preparer.wake(row.route)

    async def stop(self, grace: float = DRAIN) -> None:
        """Take and claim nothing more, hand back what is in flight, close everything. Agents go on."""
        async with self._changing:
            if self._ended:
                return
            self._ended = True
            try:
                await self.sources.close()
                await cancelled(self._loops)
                await self.preparer.close()
                await self.dispatcher.drain(grace)
                await self.runs.close()
                await self._errands.close()
                await self.actors.close()
                await self._http.close()
                await self.system_log.flush()
                await self.system_log.tell(RecordPhase.RUNTIME_STOP)
                await self.journal.beat(self.life())
            except JournalError as exc:
                log.warning("the end of this daemon could not be recorded: %s", exc.message)
            finally:
                await asyncio.to_thread(self.observer.close)
                await self.journal.close()

    async def _retire(self, parts: Sequence[ActorPart]) -> None:
        """Close actors of an earlier configuration, once no wake or run of theirs goes on."""
        try:
            await self.dispatcher.settled([part.spec.id for part in parts])
            await self.runs.settled([part.actor for part in parts])
        finally:
            await self.actors.retire(parts)

    async def _prepare(self) -> None:
        """Prepare for the routes that there are now; what is left in `preparing` must be found again."""
        await self.preparer.use(self.wiring.routes)
        for name in await self._applied.preparing():
            self.preparer.wake(name)

    def _rebind(self) -> None:
        """Something waits for a route or an actor that is gone: have it bound to what there is."""
        if not self._rebinding and not self._ended:
            self._rebinding = True
            self._errands.run("rebinding waiting work", self._bind_again())

    async def _bind_again(self) -> None:
        pauses = Pauses()
        while True:
            async with self._changing:
                self._rebinding = False
                try:
                    await self._applied.commit(self.wiring)
                    await self._prepare()
                    break
                except JournalUnavailable as exc:
                    self._rebinding = True
                    log.warning("work of a removed route waits for the journal: %s", exc.message)
            await self.clock.sleep(pauses.next())
        self.dispatcher.wake_all()
        self.observer.poke()

    def _lend(self, id: str) -> Context:
        return PluginContext(
            id=id,
            clock=self.clock,
            http=self._http,
            intake=self.intake,
            current=self._current,
            marker=self._marker,
        )

    def _address(self) -> str | None:
        """Where other systems reach this daemon; None while it listens nowhere."""
        configured = self.organization.environment.get(URL)
        return configured or (f"http://127.0.0.1:{self.port}" if self.port is not None else None)

    async def _clean_worktrees(self) -> None:
        await self.worktrees.run(lambda: self.wiring.keeps, lambda: self.runs.directories)

    def _retention(self) -> int:
        return self.organization.defaults.event_retention_ms

    # --- EngineEvents: what follows from commits ---------------------------------------------------

    def part_broke(self, part: str, error: str) -> None:
        self.system_log.note(RecordPhase.SYSTEM_ERROR, part, detail=error)
        self.observer.poke()

    def accepted(self, acceptance: Acceptance, accepted: Sequence[Accepted]) -> None:
        for one in accepted:
            if one.duplicate:
                self.system_log.note(RecordPhase.SOURCE_DUPLICATE, acceptance.source, event_id=one.event_id)
        for event in acceptance.events:
            for delivery in event.deliveries:
                if delivery.state is State.PENDING:
                    self.dispatcher.wake(delivery.actor)
                elif delivery.state is State.PREPARING:
                    self.preparer.wake(delivery.route)
                else:
                    continue
                if not self.wiring.takes(delivery.route, delivery.actor):
                    # Matched under the configuration before, and committed after the one that is now.
                    self._rebind()
        self.observer.poke()

    def claims_wait(self) -> None:
        self.observer.poke()

    def prepared(self, actors: Sequence[str]) -> None:
        for actor in actors:
            self.dispatcher.wake(actor)
        self.observer.poke()

    def settled(self, claimed: ClaimedWake, settlement: Settlement) -> None:
        seconds = (settlement.at - settlement.tried.began) / 1000
        self.counters.tried(claimed.route, claimed.actor, settlement.transition, seconds)
        self._moved(claimed.route, claimed.actor, settlement.move, settlement.pause_until)
        part = self.wiring.actors.get(claimed.actor)
        if settlement.move.state is not State.STARTED and (part is None or part.has_runs):
            # The slot that its claim took is free, for any actor with runs.
            self.dispatcher.wake_all()
        self.observer.poke()

    def run_ended(self, route: str, actor: str, end: RunEnd) -> None:
        self.counters.run_ended(actor, end.transition, end.outcome or end.reason, end.cost_usd)
        self._moved(route, actor, end.move, end.pause_until)
        # A slot, a directory or a key may be free now, for any actor with runs.
        self.dispatcher.wake_all()
        self.observer.poke()

    def _moved(self, route: str, actor: str, move: Move, pause_until: int | None) -> None:
        if move.state is State.PENDING:
            self.dispatcher.due(pause_until or move.due)
            if not self.wiring.takes(route, actor):
                self._rebind()
        elif move.reason == HoldReason.REMOVED and route in self.wiring.routes:
            # It was claimed for an actor that is gone since: its route may have another.
            self._rebind()

    def actor_opened(self, actor: str) -> None:
        self.dispatcher.wake(actor)
        self.runs.actors_changed()

    def request_refused(self, source: str, refused: Refused) -> None:
        unproven = refused.status in (401, 403)
        if self.counters.refused(source, refused.message, self.clock.now(), unproven=unproven) and unproven:
            log.warning("source %s refuses a request: %s", source, refused.message)

    def source_changed(self, source: str, error: str) -> None:
        if error:
            log.warning("source %s: %s", source, error)
            self.system_log.note(RecordPhase.SOURCE_FAILED, source, detail=error)
        else:
            log.info("source %s works again", source)
            self.system_log.note(RecordPhase.SOURCE_RECOVERED, source)
        self.observer.poke()
