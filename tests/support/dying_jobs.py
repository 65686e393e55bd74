"""A connector for the job server, written against `orgloop.plugin` alone, whose runs kill the daemon.

A run that comes to the next of POINTS waits there until as many are there as `die` says. Then the process is
killed; in its next life that point is passed, and the point after it is next. The actor is that of
docs/connectors/writing.md, in every variation.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orgloop_jobs  # type: ignore[import-not-found]

from orgloop.plugin import (
    ActorKind,
    Connector,
    Context,
    Delivered,
    DeliverOutcome,
    Draft,
    Inbound,
    Page,
    Progress,
    ProjectPath,
    Ref,
    Refused,
    RemoteEnd,
    RemoteRequest,
    RemoteRun,
    SourceKind,
    Wake,
    parse_json,
)

POINTS: Final = (
    "sending",  # the run is on disk, nothing is sent
    "begun",  # the job goes on, its ref is not known
    "followed",  # the ref is on disk
    "called",  # the callback came, its row is not written
    "row",  # its row is written, the run has not ended
    "ended",  # the end is known, and not on disk
    "told",  # the end is on disk, and being told to the next actor
)


class DyingSettings(orgloop_jobs.JobsSettings):  # type: ignore[misc]
    """How this one begins a job and hears of its end, and where its runs take part in a kill."""

    mode: str = "poll"
    """wait, poll, call; or hand: its actor has no runs."""
    again: bool = True
    """The server begins one job for one key."""
    dies: Sequence[str] = ()
    """Points at which its runs wait for the others."""
    die: Mapping[str, int]
    """For each point, how many runs have to be there."""
    place: ProjectPath
    """Where they note that they are there, and what has killed already."""


class Deaths:
    """Kills the process once enough runs are where the next kill is due."""

    def __init__(self, settings: DyingSettings, pause: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self.pause = pause

    def has_passed(self, point: str, run: str) -> bool:
        """Whether a run may go on from here. Does not return from a kill."""
        if point not in self._settings.dies or self._killed(point):
            return True
        if all(self._killed(earlier) for earlier in POINTS[: POINTS.index(point)]):
            here = self._settings.place / point
            here.mkdir(parents=True, exist_ok=True)
            (here / run).touch()
            if len(list(here.iterdir())) == self._settings.die[point]:
                (here / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return False

    async def at(self, point: str, run: str) -> None:
        while not self.has_passed(point, run):
            await self.pause()

    def _killed(self, point: str) -> bool:
        return (self._settings.place / point / "killed").exists()


class DyingActor(orgloop_jobs.JobsActor):  # type: ignore[misc]
    """The actor of the page, in all its variations."""

    def __init__(self, id: str, settings: DyingSettings) -> None:
        super().__init__(id, settings)
        self._how = settings
        self._deaths = Deaths(settings, self._pause)
        self.idempotent = settings.again

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await asyncio.Event().wait()

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        await self._deaths.at("told", wake.delivery_id)
        return Delivered()

    def request(self, wake: Wake) -> RemoteRequest:
        order = {"prompt": wake.prompt, "wait": self._how.mode == "wait", **wake.event.payload["order"]}
        if self._how.mode == "call":
            order["callback"] = wake.callback
        return RemoteRequest(body=json.dumps(order).encode())

    async def begin(self, run: RemoteRun) -> Ref | RemoteEnd:
        await self._deaths.at("sending", run.id)
        path = "/jobs?idempotent" if self._how.again else "/jobs"
        sending = asyncio.ensure_future(self._ask("POST", path, run.request, {"Idempotency-Key": run.id}))
        while (await self._ask("GET", f"/jobs?key={run.id}")).status == 404:
            await self._pause()
        await self._deaths.at("begun", run.id)
        job = parse_json((await sending).body)
        if self._how.mode != "wait":
            return Ref(id=job["id"])
        await self._deaths.at("ended", run.id)
        end: RemoteEnd = orgloop_jobs._end_of(job)
        return end

    async def follow(self, run: RemoteRun, note: Callable[[Progress], None]) -> RemoteEnd | None:
        await self._deaths.at("followed", run.id)
        if self._how.mode == "call":
            try:
                await asyncio.Event().wait()
            finally:
                await self._deaths.at("row", run.id)
        end: RemoteEnd | None = await super().follow(run, note)
        await self._deaths.at("ended", run.id)
        return end

    def called(self, run: RemoteRun, request: Inbound) -> RemoteEnd | Progress:
        if not self._deaths.has_passed("called", run.id):
            raise Refused("not yet", status=503)
        end: RemoteEnd | Progress = super().called(run, request)
        return end


class FindingActor(DyingActor):
    """For a server that begins whatever comes, and can be asked what a key has begun."""

    async def find(self, run: RemoteRun) -> Ref | RemoteEnd | None:
        reply = await self._ask("GET", f"/jobs?key={run.id}")
        return Ref(id=parse_json(reply.body)["id"]) if reply.status == 200 else None


class Feed:
    """The server's feed, polled."""

    def __init__(self, id: str, settings: orgloop_jobs.JobsSettings) -> None:
        self._url = settings.url

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx

    async def close(self) -> None:
        """Has nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        after = int(checkpoint or 0)
        reply = await self._ctx.http.request("GET", f"{self._url}/feed?after={after}", timeout=10)
        told: Any = parse_json(reply.body)
        about = {"platform": "jobs", "platform_event": "job.asked", "author_type": "team_member"}
        drafts = [
            Draft(provenance=about, payload=entry, key=f"entry:{after + number}")
            for number, entry in enumerate(told["entries"])
        ]
        return Page(events=drafts, checkpoint=str(told["next"]))


def _kind(actor: type[DyingActor]) -> ActorKind:
    return ActorKind(
        settings=DyingSettings,
        open=actor,
        has_runs=lambda settings: settings.mode != "hand",
        wakes_agent=True,
    )


source = SourceKind(settings=orgloop_jobs.JobsSettings, open=Feed, polled=True)
dying = Connector(name="dying", title="Asks, waits or is called", source=source, actor=_kind(DyingActor))
finding = Connector(name="dying-finding", title="Can find what it began", actor=_kind(FindingActor))
