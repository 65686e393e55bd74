"""Runs: committed before they begin, followed, adopted after a restart, settled once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orgloop.core.deliveries.transition import Outcome
from orgloop.errors import NotFound
from orgloop.journal.model import ClaimedWake, Try
from orgloop.plugin import Actor, Inbound, Wake
from orgloop.runtime.runs.end import Ender
from orgloop.runtime.runs.holder import Engine, Holder, R, Start, to_its_end
from orgloop.runtime.runs.live_run import Finish, LiveRun
from orgloop.runtime.runs.local.local_holder import LocalRuns
from orgloop.runtime.runs.remote.callbacks import Callbacks
from orgloop.runtime.runs.remote.remote_holder import RemoteRuns
from orgloop.runtime.runs.remote.remote_run import RemoteJob
from orgloop.runtime.support.retries import Pauses, until_written
from orgloop.runtime.support.supervisor import Supervisor
from orgloop.runtime.wiring import ActorPart, Current


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """What keeps a run, and what follows it."""

    holder: Holder[Any]
    task: asyncio.Task[None]


class Runs:
    """All runs of this home. Reports each end."""

    def __init__(
        self,
        engine: Engine,
        callbacks: Callbacks,
        current: Current,
        is_open: Callable[[ActorPart], bool],
        supervisor: Supervisor,
    ) -> None:
        self._current = current
        self._engine = engine
        self._supervisor = supervisor
        self._local = LocalRuns(engine)
        self._remote = RemoteRuns(engine, callbacks, current, is_open)
        self._ender = Ender(engine.clock, engine.intake)
        self._live: dict[str, LiveRun] = {}
        self._held: dict[str, _Held] = {}
        self._adopted = asyncio.Event()

    @property
    def live(self) -> Mapping[str, LiveRun]:
        """Runs that go on, by id."""
        return self._live

    @property
    def directories(self) -> Collection[str]:
        """Where the runs that go on work."""
        return [live.cwd for live in self._live.values() if live.cwd is not None]

    async def start(self, claimed: ClaimedWake, part: ActorPart, wake: Wake, tried: Try) -> Outcome | None:
        """Commit a run, then begin it. None: the run owns the delivery; else why it does not."""
        start, wiring = Start(claimed=claimed, part=part, wake=wake, tried=tried), self._current.wiring
        if part.remote is not None:
            # Its request is made at once, so there is nothing to cancel before the commit.
            return await to_its_end(
                self._remote.start(start, wiring, lambda live: self._hold(live, self._remote))
            )
        return await self._local.start(start, wiring, lambda live: self._hold(live, self._local))

    async def adopt(self) -> int:
        """Take over every run that has not ended. Returns how many there are."""
        found = await self._engine.journal.open_runs()
        for row in found:
            if row.remote is not None:
                self._hold(self._remote.adopt(row, self._current.wiring), self._remote)
            else:
                self._hold(self._local.adopt(row, self._current.wiring), self._local)
        self._adopted.set()
        return len(found)

    def actors_changed(self) -> None:
        """An actor was opened, or there is another configuration."""
        self._remote.actors_changed()

    async def settled(self, actors: Collection[Actor]) -> None:
        """Return when no run of these actors goes on any more."""
        tasks = [self._held[id].task for id, live in self._live.items() if live.actor in actors]
        await asyncio.gather(*tasks, return_exceptions=True)

    def require_token(self, run_id: str, token: str) -> None:
        """Raises NotFound unless that is the secret at which another system reports on this run."""
        self._remote.require(run_id, token)

    async def called_back(self, run_id: str, request: Inbound) -> bool:
        """Another system reports on a run. What it says is on disk once this returns; False: it was before.

        Raises what `RemoteRuns.called` raises.
        """
        await self._adopted.wait()
        live = self._live.get(run_id)
        return await self._remote.called(live, request) if isinstance(live, RemoteJob) else False

    async def stop(self, run_id: str) -> None:
        """End one run softly. Raises NotFound if it does not go on."""
        live = self._live.get(run_id)
        if live is None:
            raise NotFound(f"no run {run_id} goes on", hint="`orgloop runs` lists the active runs")
        await self._held[run_id].holder.stop(live)

    async def close(self) -> None:
        """Stop following. The agents continue; the next start adopts them."""
        held = [(live, self._held[id]) for id, live in self._live.items()]
        for _, one in held:
            one.task.cancel()
        await asyncio.gather(*(one.task for _, one in held), return_exceptions=True)
        for live, one in held:
            one.holder.let_go(live)

    def _hold(self, live: R, holder: Holder[R]) -> None:
        task = asyncio.create_task(self._to_its_end(live, holder), name=f"run {live.run_id}")
        self._live[live.run_id] = live
        self._held[live.run_id] = _Held(holder=holder, task=task)
        task.add_done_callback(lambda _: self._forget(live.run_id))

    def _forget(self, run_id: str) -> None:
        self._live.pop(run_id, None)
        self._held.pop(run_id, None)

    async def _to_its_end(self, live: R, holder: Holder[R]) -> None:
        """Follow a run to its end and settle it, however often that breaks: nobody else would."""
        pauses = Pauses()
        while True:
            try:
                await self._settle(live, await holder.follow(live))
                return
            except Exception as exc:
                self._supervisor.broke(f"following run {live.run_id}", exc)
            await self._engine.clock.sleep(pauses.next())

    async def _settle(self, live: LiveRun, finish: Finish) -> None:
        end = self._ender.end(live, finish, self._current.wiring)
        settled = await until_written(
            self._engine.clock, f"the end of run {live.run_id}", lambda: self._engine.journal.end_run(end)
        )
        if settled:
            self._engine.events.run_ended(live.route, live.actor_id, end)
            for event in (end.session_started, end.follow_up):
                if event is not None:
                    self._engine.intake.committed(event)
