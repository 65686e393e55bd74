"""Writes to GitHub: comments, reviews, labels, check runs, issues; and starts workflows.

Each text that it writes ends with the wake's mark, which does not show. So it is found again before a
second try writes it, and sources know it as our own.
"""

from __future__ import annotations

import asyncio
from typing import assert_never
from weakref import WeakValueDictionary

from orgloop.connectors.github.api import Api, Denied, Unreachable, api_of
from orgloop.connectors.github.settings import repository
from orgloop.connectors.github.writing.requests import GithubWriter, UnfitTask
from orgloop.connectors.github.writing.tasks import (
    AnyTask,
    CheckRun,
    Comment,
    Dispatch,
    Do,
    GithubActorSettings,
    Issue,
    Label,
    Review,
    read,
)
from orgloop.plugin import (
    Context,
    Delivered,
    DeliverOutcome,
    PluginError,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    TryLater,
    Unavailable,
    Wake,
)


class GithubActor:
    """One wake is one thing done on GitHub, however often it is tried."""

    def __init__(self, id: str, settings: GithubActorSettings) -> None:
        self._settings = settings
        self._api: Api | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a login that is refused parks the actor at its first wake."""
        self._api = api_of(self._settings, ctx)

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Does it, unless an earlier try did.

        A limit of GitHub's makes it wait; a login that is refused parks the actor. What GitHub will never
        do is rejected. What it may have done without saying so is tried again, and found then.
        """
        if self._api is None:
            raise RuntimeError("the actor is not open")
        try:
            task = read(Do(wake.config.get("do", self._settings.do)), wake.config)
            writer = GithubWriter(self._api, wake, self._repo(task, wake))
            async with self._turn(writer.place(task)):
                return await self._done(task, writer)
        except ValueError as exc:
            return Rejected(reason=f"`then.config` of route {wake.route}: {exc}")
        except UnfitTask as exc:
            return Rejected(reason=str(exc))
        except TryLater as exc:
            return Throttled(until=exc.until, reason=exc.reason)
        except Unreachable as exc:
            return Retry(reason=exc.message, known=False) if exc.sent else Unavailable(reason=exc.message)
        except Denied as exc:
            return _denied(exc)
        except PluginError as exc:
            return Retry(reason=exc.message, known=False)

    def _turn(self, place: str) -> asyncio.Lock:
        """Whoever looks for something and then writes it has its place alone meanwhile."""
        return self._turns.setdefault(place, asyncio.Lock())

    async def _done(self, task: AnyTask, writer: GithubWriter) -> Delivered | Skipped:
        match task:
            case Comment():
                return await writer.comment(task)
            case Review():
                return await writer.review(task)
            case Label():
                return await writer.label(task)
            case CheckRun():
                return await writer.check_run(task)
            case Dispatch():
                return await writer.dispatch(task)
            case Issue():
                return await writer.issue(task)
            case _:
                assert_never(task)

    def _repo(self, task: AnyTask, wake: Wake) -> str:
        """Where to write. The event's own repository goes before the actor's: its numbers belong to it."""
        provenance = wake.event.provenance
        told = provenance.get("repo") if provenance.get("platform") == "github" else None
        repo = task.repo or told or self._settings.repo
        if not isinstance(repo, str):
            raise UnfitTask("the event names no repository: write `repo: owner/name` in `then.config`")
        return repository(repo)


def _denied(exc: Denied) -> DeliverOutcome:
    match exc.status:
        case 401:
            return Unavailable(reason=exc.message)
        case 409 | 423:
            return Retry(reason=exc.message)
        case _:
            return Rejected(reason=exc.message)
