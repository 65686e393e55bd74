"""Receives Linear's webhooks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.connectors.linear.events.normalize import normalize
from orgloop.connectors.linear.events.people import with_mark, words_of
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.plugin import (
    HOUR,
    MINUTE,
    Context,
    Draft,
    Inbound,
    Json,
    Received,
    Refused,
    Reply,
    event_names,
    humanize,
    names_match,
    object_at,
    parse_object,
    require_delivery,
    require_header,
    require_signature,
    text_at,
)

SIGNATURE: Final = ("linear-signature",)
UNSIGNED: Final = "Missing Linear-Signature header"

OLDEST: Final = 7 * HOUR + 15 * MINUTE
"""How old a signed body may be (ms). Linear tries again after a minute, an hour and six hours."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class LinearIntake:
    """From a body to its events: the same for webhooks and polls."""

    def __init__(self, settings: LinearSettings) -> None:
        self._settings = settings
        self._ctx: Context | None = None

    def open(self, ctx: Context) -> None:
        """Keep the context, which knows the time and the marks of this home's runs."""
        self._ctx = ctx

    @property
    def now(self) -> int:
        """Milliseconds since 1970."""
        assert self._ctx is not None, "the source is not open"
        return self._ctx.clock.now()

    def read(self, body: Json, entry: str = "") -> tuple[Sequence[Draft], str]:
        """The events that are wanted, and if none is: the setting that leaves them out, or nothing."""
        if left_out := self._left_out(body):
            return (), left_out
        words = words_of(body)
        drafts = [with_mark(draft, words, self._ctx) for draft in normalize(body, entry)]
        events = self._settings.events
        if not events:
            return drafts, ""
        wanted = [one for one in drafts if names_match(events, event_names(one.type, one.provenance))]
        return wanted, "" if wanted or not drafts else "events"

    def _left_out(self, body: Json) -> str:
        """A team or project other than the configured one. What belongs to none is taken."""
        data, settings = object_at(body, "data"), self._settings
        issue = object_at(data, "issue") or object_at(body, "agentSession", "issue") or data
        wanted = {value.casefold() for value in (settings.team,) if value}
        team = {
            text_at(object_at(issue, "team"), "key"),
            text_at(object_at(issue, "team"), "id"),
            text_at(issue, "teamId"),
        }
        if wanted and any(team) and not wanted & {one.casefold() for one in team}:
            return "team_mismatch"
        project = [*map(object_at(issue, "project").get, ("name", "id")), issue.get("projectId")]
        # Of a comment's issue, webhooks do not tell the project.
        told = text_at(body, "type") == "Issue" or (text_at(body, "type") == "Comment" and "project" in issue)
        if settings.project and told and settings.project not in project:
            return "project"
        return ""


class LinearSource:
    """The events of each delivery. Linear's retry of one keeps its id, so it is a duplicate."""

    def __init__(self, id: str, settings: LinearSettings) -> None:
        self._settings = settings
        self._intake = LinearIntake(settings)

    async def open(self, ctx: Context) -> None:
        """Lend the context to the intake."""
        self._intake.open(ctx)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return self._settings.secret is not None

    def check_head(self, request: Inbound) -> None:
        """Refuse a delivery without a signature (401) before its body comes."""
        if self._settings.secret is not None:
            require_signature(request, SIGNATURE, missing=UNSIGNED)

    async def receive(self, request: Inbound) -> Received:
        """One delivery. Refuses other methods (405), bad signatures and old times (401), bad bodies (400)."""
        secret = self._settings.secret
        require_delivery(request, secret, SIGNATURE, missing=UNSIGNED, hint="Linear sends webhooks with POST")
        body = _body(request.body)
        if secret is not None:
            _require_recent(body, self._intake.now)
        delivery = require_header(request, "Linear-Delivery", hint="Linear sets it on each delivery")
        return await self.events(body, delivery)

    async def events(self, body: Json, delivery: str) -> Received:
        """What a body that was verified means."""
        drafts, left_out = self._intake.read(body)
        if left_out:
            # Without its id: once the settings ask for it, another try is no duplicate.
            return Received(reply=Reply(body={"ok": True, "filtered": True, "reason": left_out}))
        if not drafts:
            return Received(reply=Reply(body={"ok": True, "events_created": 0, "event_ids": []}))
        return Received(events=drafts, request=delivery)


def _body(given: bytes) -> Mapping[str, Any]:
    body = parse_object(given, hint="Linear sends one JSON object")
    if not all(_WORD.fullmatch(text_at(body, key)) for key in ("type", "action")):
        raise Refused("Missing type or action field", hint="each must be a word, such as Issue and update")
    return body


def _require_recent(body: Json, now: int) -> None:
    """Raises Refused (401) for a body that was signed too long ago: somebody may have kept it."""
    stamp = body.get("webhookTimestamp")
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        raise Refused("Missing webhookTimestamp field", hint="Linear signs the time, in ms, with each body")
    if abs(now - stamp) > OLDEST:
        raise Refused(
            f"The signed time is more than {humanize(OLDEST)} away",
            hint="compare this machine's clock with the real time; it may be a captured request",
            status=401,
        )
