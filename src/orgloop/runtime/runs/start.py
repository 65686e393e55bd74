"""How a run begins: its directory, its row in the journal, and only then its program."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orgloop.core.delivery import DeliveryPolicy, State, move
from orgloop.core.environment import allowed
from orgloop.core.happening import Started
from orgloop.core.ids import RUN, IdSequence
from orgloop.errors import PluginError, Refused
from orgloop.journal.model import ClaimedWake, RunStart, Settlement, Try
from orgloop.journal.protocols import Journal
from orgloop.plugin import Clock, Outcome, Rejected, RunSpec, Supervised, Unavailable, Wake
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.runs import completion, git
from orgloop.runtime.runs import local_runner as watch
from orgloop.runtime.runs import run_directory as rundirs
from orgloop.runtime.runs.live_run import LiveRun
from orgloop.runtime.support.retry_write import until_written
from orgloop.runtime.wiring import Wiring

log = logging.getLogger(__name__)


class Starter:
    """Starts runs. `on_live` gets each as soon as its program may run, `on_settled` hears of the commit."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSequence,
        intake: Intake,
        home: Path,
        on_live: Callable[[LiveRun], None],
        on_settled: Callable[[ClaimedWake, Settlement], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._intake = intake
        self._home = home
        self._on_live = on_live
        self._on_settled = on_settled

    async def start(
        self, claimed: ClaimedWake, actor: Supervised, wake: Wake, tried: Try, wiring: Wiring
    ) -> Outcome | None:
        """Commit a run, then start its program. None: the run owns the delivery; else why it does not."""
        run_id = self._ids.next(RUN, self._clock.now())
        directory = self._home / "runs" / run_id
        wake = dataclasses.replace(wake, run_id=run_id, directory=str(directory))
        try:
            spec = actor.start(wake, wake.session)
        except Refused as exc:
            return Rejected(reason=exc.message)
        except SystemExit as exc:
            # This is a task of its own, from which it would go through to the loop.
            raise PluginError("it called sys.exit", hint="report this to the connector's author") from exc
        try:
            environment = allowed(
                wiring.organization.environment, spec.env_pass, {**spec.env, **self._own_variables(wake)}
            )
            rundirs.write(directory, spec, environment, claimed.document, wake.prompt)
            live = self._live(claimed, actor, wake, spec, await git.head(spec.cwd))
            committed = await self._commit(claimed, live, spec, wake, tried)
        except OSError as exc:
            rundirs.remove(directory)
            return Unavailable(reason=f"{directory} cannot be written: {exc.strerror or exc}")
        except asyncio.CancelledError:
            # The commit may have come all the same: who finds the run then must see that it never began.
            with suppress(OSError):
                rundirs.cancel(directory)
            raise
        except Exception:
            rundirs.remove(directory)
            raise
        if committed is None:
            rundirs.remove(directory)
            return None
        try:
            live.process = watch.spawn(directory)
        except OSError as exc:
            log.exception("the runner of %s cannot be started", run_id)
            live.no_runner = exc.strerror or str(exc)
        self._on_live(live)
        self._on_settled(claimed, committed.settlement)
        if committed.follow_up is not None:
            self._intake.committed(committed.follow_up)
        return None

    def _live(
        self, claimed: ClaimedWake, actor: Supervised, wake: Wake, spec: RunSpec, head: git.Head | None
    ) -> LiveRun:
        known = wake.session.id if wake.session is not None else None
        return LiveRun(
            run_id=wake.run_id or "",
            directory=Path(wake.directory or ""),
            facts=dataclasses.replace(
                claimed.facts, state=State.STARTED, attempts=claimed.facts.attempts + 1
            ),
            event=wake.event,
            delivery_id=claimed.id,
            route=claimed.route,
            actor_id=claimed.actor,
            harness=actor.harness,
            actor=actor,
            session_id=spec.session_id,
            resumed=known is not None and known == spec.session_id,
            cwd=spec.cwd,
            started_at=self._clock.now(),
            before=head,
            pause_tries=claimed.pause_tries,
        )

    async def _commit(
        self, claimed: ClaimedWake, live: LiveRun, spec: RunSpec, wake: Wake, tried: Try
    ) -> RunStart | None:
        """What was written, or None if the wake is no longer ours."""
        started = Started(run_id=live.run_id)
        start = RunStart(
            run_id=live.run_id,
            settlement=Settlement(
                wake=claimed,
                happening=started,
                move=move(claimed.facts, started, DeliveryPolicy(), live.started_at, 0.0),
                at=live.started_at,
                tried=tried,
            ),
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
            session=(wake.session.key if wake.session is not None else "", spec.session_id),
            follow_up=self._intake.follow_up(live.actor_id, completion.started(live.about), live.event),
        )
        written = await until_written(
            self._clock, f"run {live.run_id}", lambda: self._journal.start_run(start)
        )
        return start if written else None

    def _own_variables(self, wake: Wake) -> dict[str, str]:
        directory = Path(wake.directory or "")
        return {
            "ORGLOOP_HOME": str(self._home),
            "ORGLOOP_RUN_ID": wake.run_id or "",
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
