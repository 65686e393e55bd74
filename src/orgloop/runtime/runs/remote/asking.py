"""Asking the other system: to begin a run, once, and then how it ends."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable
from typing import Final, TypeVar

from orgloop.errors import FAULTS
from orgloop.journal.model import RunBegun
from orgloop.plugin import (
    CalledBack,
    Findable,
    HttpFailed,
    NotBegun,
    Progress,
    Ref,
    Remote,
    RemoteEnd,
    Unavailable,
)
from orgloop.runtime.runs import completion
from orgloop.runtime.runs.holder import Engine
from orgloop.runtime.runs.remote.job_end import NoEnd, checked, checked_ref, unknown
from orgloop.runtime.runs.remote.remote_run import RemoteJob
from orgloop.runtime.support.retries import Pauses, until_written
from orgloop.runtime.support.sanitize import text
from orgloop.runtime.support.supervisor import STEADY, error_text, is_cancelled

log = logging.getLogger(__name__)

IN_DOUBT: Final = "in_doubt"
"""Why a run is over of which nobody can say whether it has begun."""

BROKEN: Final = "connector_error"
"""Why a run is over whose connector answered what its contract does not know."""

T = TypeVar("T")


class Failed(Exception):
    """A connector's call failed. `sent` is false if nothing can have reached the other side."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


async def called(call: Awaitable[T]) -> T:
    """What a connector's call returns. Raises Failed, whatever it raised."""
    try:
        return await call
    except HttpFailed as exc:
        raise Failed(text(exc.reason), sent=exc.sent) from exc
    except asyncio.CancelledError as exc:
        if is_cancelled():
            raise
        raise Failed(error_text(exc), sent=True) from exc
    except FAULTS as exc:
        raise Failed(error_text(exc), sent=True) from exc


class Asking:
    """Begins runs and follows them, with growing pauses where that fails. Whoever calls bounds the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def end_of(self, live: RemoteJob, actor: Remote) -> RemoteEnd:
        """How this run ends; begins it if it has not begun."""
        try:
            if live.ref is None:
                end = await self._begun(live, actor)
                if end is not None:
                    return end
            return await self._followed(live, actor)
        except NoEnd as exc:
            log.warning("run %s of %s: %s", live.run_id, live.actor_id, exc)
            return unknown(BROKEN, str(exc))

    async def _begun(self, live: RemoteJob, actor: Remote) -> RemoteEnd | None:
        """Begin it, once. None: the other system has it, and that is on disk."""
        pauses = Pauses()
        while True:
            answer = await (self._look(live, actor) if live.in_doubt else self._send(live, actor))
            if isinstance(answer, Ref):
                await self._has_begun(live, checked_ref(answer))
                return None
            if answer is not None:
                return checked(answer)
            if live.in_doubt:
                await self._engine.clock.sleep(pauses.next())

    async def _send(self, live: RemoteJob, actor: Remote) -> object | None:
        """The first time. None: it may have begun, or not."""
        live.in_doubt = True
        try:
            answer = await self._waited(live, actor.begin(live.run))
        except Failed as exc:
            if not exc.sent:
                return NotBegun(outcome=Unavailable(reason=exc.why))
            if not (actor.idempotent or isinstance(actor, Findable)):
                return unknown(IN_DOUBT, exc.why)
            self._tell(live, exc)
            return None
        return _told(answer)

    async def _look(self, live: RemoteJob, actor: Remote) -> object | None:
        """It was sent, or may have been. None: to be tried again, later if that is still so."""
        try:
            if isinstance(actor, Findable):
                found = await self._waited(live, actor.find(live.run))
                live.in_doubt = found is not None
                return found
            if not actor.idempotent:
                return unknown(IN_DOUBT, "the daemon ended during the request: the job may have begun")
            answer = await self._waited(live, actor.begin(live.run))
        except Failed as exc:
            self._tell(live, exc)
            return None
        if isinstance(answer, NotBegun):
            # That says nothing of what was sent before.
            live.say(f"it is not known whether the job began: {answer.outcome}")
            return None
        return _told(answer)

    async def _waited(self, live: RemoteJob, call: Awaitable[object]) -> object:
        """What the call returns. Raises Failed. Meanwhile the run shows that it is waited for."""
        live.asked_at = self._engine.clock.monotonic()
        try:
            return await called(call)
        finally:
            live.asked_at = None

    async def _has_begun(self, live: RemoteJob, ref: Ref) -> None:
        """The ref and `session.started` are on disk before anything is asked about it."""
        live.ref, live.session_id = ref, ref.session_id or live.session_id
        begun = RunBegun(
            run_id=live.run_id,
            at=self._engine.clock.now(),
            ref=dataclasses.asdict(ref),
            session_id=ref.session_id,
            follow_up=self._engine.intake.follow_up(
                live.actor_id, completion.started(live.about), live.lineage
            ),
        )
        written = await until_written(
            self._engine.clock, f"the ref of run {live.run_id}", lambda: self._engine.journal.run_begun(begun)
        )
        if written:
            live.alive = True
            self._engine.intake.committed(begun.follow_up)

    async def _followed(self, live: RemoteJob, actor: Remote) -> RemoteEnd:
        def note(progress: Progress) -> None:
            if isinstance(progress, Progress):
                live.take(progress)
                live.news = True

        clock, pauses = self._engine.clock, Pauses()
        while True:
            began = clock.monotonic()
            try:
                answer = await called(actor.follow(live.run, note))
            except Failed as exc:
                self._tell(live, exc)
                if clock.monotonic() - began > STEADY:
                    pauses = Pauses()
                await clock.sleep(pauses.next())
                continue
            if answer is None and isinstance(actor, CalledBack):
                await asyncio.Event().wait()
            return checked(answer)

    def _tell(self, live: RemoteJob, failed: Failed) -> None:
        log.warning("run %s of %s: %s", live.run_id, live.actor_id, failed.why)
        live.say(f"cannot be queried: {failed.why}")


def _told(answer: object) -> object:
    """An answer to `begin`: it says nothing only by raising."""
    if answer is None:
        raise NoEnd("an error of its connector: `begin` returned nothing")
    return answer
