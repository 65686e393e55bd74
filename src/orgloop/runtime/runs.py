"""Runs: committed before their program starts, watched, adopted after a restart, settled once."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from orgloop.core.delivery import DeliveryPolicy, Facts, State, move, pause_delay
from orgloop.core.environment import allowed
from orgloop.core.happening import NotStarted, RunEnded, Started
from orgloop.core.ids import RUN, IdSequence
from orgloop.core.record import timestamp
from orgloop.errors import JournalUnavailable, NotFound, Refused
from orgloop.journal.model import Acceptance, ClaimedWake, OpenRun, RunEnd, RunStart, Settlement, Try
from orgloop.journal.protocols import Journal
from orgloop.plugin import (
    Clock,
    ExitInfo,
    NotBegun,
    Outcome,
    Rejected,
    Retry,
    RunSpec,
    Wake,
)
from orgloop.runtime import completion, git, rundirs, watch
from orgloop.runtime.documents import load
from orgloop.runtime.intake import Intake, Lineage
from orgloop.runtime.judge import exit_info, judge, one_line
from orgloop.runtime.live_run import LiveRun
from orgloop.runtime.persist import until_written
from orgloop.runtime.wiring import ActorPart, Wiring

log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks at a run's output."""

NOTE: Final = 2.0
"""Seconds between two notes of its last line in the journal."""


class Runs:
    """All runs of this home. `on_started` and `on_ended` hear of commits."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSequence,
        intake: Intake,
        wiring: Wiring,
        home: Path,
        on_settled: Callable[[ClaimedWake, Settlement], None],
        on_ended: Callable[[str, RunEnd], None],
    ) -> None:
        self.wiring = wiring
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._intake = intake
        self._home = home
        self._on_settled = on_settled
        self._on_ended = on_ended
        self._live: dict[str, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> Mapping[str, LiveRun]:
        """Runs that go on, by id."""
        return self._live

    async def start(self, claimed: ClaimedWake, part: ActorPart, wake: Wake, tried: Try) -> Outcome | None:
        """Commit a run, then start its program. None: the run owns the delivery; else why it does not."""
        actor = part.supervised
        if actor is None:
            raise TypeError(f"{part.spec.id} has no runs")
        run_id = self._ids.next(RUN, self._clock.now())
        directory = self._home / "runs" / run_id
        try:
            spec = actor.start(_for_run(wake, run_id, directory), wake.session)
        except Refused as exc:
            return Rejected(reason=exc.message)
        head = asyncio.create_task(git.head(spec.cwd))
        try:
            rundirs.write(
                directory,
                spec,
                self._environment(spec, wake, run_id, directory),
                claimed.document,
                wake.prompt,
            )
        except OSError as exc:
            head.cancel()
            return Retry(reason=f"{directory} cannot be written: {exc.strerror or exc}")
        live = LiveRun(
            run_id=run_id,
            directory=directory,
            facts=claimed.facts,
            event=wake.event,
            delivery_id=claimed.id,
            route=claimed.route,
            actor_id=claimed.actor,
            harness=actor.harness,
            actor=actor,
            session_id=spec.session_id,
            resumed=wake.session is not None and wake.session.id is not None,
            cwd=spec.cwd,
            started_at=self._clock.now(),
            before=await head,
            pause_tries=claimed.pause_tries,
        )
        if not await self._commit_start(claimed, live, spec, wake, tried):
            return None
        try:
            live.process = watch.spawn(directory)
        except OSError:
            # Adopted at once: the directory shows that nothing ever ran, and the wake is tried again.
            log.exception("the runner of %s cannot be started", run_id)
        self._hold(live)
        return None

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
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- starting -------------------------------------------------------------------------------

    async def _commit_start(
        self, claimed: ClaimedWake, live: LiveRun, spec: RunSpec, wake: Wake, tried: Try
    ) -> bool:
        now = live.started_at
        started = Started(run_id=live.run_id)
        settlement = Settlement(
            id=claimed.id,
            token=claimed.token,
            happening=started,
            move=move(claimed.facts, started, DeliveryPolicy(), now, 0.0),
            at=now,
            tried=tried,
        )
        follow_up = self._follow_up(live, completion.started(self._run_facts(live)))
        start = RunStart(
            run_id=live.run_id,
            settlement=settlement,
            actor=claimed.actor,
            harness=live.harness,
            directory=live.actor.directory if live.actor else None,
            run_dir=str(live.directory),
            spec={
                "argv": list(spec.argv),
                "cwd": spec.cwd,
                "env": sorted(spec.env),
                "env_pass": sorted(spec.env_pass),
                "head": live.before.as_json() if live.before else None,
            },
            limits={"timeout_s": spec.limits.total_s, "silence_s": spec.limits.silence_s},
            session=(wake.session.key, spec.session_id) if wake.session is not None else None,
            follow_up=follow_up,
        )
        committed = await until_written(
            self._clock, f"run {live.run_id}", lambda: self._journal.start_run(start)
        )
        if committed:
            live.facts = _after_start(claimed.facts)
            self._on_settled(claimed, settlement)
            self._intake.committed(follow_up)
        return committed

    def _environment(self, spec: RunSpec, wake: Wake, run_id: str, directory: Path) -> dict[str, str]:
        own = {
            "ORGLOOP_HOME": str(self._home),
            "ORGLOOP_RUN_ID": run_id,
            "ORGLOOP_EVENT_FILE": str(directory / rundirs.EVENT_FILE),
            "ORGLOOP_PROMPT_FILE": str(directory / rundirs.PROMPT_FILE),
            "ORGLOOP_EVENT_ID": wake.event.id,
            "ORGLOOP_EVENT_TYPE": wake.event.type,
            "ORGLOOP_TRACE_ID": wake.event.trace_id,
            "ORGLOOP_DELIVERY_ID": wake.delivery_id,
            "ORGLOOP_SOURCE": wake.event.source,
            "ORGLOOP_ROUTE": wake.route,
            "ORGLOOP_ACTOR": wake.actor,
        }
        return allowed(self.wiring.organization.environment, spec.env_pass, {**spec.env, **own})

    # --- watching -------------------------------------------------------------------------------

    def _hold(self, live: LiveRun) -> None:
        self._live[live.run_id] = live
        task = asyncio.create_task(self._watch(live), name=f"run {live.run_id}")
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._live.pop(live.run_id, None)
            if not task.cancelled() and task.exception() is not None:
                log.error("run %s cannot be settled", live.run_id, exc_info=task.exception())

        task.add_done_callback(done)

    async def _watch(self, live: LiveRun) -> None:
        """Follow the output until the runner is gone, then settle."""
        noted = self._clock.monotonic()
        ending = None
        while ending is None:
            gone = asyncio.create_task(watch.until_gone(live.directory, live.process))
            try:
                while not gone.done():
                    await asyncio.wait({gone}, timeout=LOOK)
                    if live.take_in() and self._clock.monotonic() - noted >= NOTE:
                        noted = self._clock.monotonic()
                        await self._note(live)
            finally:
                gone.cancel()
            ending = await watch.conclude(live.directory)
        live.take_in()
        await self._settle(live, ending)

    async def _note(self, live: LiveRun) -> None:
        try:
            await self._journal.note_run(
                live.run_id,
                last_line=live.last_line,
                offset=live.read_offset,
                at=self._clock.now(),
                session_id=live.session_id,
            )
        except JournalUnavailable:
            log.debug("the last line of %s is not noted", live.run_id)

    # --- ending ---------------------------------------------------------------------------------

    async def _settle(self, live: LiveRun, ending: watch.Ending) -> None:
        end = await self._run_end(live, ending)
        settled = await until_written(
            self._clock, f"the end of run {live.run_id}", lambda: self._journal.end_run(end)
        )
        if settled:
            self._on_ended(live.actor_id, end)
            if end.follow_up is not None:
                self._intake.committed(end.follow_up)

    async def _run_end(self, live: LiveRun, ending: watch.Ending) -> RunEnd:
        exit = exit_info(live, ending)
        result = judge(live, ending, exit)
        now = self._clock.now()
        if isinstance(result, NotStarted):
            return self._not_started(live, result, exit, now, forget_session=False)
        if isinstance(result, NotBegun):
            outcome = NotStarted(outcome=result.outcome)
            return self._not_started(live, outcome, exit, now, forget_session=result.forget_session)
        live.session_id = result.session_id or live.session_id
        changes = await git.changes(live.cwd, live.before) if live.cwd is not None else None
        draft = completion.stopped(self._run_facts(live), result, exit, timestamp(now), changes)
        happening = RunEnded(detail=one_line(result.text) or result.reason)
        return RunEnd(
            run_id=live.run_id,
            happening=happening,
            move=self._move(live, happening, now),
            at=now,
            outcome=result.outcome,
            reason=result.reason,
            text=result.text[: completion.TEXT_LIMIT],
            completion=draft.payload,
            exit_status=exit.status,
            cost_usd=result.cost_usd,
            session_id=result.session_id,
            follow_up=self._follow_up(live, draft),
        )

    def _not_started(
        self, live: LiveRun, happening: NotStarted, exit: ExitInfo, now: int, *, forget_session: bool
    ) -> RunEnd:
        next = self._move(live, happening, now)
        pause = pause_delay(live.pause_tries + 1, random.random()) if next.pause_actor else None
        return RunEnd(
            run_id=live.run_id,
            happening=happening,
            move=next,
            at=now,
            outcome="",
            reason="not_started",
            text=next.detail,
            exit_status=exit.status,
            forget_session=forget_session,
            pause_until=now + pause if pause is not None else None,
        )

    def _move(self, live: LiveRun, happening: RunEnded | NotStarted, now: int) -> Any:
        route = self.wiring.routes.get(live.route)
        policy = route.spec.policy if route else DeliveryPolicy()
        return move(live.facts, happening, policy, now, random.random())

    def _follow_up(self, live: LiveRun, draft: Any) -> Acceptance:
        lineage = Lineage(trace_id=live.event.trace_id, parents=(live.event.id,), hops=live.event.hops + 1)
        return self._intake.acceptance(live.actor_id, [draft], lineage=lineage)

    def _run_facts(self, live: LiveRun) -> completion.RunFacts:
        return completion.RunFacts(
            run_id=live.run_id,
            delivery_id=live.delivery_id,
            route=live.route,
            actor=live.actor_id,
            harness=live.harness,
            session_id=live.session_id or live.run_id,
            cwd=live.cwd,
            started_at=timestamp(live.started_at),
        )

    def _of_row(self, row: OpenRun) -> LiveRun:
        part = self.wiring.actors.get(row.actor)
        return LiveRun(
            run_id=row.run_id,
            directory=Path(row.run_dir),
            facts=row.facts,
            event=load(row.document),
            delivery_id=row.delivery_id,
            route=row.route,
            actor_id=row.actor,
            harness=row.harness,
            actor=part.supervised if part else None,
            session_id=row.session_id,
            resumed=row.resumed,
            cwd=row.spec.get("cwd"),
            before=git.Head.of(row.spec.get("head")),
            started_at=row.started_at,
            offset=row.offset,
        )


def _for_run(wake: Wake, run_id: str, directory: Path) -> Wake:
    return dataclasses.replace(wake, run_id=run_id, directory=str(directory))


def _after_start(facts: Facts) -> Facts:
    return dataclasses.replace(facts, state=State.STARTED, attempts=facts.attempts + 1)
