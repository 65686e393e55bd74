"""Runs: committed before their program starts, watched, adopted after a restart, settled once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from orgloop.core.ids import IdSequence
from orgloop.errors import JournalUnavailable, NotFound
from orgloop.journal.model import ClaimedWake, OpenRun, RunEnd, Settlement, Try
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Outcome, Wake
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.runs import git
from orgloop.runtime.runs import local_runner as watch
from orgloop.runtime.runs.end import Ender
from orgloop.runtime.runs.live_run import LiveRun
from orgloop.runtime.runs.start import Starter
from orgloop.runtime.support.backoff import Pauses
from orgloop.runtime.support.documents import load
from orgloop.runtime.support.retry_write import until_written
from orgloop.runtime.support.supervisor import Supervisor
from orgloop.runtime.wiring import ActorPart, Wiring

log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks at a run's output."""

NOTE: Final = 2.0
"""Seconds between two notes of its last line in the journal."""

WORKS: Final = 30.0
"""Seconds after which a run that goes on shows that its actor is there, whatever it says."""


class Runs:
    """All runs of this home. `on_settled` and `on_ended(route, actor, end)` hear of commits."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSequence,
        intake: Intake,
        wiring: Wiring,
        supervisor: Supervisor,
        home: Path,
        on_settled: Callable[[ClaimedWake, Settlement], None],
        on_ended: Callable[[str, str, RunEnd], None],
    ) -> None:
        self.wiring = wiring
        self._journal = journal
        self._clock = clock
        self._intake = intake
        self._supervisor = supervisor
        self._on_ended = on_ended
        self._starter = Starter(journal, clock, ids, intake, home, self._hold, on_settled)
        self._ender = Ender(clock, intake)
        self._live: dict[str, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> Mapping[str, LiveRun]:
        """Runs that go on, by id."""
        return self._live

    async def start(self, claimed: ClaimedWake, part: ActorPart, wake: Wake, tried: Try) -> Outcome | None:
        """Commit a run, then start its program. None: the run owns the delivery; else why it does not."""
        if part.supervised is None:
            raise TypeError(f"{part.spec.id} has no runs")
        return await self._starter.start(claimed, part.supervised, wake, tried, self.wiring)

    async def adopt(self) -> int:
        """Take over every run that has not ended. Returns how many there are."""
        found = await self._journal.open_runs()
        for row in found:
            self._hold(self._of_row(row))
        return len(found)

    def stop(self, run_id: str) -> None:
        """End one run softly. Raises NotFound if it does not go on."""
        live = self._live.get(run_id)
        if live is None:
            raise NotFound(f"no run {run_id} goes on", hint="orgloop runs lists those that do")
        watch.request_stop(live.directory)

    async def close(self) -> None:
        """Stop watching. The agents go on; the next start adopts them."""
        tasks, lives = list(self._tasks), list(self._live.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in lives:
            if live.process is not None:
                watch.let_go(live.process)

    def _hold(self, live: LiveRun) -> None:
        self._live[live.run_id] = live
        task = asyncio.create_task(self._watch(live), name=f"run {live.run_id}")
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._live.pop(live.run_id, None)

        task.add_done_callback(done)

    async def _watch(self, live: LiveRun) -> None:
        """Follow a run to its end and settle it, however often that breaks: nobody else would."""
        pauses = Pauses()
        while True:
            try:
                ending = await self._until_ended(live)
                await self._settle(live, ending)
                return
            except Exception as exc:
                self._supervisor.broke(f"the watch over run {live.run_id}", exc)
            await self._clock.sleep(pauses.next())

    async def _until_ended(self, live: LiveRun) -> watch.Ending:
        """Follow the output until the runner is gone."""
        noted = began = self._clock.monotonic()
        shown = False
        while True:
            gone = asyncio.create_task(watch.until_gone(live.directory, live.process))
            try:
                while not gone.done():
                    await asyncio.wait({gone}, timeout=LOOK)
                    if await _take_in(live) and self._clock.monotonic() - noted >= NOTE:
                        noted = self._clock.monotonic()
                        await self._note(live)
                    if not shown and (live.works or self._clock.monotonic() - began >= WORKS):
                        # That ends the pause of an actor that was not there, whichever daemon knocked.
                        shown = live.works = True
                        await self._note(live)
                gone.result()
            finally:
                gone.cancel()
            ending = await watch.conclude(live.directory)
            if ending is not None:
                await _take_in(live)
                live.take_rest()
                return ending

    async def _note(self, live: LiveRun) -> None:
        try:
            await self._journal.note_run(
                live.run_id,
                last_line=live.last_line,
                offset=live.read_offset,
                at=self._clock.now(),
                session_id=live.session_id,
                cost_usd=live.cost_usd,
                works=live.works,
            )
        except JournalUnavailable:
            log.debug("the last line of %s is not noted", live.run_id)

    async def _settle(self, live: LiveRun, ending: watch.Ending) -> None:
        end = await self._ender.end(live, ending, self.wiring)
        settled = await until_written(
            self._clock, f"the end of run {live.run_id}", lambda: self._journal.end_run(end)
        )
        if settled:
            self._on_ended(live.route, live.actor_id, end)
            if end.follow_up is not None:
                self._intake.committed(end.follow_up)

    def _of_row(self, row: OpenRun) -> LiveRun:
        part = self.wiring.actors.get(row.actor)
        actor = part.supervised if part is not None else None
        return LiveRun(
            run_id=row.run_id,
            directory=Path(row.run_dir),
            facts=row.facts,
            event=load(row.document),
            delivery_id=row.delivery_id,
            route=row.route,
            actor_id=row.actor,
            harness=row.harness,
            # An actor of the same name may be another kind of agent by now: it could not read this one.
            actor=actor if actor is not None and actor.harness == row.harness else None,
            session_id=row.session_id,
            resumed=row.resumed,
            cwd=row.spec.get("cwd"),
            before=git.Head.of(row.spec.get("head")),
            started_at=row.started_at,
            offset=row.offset,
            cost_usd=row.cost_usd,
        )


async def _take_in(live: LiveRun) -> bool:
    """Read all that the program has written since; True if there was a line to show."""
    news = live.take_in()
    while live.behind:
        await asyncio.sleep(0)
        news |= live.take_in()
    return news
