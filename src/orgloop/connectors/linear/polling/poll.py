"""Polls Linear's API, and asks it what a webhook tells of where both ways are set up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from orgloop.connectors.linear.events.changes import FIELDS
from orgloop.connectors.linear.events.names import wants
from orgloop.connectors.linear.own_ids import id_of
from orgloop.connectors.linear.polling.bodies import DatedBody
from orgloop.connectors.linear.polling.checkpoint import ReadSoFar, dump, load, millis, short
from orgloop.connectors.linear.polling.reader import KINDS, LinearReader, first
from orgloop.connectors.linear.queries import CREATE_ACTIVITY
from orgloop.connectors.linear.settings import LinearSettings, api_of
from orgloop.connectors.linear.source import LinearIntake, LinearSource
from orgloop.plugin import (
    SECOND,
    Context,
    Draft,
    Json,
    Page,
    PluginError,
    Received,
    Reply,
    TryLater,
    object_at,
    text_at,
)

ANSWERED: Final = 4.0
"""Seconds after which a webhook is answered: Linear waits five."""

AGAIN: Final = 1.0
"""Seconds after which a history is asked again that does not have the change yet."""

AROUND: Final = 10 * SECOND
"""How far the entry of a change may be from the time of its webhook (ms)."""


class LinearPoller:
    """One poll is one step through issues and comments, with what is new in the order of its times."""

    def __init__(self, id: str, settings: LinearSettings) -> None:
        self._settings = settings
        self._intake = LinearIntake(settings)
        self._kinds = [kind for kind in KINDS if wants(settings.events, kind)]
        self._reader: LinearReader | None = None

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a key that is refused is a poll that failed, and is told as such."""
        self._intake.open(ctx)
        self._reader = LinearReader(api_of(self._settings, ctx), self._settings.team, self._settings.project)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def reader(self) -> LinearReader:
        """Asks Linear; there once the source is open."""
        assert self._reader is not None, "the source is not open"
        return self._reader

    async def poll(self, checkpoint: str | None) -> Page:
        """What is new. What was read before a failure counts; the failure is told by the next poll."""
        before = load(checkpoint)
        after = dict(before)
        if missing := [kind for kind in self._kinds if kind not in before]:
            lookback = self._settings.initial_lookback or 0
            began = await self.reader.now() - (lookback if not before else 0)
            after |= {kind: first(began) for kind in missing}
            return Page(checkpoint=dump(after), more=bool(before) or lookback > 0)
        failure: PluginError | TryLater | None = None
        found: list[tuple[int, Draft]] = []
        more = False
        for kind in self._kinds:
            try:
                step = await self.reader.step(kind, before[kind])
            except (PluginError, TryLater) as exc:
                failure = failure or exc
                continue
            fresh = self._fresh(step.told, before[kind])
            after[kind] = step.progress.reached(
                step.progress.at, ended=False, facts=[draft.key for _, draft in fresh if draft.key]
            )
            found += fresh
            more = more or step.more
        if failure is not None and after == before:
            raise failure
        events = [draft for _, draft in sorted(found, key=lambda one: one[0])]
        return Page(events=events, checkpoint=dump(after), more=more or failure is not None)

    def _fresh(self, told: Sequence[DatedBody], known: ReadSoFar) -> list[tuple[int, Draft]]:
        """The wanted events of these facts that were not told before, each with its time."""
        drafts = [(one.at, draft) for one in told for draft in self.drafts(one)]
        return [(at, draft) for at, draft in drafts if short(draft.key or "") not in known.seen]

    def drafts(self, told: DatedBody) -> Sequence[Draft]:
        """The wanted events of one fact."""
        return self._intake.read(told.body, told.entry)[0]


class LinearBoth(LinearSource):
    """Takes webhooks and polls. A webhook says where to look; what is there, the API says to both.

    So a fact has one name, one key and the same fields whichever way it was learned.
    """

    def __init__(self, id: str, settings: LinearSettings) -> None:
        super().__init__(id, settings)
        self._poller = LinearPoller(id, settings)
        self._acknowledged = settings.acknowledge

    async def open(self, ctx: Context) -> None:
        """Both ways."""
        await super().open(ctx)
        self._sleep = ctx.clock.sleep
        await self._poller.open(ctx)

    async def poll(self, checkpoint: str | None) -> Page:
        """See `LinearPoller.poll`."""
        return await self._poller.poll(checkpoint)

    async def events(self, body: Json, delivery: str) -> Received:
        """What the API says of it. What it does not say in time, the next poll tells."""
        received = await super().events(body, delivery)
        if received.events and text_at(body, "type") == "AgentSessionEvent":
            await self._acknowledge(body)
        if not received.events or not _is_polled(body):
            return received
        try:
            async with asyncio.timeout(ANSWERED):
                drafts = await self._asked(body, received.events)
        except (PluginError, TryLater, TimeoutError):
            drafts = ()
        if not drafts:
            return Received(reply=Reply(body={"ok": True, "polled": True}))
        return Received(events=drafts, request=delivery)

    async def _acknowledge(self, body: Json) -> None:
        """Say at once that somebody heard. A session is not lost because Linear did not hear that."""
        session, activity = (
            text_at(object_at(body, "agentSession"), "id"),
            text_at(object_at(body, "agentActivity"), "id"),
        )
        if (
            self._acknowledged is None
            or not session
            or text_at(object_at(body, "agentActivity"), "signal") == "stop"
        ):
            return
        given = {
            "id": id_of("", "acknowledgement", f"{session}:{activity}"),
            "agentSessionId": session,
            "content": {"type": "thought", "body": self._acknowledged},
        }
        with suppress(PluginError, TryLater, TimeoutError):
            async with asyncio.timeout(ANSWERED):
                await self._poller.reader.api.ask(CREATE_ACTIVITY, ANSWERED, input=given)

    async def _asked(self, body: Json, pushed: Sequence[Draft]) -> Sequence[Draft]:
        reader, data = self._poller.reader, object_at(body, "data")
        if text_at(body, "type") == "Comment":
            return self._drafts(await reader.comment(text_at(data, "id")))
        at = millis(data.get("updatedAt"))
        if at is None:
            return ()
        since = at - AROUND
        drafts = self._drafts(await reader.issue(text_at(data, "id"), since))
        if not {_outcome(one) for one in pushed} <= {_outcome(one) for one in drafts}:
            await self._sleep(AGAIN)
            drafts = self._drafts(await reader.issue(text_at(data, "id"), since))
        return drafts

    def _drafts(self, told: Sequence[DatedBody]) -> Sequence[Draft]:
        return [draft for one in told for draft in self._poller.drafts(one)]


def open_source(id: str, settings: LinearSettings) -> LinearSource | LinearPoller:
    """The ways in that the settings ask for."""
    if not settings.has_key:
        return LinearSource(id, settings)
    return LinearPoller(id, settings) if settings.secret is None else LinearBoth(id, settings)


def _outcome(draft: Draft) -> str:
    """What changed, and into what: a history may sum up several changes of one field."""
    name = str(draft.provenance["platform_event"])
    what = name.removeprefix("issue.").removesuffix("_changed")
    new = draft.payload.get(f"new_{what}_id", draft.payload.get(f"new_{what}"))
    return f"{name}:{new}"


def _is_polled(body: Json) -> bool:
    """Whether the API tells of this, too."""
    data, before = object_at(body, "data"), object_at(body, "updatedFrom")
    if not text_at(data, "id"):
        return False
    match text_at(body, "type"), text_at(body, "action"):
        case "Issue", "create":
            return True
        case "Issue", "update":
            return bool(before.keys() & FIELDS)
        case "Comment", "create":
            return bool(object_at(data, "issue"))
        case _:
            return False
