"""Programs on this machine: their directory, their row in the journal, and only then the program."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from orgloop.core.deliveries.transition import Outcome
from orgloop.core.ids import RUN
from orgloop.core.runs.session_policy import SessionMode
from orgloop.errors import JournalUnavailable, PluginError, Refused
from orgloop.journal.model import ClaimedWake, OpenRun, RunBegun, RunStart, SessionRow
from orgloop.plugin import (
    Completion,
    Rejected,
    RunSpec,
    Supervised,
    Throttled,
    Unavailable,
    Wake,
    Worktree,
)
from orgloop.runtime.intake.intake import Lineage
from orgloop.runtime.runs import completion
from orgloop.runtime.runs.commit import commit, instead_of, payer_facts, started_facts
from orgloop.runtime.runs.holder import Engine, Start, mark_of, to_its_end
from orgloop.runtime.runs.live_run import Finish
from orgloop.runtime.runs.local import git, local_runner, run_directory
from orgloop.runtime.runs.local.classify_exit import classify, exit_info
from orgloop.runtime.runs.local.launch import (
    ReadyRun,
    branch_of,
    environment_of,
    place_of,
    planned,
    require_passable,
    why_left,
)
from orgloop.runtime.runs.local.local_run import REREAD, LocalRun
from orgloop.runtime.runs.progress import ALIVE_AFTER, Notes
from orgloop.runtime.wiring import Wiring
from orgloop.runtime.worktrees.lease import TreeBusy, hold, taken
from orgloop.runtime.worktrees.make import NoTree
from orgloop.runtime.worktrees.worktrees import BUSY_MS

log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks at a run's output."""

READ: Final = 0.02
"""Seconds of reading output at a stretch; others have a turn then."""

CLASSIFY: Final = 60.0
"""Seconds in which the end of a run is understood. After that its exit status decides."""


class LocalRuns:
    """Runs of programs. A runner holds each one, and outlives this daemon."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(
        self, start: Start, wiring: Wiring, on_live: Callable[[LocalRun], None]
    ) -> Outcome | None:
        """Commit a run, then start its program. None: the run owns the delivery; else why it does not."""
        actor = start.part.supervised
        if actor is None:
            raise TypeError(f"{start.part.spec.id} has no programs")
        run_id = self._engine.ids.next(RUN, self._engine.clock.now())
        directory = self._engine.home / "runs" / run_id
        prompt_file = str(directory / run_directory.PROMPT_FILE)
        wake = dataclasses.replace(
            start.wake, run_id=run_id, directory=str(directory), prompt_file=prompt_file
        )
        try:
            ready = await self._prepare(start, actor, wake, wiring)
        except Refused as exc:
            return Rejected(reason=exc.message)
        except NoTree as exc:
            return exc.outcome
        except TreeBusy as exc:
            return Throttled(until=self._engine.clock.now() + BUSY_MS, reason=str(exc))
        except SystemExit as exc:
            raise PluginError("it called sys.exit", hint="report this to the connector's author") from exc
        return await to_its_end(self._begin(start, ready, wiring, on_live))

    async def _prepare(self, start: Start, actor: Supervised, wake: Wake, wiring: Wiring) -> ReadyRun:
        """What to run and where, with the lock of that place. Raises Refused, NoTree, TreeBusy."""
        policy = wiring.session_policy(start.claimed.route)
        known = await self._known(start) if policy.mode is not SessionMode.FRESH else None
        why = why_left(known, policy, self._engine.clock.now()) if known is not None else ""
        if policy.mode is SessionMode.FORK and wake.session is not None:
            wake = dataclasses.replace(wake, session=dataclasses.replace(wake.session, fork=True))
        settings = start.part.worktree
        if settings is None:
            wake, spec, fresh = planned(actor, wake, known, why)
            require_passable(spec, start.claimed.route)
            # Runs that may overlap keep nobody out of their work tree, and nobody keeps them out.
            lock = None if actor.directory is None else await taken(lambda: hold(spec.cwd))
            return ReadyRun(actor=actor, wake=wake, spec=spec, known=known, fresh=fresh, lock=lock)
        return await self._prepare_in_tree(start, actor, wake, wiring, known, why, settings)

    async def _prepare_in_tree(
        self,
        start: Start,
        actor: Supervised,
        wake: Wake,
        wiring: Wiring,
        known: SessionRow | None,
        why: str,
        settings: Worktree,
    ) -> ReadyRun:
        """The same, in a work tree of its own. A wake that is refused gets none."""
        worktrees, environ = self._engine.worktrees, wiring.organization.environment
        repository = start.part.spec.settings
        key = start.wake.session.key if start.wake.session and settings.per == "key" else start.claimed.id
        plan = await worktrees.plan(settings, place_of(repository), start.claimed.actor, key)
        wake = dataclasses.replace(wake, work_directory=plan.directory)
        tried, spec, fresh = planned(actor, wake, known, why)
        require_passable(spec, start.claimed.route)
        variables = environment_of(environ, tried, spec, self._own_variables(tried))
        lease = await worktrees.lease(plan, branch_of(settings, wake), environ, variables)
        try:
            if known is not None and not fresh and lease.record.made_at > known.changed_at:
                tried, spec, fresh = planned(
                    actor, wake, known, why=f"its work tree {plan.path} was made again"
                )
        except BaseException:
            lease.release()
            raise
        return ReadyRun(
            actor=actor, wake=tried, spec=spec, known=known, fresh=fresh, lock=lease.lock, lease=lease
        )

    async def _begin(
        self, start: Start, ready: ReadyRun, wiring: Wiring, on_live: Callable[[LocalRun], None]
    ) -> Outcome | None:
        try:
            return await self._commit_and_spawn(start, ready, wiring, on_live)
        finally:
            if ready.lock is not None:
                os.close(ready.lock)

    async def _commit_and_spawn(
        self, start: Start, ready: ReadyRun, wiring: Wiring, on_live: Callable[[LocalRun], None]
    ) -> Outcome | None:
        wake, spec = ready.wake, ready.spec
        directory = Path(wake.directory or "")
        try:
            environment = environment_of(
                wiring.organization.environment, wake, spec, self._own_variables(wake)
            )
            run_directory.write(directory, spec, environment, event_file(start.claimed), wake.prompt)
            run_directory.keep_log(directory, ready.lease.log if ready.lease is not None else None)
            live = self._live(start, ready, await git.head(spec.cwd))
            committed = await self._commit(start, live, spec)
        except OSError as exc:
            run_directory.remove(directory)
            return Unavailable(reason=f"{directory} cannot be written: {exc.strerror or exc}")
        except asyncio.CancelledError:
            # The commit may have come all the same: who finds the run then must see that it never began.
            with suppress(OSError):
                run_directory.cancel(directory)
            raise
        except Exception:
            run_directory.remove(directory)
            raise
        if committed is None:
            run_directory.remove(directory)
            return None
        try:
            live.process = local_runner.spawn(directory, ready.lock)
        except OSError as exc:
            log.exception("the runner of %s cannot be started", wake.run_id)
            live.no_runner = exc.strerror or str(exc)
        on_live(live)
        self._engine.events.settled(start.claimed, committed.settlement)
        return None

    async def _known(self, start: Start) -> SessionRow | None:
        """The session that the wake's key leads to."""
        session = start.wake.session
        if session is None or session.id is None:
            return None
        return await self._engine.journal.session(start.claimed.actor, session.key)

    def adopt(self, row: OpenRun, wiring: Wiring) -> LocalRun:
        """A run of an earlier daemon. Its directory says what became of it."""
        part = wiring.actors.get(row.actor)
        actor = part.supervised if part is not None else None
        return LocalRun(
            run_id=row.run_id,
            directory=Path(row.run_dir),
            facts=row.facts,
            lineage=Lineage.after(row.causes),
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
            tree=row.spec.get("tree") or {},
            started_at=row.started_at,
            offset=max(0, row.offset - REREAD),
            # The first line may be half of one; what was read before is read again, for its result.
            skipped=1 if row.offset > REREAD else 0,
            spent_usd=row.cost_usd or 0.0,
            answered=row.answered,
            begun=row.begun,
            tells=bool(row.spec.get("tells")),
            session_usd=row.session_usd if row.resumed else 0.0,
            fresh_because=row.spec.get("fresh", ""),
            fork_of=row.spec.get("fork_of"),
            account=row.spec.get("account", ""),
            instead_of=row.spec.get("instead_of", ""),
        )

    async def follow(self, live: LocalRun) -> Finish:
        """Follow the output until the runner is gone, then read what it left."""
        notes = Notes(
            live,
            self._engine.journal,
            self._engine.clock,
            alive_after=None if live.tells else ALIVE_AFTER,
            begin=lambda: self._tell_of_start(live),
        )
        while True:
            gone = asyncio.create_task(local_runner.until_gone(live.directory, live.process))
            try:
                while not gone.done():
                    await asyncio.wait({gone}, timeout=LOOK)
                    news = await _take_in(live)
                    if not gone.done():
                        # Else its end tells all of it, in one commit.
                        await notes.look(news=news)
                        _keep_awake(live)
                gone.result()
            finally:
                gone.cancel()
            ending = await local_runner.conclude(live.directory, live.process)
            if ending is not None:
                await _take_in(live)
                live.take_rest()
                return await self._finish(live, ending)

    async def _tell_of_start(self, live: LocalRun) -> None:
        """`session.started` is on disk. What cannot be written is left to the next look, or to the end."""
        started = self._engine.intake.follow_up(live.actor_id, completion.started(live.about), live.lineage)
        begun = RunBegun(run_id=live.run_id, at=self._engine.clock.now(), follow_up=started)
        try:
            written = await self._engine.journal.run_begun(begun)
        except JournalUnavailable:
            log.debug("the start of %s could not be recorded", live.run_id)
            return
        live.begun = True
        if written:
            self._engine.intake.committed(started)

    async def stop(self, live: LocalRun) -> None:
        """Ask the runner to end its program softly. Raises OSError if it cannot be told."""
        local_runner.request_stop(live.directory)

    def let_go(self, live: LocalRun) -> None:
        """The runner goes on."""
        if live.process is not None:
            local_runner.let_go(live.process)

    async def _finish(self, live: LocalRun, ending: local_runner.RunnerExit) -> Finish:
        now = self._engine.clock.now()
        exit = await asyncio.to_thread(exit_info, live, ending, now)
        try:
            async with asyncio.timeout(CLASSIFY):
                result = await asyncio.to_thread(classify, live, ending, exit)
        except TimeoutError:
            log.warning("the end of run %s is not understood in time: its exit status decides", live.run_id)
            result = completion.by_exit_status(exit)
        changes = None
        if isinstance(result, Completion) and live.cwd is not None:
            tree = live.tree
            found = await git.changes(live.cwd, live.before, str(tree.get("base", "")))
            changes = {**(found or {}), **tree.get("facts", {})} or None
        if live.tree:
            await self._engine.worktrees.ended(str(live.tree.get("name")))
        return Finish(result=result, exit=exit, changes=changes)

    def _live(self, start: Start, ready: ReadyRun, head: git.Head | None) -> LocalRun:
        claimed, wake, spec = start.claimed, ready.wake, ready.spec
        session = wake.session.id if wake.session is not None else None
        fork_of = session if wake.session is not None and wake.session.fork else None
        resumed = fork_of is not None or (session is not None and session == spec.session_id)
        return LocalRun(
            run_id=wake.run_id or "",
            directory=Path(wake.directory or ""),
            facts=started_facts(claimed),
            lineage=Lineage.after(wake.events),
            delivery_id=claimed.id,
            route=claimed.route,
            actor_id=claimed.actor,
            harness=ready.actor.harness,
            actor=ready.actor,
            session_id=spec.session_id,
            resumed=resumed,
            cwd=spec.cwd,
            started_at=self._engine.clock.now(),
            before=head,
            pause_tries=claimed.pause_tries,
            fresh_because=ready.fresh,
            fork_of=fork_of,
            session_usd=ready.known.total_usd if ready.known is not None and resumed else 0.0,
            tree=ready.tree,
            tells=spec.turns is not None,
            account=claimed.account or "",
            instead_of=instead_of(start),
        )

    async def _commit(self, start: Start, live: LocalRun, spec: RunSpec) -> RunStart | None:
        return await commit(
            self._engine,
            start,
            live,
            run_dir=str(live.directory),
            directory=start.part.directory,
            spec={
                "argv": list(spec.argv),
                "cwd": spec.cwd,
                "env": sorted(spec.env),
                "env_pass": sorted(spec.env_pass),
                "head": live.before.as_json() if live.before else None,
                **({"tree": live.tree} if live.tree else {}),
                **({"fresh": live.fresh_because} if live.fresh_because else {}),
                **({"fork_of": live.fork_of} if live.fork_of else {}),
                **({"tells": True} if live.tells else {}),
                **({"take_over": list(spec.take_over)} if spec.take_over else {}),
                **payer_facts(live),
            },
            account=spec.account,
            limits={"timeout_s": spec.limits.total_s, "silence_s": spec.limits.silence_s},
        )

    def _own_variables(self, wake: Wake) -> dict[str, str]:
        directory = Path(wake.directory or "")
        mark = mark_of(wake)
        return {
            "ORGLOOP_MARKER": self._engine.marker.comment(mark),
            "ORGLOOP_TRAILER": self._engine.marker.trailer(mark),
            "ORGLOOP_HOME": str(self._engine.home),
            "ORGLOOP_RUN_ID": wake.run_id or "",
            "ORGLOOP_EVENT_FILE": str(directory / run_directory.EVENT_FILE),
            "ORGLOOP_PROMPT_FILE": str(directory / run_directory.PROMPT_FILE),
            "ORGLOOP_EVENT_ID": wake.event.id,
            "ORGLOOP_EVENT_TYPE": wake.event.type,
            "ORGLOOP_EVENT_COUNT": str(len(wake.events)),
            "ORGLOOP_TRACE_ID": wake.event.trace_id,
            "ORGLOOP_DELIVERY_ID": wake.delivery_id,
            "ORGLOOP_SOURCE": wake.event.source,
            "ORGLOOP_ROUTE": wake.route,
            "ORGLOOP_ACTOR": wake.actor,
        }


def event_file(claimed: ClaimedWake) -> bytes:
    """The event that leads the wake, as JSON; with others, all of them are in its `events`, in order."""
    first = claimed.document
    if not claimed.others:
        return first
    documents = b",".join([first, *(other.document for other in claimed.others)])
    return first.removesuffix(b"}") + b',"events":[' + documents + b"]}"


async def _take_in(live: LocalRun) -> bool:
    """Read all that the program has written since; True if there was a line to show."""
    news = live.take_in(READ)
    while live.behind:
        await asyncio.sleep(0)
        news |= live.take_in(READ)
    return news


def _keep_awake(live: LocalRun) -> None:
    """A runner that somebody has stopped keeps no limit: let it go on, and say so."""
    if local_runner.wake_up(live.directory, live.process):
        log.warning("a signal had stopped the runner of %s; it continues now", live.run_id)
        live.last_line = "a signal had stopped its runner; the runner continues now"
