"""Jobs of other systems: committed, sent once, followed to an end, a callback, a stop or the deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from orgloop.core.deliveries.transition import Outcome
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.ids import RUN
from orgloop.errors import FAULTS, NotFound, OrgLoopError, Overloaded, PluginError, Refused
from orgloop.journal.model import OpenRun
from orgloop.plugin import (
    CalledBack,
    Completion,
    ExitInfo,
    Inbound,
    Progress,
    Ref,
    Rejected,
    Remote,
    RemoteEnd,
    RemoteRequest,
)
from orgloop.runtime.intake.intake import Lineage
from orgloop.runtime.runs.commit import commit, instead_of, payer_facts, started_facts
from orgloop.runtime.runs.holder import Engine, Start, mark_of
from orgloop.runtime.runs.live_run import Finish
from orgloop.runtime.runs.progress import NOTE, Notes
from orgloop.runtime.runs.remote.asking import Asking, Failed, called
from orgloop.runtime.runs.remote.callbacks import Callbacks
from orgloop.runtime.runs.remote.job_end import DEADLINE, NoEnd, checked, from_bytes, to_bytes, unknown
from orgloop.runtime.runs.remote.remote_run import RemoteJob
from orgloop.runtime.support.retries import Pauses
from orgloop.runtime.support.supervisor import error_text
from orgloop.runtime.wiring import ActorPart, Current, Wiring

log = logging.getLogger(__name__)

LATE: Final = 30.0
"""Seconds that a run gets whose deadline passed while no daemon ran: its end may be there already."""

STOP: Final = 30.0
"""Seconds within which the other system must hear that it is to end a run."""

GRACE: Final = 10.0
"""Seconds after that in which the run's own end still counts; also what one call of `stop` may take."""

LET_GO: Final = 2.0
"""Seconds that a connector's calls may take to end once nobody needs them."""

WAITED: Final = 30.0
"""Seconds after which it is noted again that a run is still waited for."""

MOST_SENT: Final = 16 * 1024 * 1024
"""Bytes of one request."""


class RemoteRuns:
    """Runs elsewhere. The other system goes on with them while no daemon runs."""

    def __init__(
        self,
        engine: Engine,
        callbacks: Callbacks,
        current: Current,
        is_open: Callable[[ActorPart], bool],
    ) -> None:
        self._engine = engine
        self._callbacks = callbacks
        self._current = current
        self._is_open = is_open
        self._asking = Asking(engine)
        self._changed = asyncio.Event()

    def actors_changed(self) -> None:
        """An actor was opened, or there is another configuration: some run may wait for that."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def start(
        self, start: Start, wiring: Wiring, on_live: Callable[[RemoteJob], None]
    ) -> Outcome | None:
        """Commit a run with what it will send. None: the run owns the delivery; else why it does not."""
        actor = start.part.remote
        if actor is None:
            raise TypeError(f"{start.part.spec.id} has no runs elsewhere")
        run_id = self._engine.ids.next(RUN, self._engine.clock.now())
        wake = dataclasses.replace(start.wake, run_id=run_id, callback=self._callbacks.address(run_id))
        mark, marker = mark_of(wake), self._engine.marker
        wake = dataclasses.replace(wake, marker=marker.comment(mark), trailer=marker.trailer(mark))
        try:
            request = _sound(actor.request(wake))
        except Refused as exc:
            return Rejected(reason=exc.message)
        except SystemExit as exc:
            # This is a task of its own, from which it would go through to the loop.
            raise PluginError("it called sys.exit", hint="report this to the connector's author") from exc
        live = self._live(start, actor, run_id, request)
        limits = {"timeout_s": request.timeout_s}
        committed = await commit(
            self._engine,
            start,
            live,
            run_dir=str(self._engine.home / "runs" / run_id),
            directory=None,
            spec={"remote": True, **payer_facts(live)},
            limits=limits,
            request=request.body,
        )
        if committed is not None:
            on_live(live)
            self._engine.events.settled(start.claimed, committed.settlement)
        return None

    def adopt(self, row: OpenRun, wiring: Wiring) -> RemoteJob:
        """A run of an earlier daemon. Whether it was sent is not known unless its ref is."""
        remote, clock = row.remote, self._engine.clock
        if remote is None:
            raise TypeError(f"run {row.run_id} is a program")
        deadline = row.started_at + round(row.limits["timeout_s"] * 1000)
        live = RemoteJob(
            run_id=row.run_id,
            facts=row.facts,
            lineage=Lineage.after(row.causes),
            delivery_id=row.delivery_id,
            route=row.route,
            actor_id=row.actor,
            harness=row.harness,
            actor=None,
            session_id=row.session_id,
            resumed=row.resumed,
            cwd=None,
            started_at=row.started_at,
            cost_usd=row.cost_usd,
            request=remote.request,
            deadline=max(deadline, clock.now() + round(LATE * 1000)),
            ref=Ref(**remote.ref) if remote.ref is not None else None,
            in_doubt=remote.ref is None,
            waited_until=row.last_seen or 0,
            account=row.spec.get("account", ""),
            instead_of=row.spec.get("instead_of", ""),
        )
        if remote.called_back is not None:
            live.called_back.set_result(from_bytes(remote.called_back))
        if remote.stop_at is not None:
            live.stopping.set()
        return live

    async def follow(self, live: RemoteJob) -> Finish:
        """The first end that comes: by a callback, by asking, after a stop, or at the deadline."""
        notes = Notes(
            live, self._engine.journal, self._engine.clock, is_seen=lambda: self._is_waited_for(live)
        )
        ways = [
            asyncio.ensure_future(way)
            for way in (_called_back(live), self._ask(live), self._stopped(live), self._due(live))
        ]
        try:
            while True:
                done, _ = await asyncio.wait(ways, timeout=NOTE, return_when=asyncio.FIRST_COMPLETED)
                news, live.news = live.news, False
                await notes.look(news=news)
                if self._is_waited_for(live) and notes.age >= WAITED:
                    await notes.write()
                if done:
                    return self._finish(live, next(way for way in ways if way in done).result())
        finally:
            await _ended(ways)

    def _is_waited_for(self, live: RemoteJob) -> bool:
        """Whether one request about it has been awaited so long that the other system surely has it."""
        return live.asked_at is not None and self._engine.clock.monotonic() - live.asked_at >= WAITED

    async def stop(self, live: RemoteJob) -> None:
        """Written down first: a later daemon goes on with it. Raises JournalUnavailable."""
        await self._engine.journal.stop_run(live.run_id, self._engine.clock.now())
        live.stopping.set()

    def let_go(self, live: RemoteJob) -> None:
        """The other system does not need us."""

    def require(self, run_id: str, token: str) -> None:
        """Raises NotFound if that is not the secret of this run."""
        self._callbacks.require(run_id, token)

    async def called(self, live: RemoteJob, request: Inbound) -> bool:
        """A report on this run. An end is on disk once this returns; False if there was one before.

        Raises Refused for what is no report, OrgLoopError for what a connector made of it, and
        JournalUnavailable or Overloaded if it must be sent again.
        """
        actor = live.actor
        if actor is None:
            raise Overloaded(f"the actor of run {live.run_id} is not ready", hint="send it again in a moment")
        if not isinstance(actor, CalledBack):
            raise NotFound(f"run {live.run_id} takes no reports", hint="its connector polls for the result")
        try:
            answer: object = actor.called(live.run, request)
        except Refused:
            raise
        except FAULTS as exc:
            log.exception("a report on run %s of %s cannot be read", live.run_id, live.actor_id)
            raise OrgLoopError(
                f"this report cannot be read: {error_text(exc)}", hint="the daemon's log has the details"
            ) from exc
        if isinstance(answer, Progress):
            live.take(answer)
            live.news = True
            return True
        try:
            end = checked(answer)
        except NoEnd as exc:
            raise OrgLoopError(str(exc), hint="report this to the connector's author") from exc
        kept = await self._engine.journal.run_called_back(
            live.run_id, to_bytes(end), self._engine.clock.now()
        )
        if kept and not live.called_back.done():
            live.called_back.set_result(end)
        return kept

    async def _ask(self, live: RemoteJob) -> RemoteEnd:
        return await self._asking.end_of(live, await self._actor(live))

    async def _stopped(self, live: RemoteJob) -> RemoteEnd:
        """The end of a run that somebody asked to end, if its own does not come."""
        await live.stopping.wait()
        clock, pauses = self._engine.clock, Pauses()
        began, reached = clock.monotonic(), False
        while not reached and clock.monotonic() - began < STOP:
            reached = await self._tell_to_stop(live)
            if not reached:
                await clock.sleep(pauses.next())
        await clock.sleep(GRACE)
        outcome = RunOutcome.CANCELLED if reached else RunOutcome.UNKNOWN
        return Completion(phase=Phase.STOPPED, outcome=outcome, reason="requested")

    async def _due(self, live: RemoteJob) -> RemoteEnd:
        """The end of a run whose own did not come in time. It may go on there, so it is told to end."""
        clock = self._engine.clock
        while (left := live.deadline - clock.now()) > 0:
            await clock.sleep(left / 1000)
        await self._tell_to_stop(live)
        return unknown(DEADLINE, live.last_line)

    async def _tell_to_stop(self, live: RemoteJob) -> bool:
        if live.actor is None:
            return False
        try:
            async with asyncio.timeout(GRACE):
                await called(live.actor.stop(live.run))
        except (Failed, TimeoutError) as exc:
            live.say(f"cannot be stopped: {exc}")
            return False
        return True

    async def _actor(self, live: RemoteJob) -> Remote:
        """Who can follow it: whoever began it, or for an adopted run, its actor once that is open."""
        while live.actor is None:
            changed = self._changed
            part = self._current.wiring.actors.get(live.actor_id)
            actor = part.remote if part is not None and self._is_open(part) else None
            if actor is not None and actor.harness == live.harness:
                live.actor = actor
            else:
                await changed.wait()
        return live.actor

    def _live(self, start: Start, actor: Remote, run_id: str, request: RemoteRequest) -> RemoteJob:
        claimed, wake, now = start.claimed, start.wake, self._engine.clock.now()
        known = wake.session.id if wake.session is not None else None
        return RemoteJob(
            run_id=run_id,
            facts=started_facts(claimed),
            lineage=Lineage.after(wake.events),
            delivery_id=claimed.id,
            route=claimed.route,
            actor_id=claimed.actor,
            harness=actor.harness,
            actor=actor,
            session_id=request.session_id,
            resumed=known is not None and known == request.session_id,
            cwd=None,
            started_at=now,
            pause_tries=claimed.pause_tries,
            account=claimed.account or "",
            instead_of=instead_of(start),
            request=request.body,
            deadline=now + round(request.timeout_s * 1000),
        )

    def _finish(self, live: RemoteJob, end: RemoteEnd) -> Finish:
        lasted = (self._engine.clock.now() - live.started_at) / 1000
        exit = ExitInfo(
            status=None,
            stopped=None,
            stdout="",
            stderr="",
            duration_s=lasted,
            session_id=live.session_id,
            resumed=live.resumed,
        )
        return Finish(result=end, exit=exit)


async def _called_back(live: RemoteJob) -> RemoteEnd:
    return await asyncio.shield(live.called_back)


async def _ended(ways: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what is left, without waiting for what does not let go."""
    for way in ways:
        way.cancel()
    await asyncio.wait(ways, timeout=LET_GO)


def _sound(request: object) -> RemoteRequest:
    """A request that can be stored and sent. Raises PluginError if it is none, Refused if it is too large."""
    match request:
        case RemoteRequest(body=bytes(), timeout_s=int() | float() as seconds, session_id=None | str()) if (
            math.isfinite(seconds) and seconds > 0
        ):
            if len(request.body) > MOST_SENT:
                raise Refused(f"its request is {len(request.body)} bytes long, and {MOST_SENT} is the most")
            return request
    raise PluginError("its `request` is none", hint="report this to the connector's author")
