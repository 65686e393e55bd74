"""Receives GitHub's webhook deliveries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs

from orgloop.connectors.github.api import Api, api_of
from orgloop.connectors.github.enrich import IN_WEBHOOK, Enricher
from orgloop.connectors.github.events.age import doubted
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.events.own_mark import marked, words_of
from orgloop.connectors.github.events.shapes import likeliest, require_kind
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.shared_keys import Pairs, Way
from orgloop.plugin import (
    Clock,
    Context,
    Draft,
    Inbound,
    Received,
    Refused,
    Reply,
    TryLater,
    event_names,
    names_match,
    object_at,
    parse_object,
    require_delivery,
    require_header,
    require_signature,
    text_at,
)

REPEATED: Final = frozenset({"repository_dispatch", "workflow_dispatch"})
"""Kinds whose bodies may be the same to the byte, though they are two events."""

SIGNATURE_HEADERS: Final = ("x-hub-signature-256",)

UNSIGNED: Final = "Missing X-Hub-Signature-256 header"

HEADERS: Final = ("X-GitHub-Event", "X-GitHub-Delivery")

SET_BY_GITHUB: Final = "GitHub sets it on each delivery"

FORM: Final = "application/x-www-form-urlencoded"


class GithubIntake:
    """From a body to its event: the same for webhooks and polls."""

    def __init__(self, settings: GithubSettings) -> None:
        self._settings = settings
        self._ctx: Context | None = None
        self._repos = frozenset(repo.casefold().removesuffix("*") for repo in settings.repo)
        self._authors = frozenset(name.casefold() for name in settings.authors)
        self._team = frozenset(name.casefold() for name in settings.team)
        self._pairs: tuple[Pairs, Way] | None = None
        self._enricher: Enricher | None = None

    def pair(self, pairs: Pairs, way: Way) -> None:
        """Facts come another way, too."""
        self._pairs = pairs, way

    def open(self, ctx: Context) -> Api | None:
        """Keep the context, which knows the marks of this home's runs. The API, if there is a login."""
        self._ctx = ctx
        if not self._settings.has_login:
            return None
        api = api_of(self._settings, ctx)
        if self._settings.enrich:
            self._enricher = Enricher(api, self._settings.enrich)
        return api

    def asks(self, event: str, body: Mapping[str, Any]) -> bool:
        """Whether `enrich` asks something for this event."""
        return self._enricher is not None and self._enricher.asks(event, body)

    async def enriched(self, event: str, body: Mapping[str, Any], draft: Draft, within: float) -> Draft:
        """The event with what `enrich` asks for. Raises TryLater."""
        enricher = self._enricher
        return draft if enricher is None else await enricher.enrich(event, body, draft, within)

    def read(self, event: str, body: Mapping[str, Any], words: str | None = None) -> tuple[Draft, str]:
        """The event, and the setting that leaves it out, or nothing.

        `words`: what its author wrote with it, where the body does not tell.
        """
        draft = normalize(event, body, self._team)
        if self._ctx is not None:
            written = words_of(event, body) if words is None else words
            if written and (mark := self._ctx.mark_in(written)) is not None:
                draft = marked(draft, mark)
        left_out = self._left_out(draft, body)
        if self._pairs is not None and draft.key is not None and not left_out:
            pairs, way = self._pairs
            draft = replace(draft, key=pairs.key(draft.key, way))
        return draft, left_out

    def _left_out(self, draft: Draft, body: Mapping[str, Any]) -> str:
        """The setting that leaves this event out, or nothing."""
        repo = text_at(object_at(body, "repository"), "full_name").casefold()
        if self._repos and not {repo, f"{repo.partition('/')[0]}/"} & self._repos:
            return "repo"
        events = self._settings.events
        if events and not names_match(events, event_names(draft.type, draft.provenance)):
            return "events"
        if self._authors and str(draft.provenance["author"]).casefold() not in self._authors:
            return "authors"
        return ""


class GithubSource:
    """One event for each delivery. A redelivery keeps its id, so it is a duplicate."""

    def __init__(self, id: str, settings: GithubSettings) -> None:
        self._settings = settings
        self._intake = GithubIntake(settings)
        self._clock: Clock | None = None

    async def open(self, ctx: Context) -> None:
        """Lend the context to the intake, and keep the clock."""
        self._clock = ctx.clock
        self._intake.open(ctx)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return self._settings.secret is not None

    def check_head(self, request: Inbound) -> None:
        """Refuse a delivery without a signature (401) before its body comes."""
        if self._settings.secret is not None:
            require_signature(request, SIGNATURE_HEADERS, missing=UNSIGNED)

    async def receive(self, request: Inbound) -> Received:
        """One delivery. Refuses other methods (405), bad signatures (401), bad headers and bodies (400)."""
        require_delivery(
            request,
            self._settings.secret,
            SIGNATURE_HEADERS,
            missing=UNSIGNED,
            hint="GitHub sends deliveries with POST",
        )
        event, delivery = (require_header(request, name, hint=SET_BY_GITHUB) for name in HEADERS)
        given = _json_bytes(request)
        body = parse_object(given, hint="GitHub sends one JSON object")
        if event == "ping":
            return Received(reply=Reply(body={"ok": True, "ping": text_at(body, "zen")}))
        require_kind(event, body)
        draft, left_out = self._intake.read(event, body)
        if draft.key is None:
            draft = replace(draft, key=_key(event, body, given))
        oldest = self._settings.max_fact_age
        if self.signed and self._clock is not None and oldest is not None:
            draft = doubted(draft, event, body, self._clock.now(), oldest)
        if left_out:
            # Without its id: once the settings ask for it, a redelivery is no duplicate.
            return Received(reply=Reply(body={"ok": True, "filtered": True, "reason": left_out}))
        try:
            draft = await self._intake.enriched(event, body, draft, IN_WEBHOOK)
        except TryLater as exc:
            draft = replace(draft, payload={**draft.payload, "not_enriched": exc.reason})
        return Received(events=(draft,), request=delivery)


def _key(event: str, body: Mapping[str, Any], given: bytes) -> str | None:
    """What a fact is known by that GitHub gives no name: its body, which a new delivery id does not change.

    A body that comes under a name of its own is still the fact that it was.
    """
    kind = likeliest(event, body)
    if kind != event and (key := normalize(kind, body).key) is not None:
        return key
    return None if kind in REPEATED else f"body:{hashlib.sha256(given).hexdigest()}"


def _json_bytes(request: Inbound) -> bytes:
    """The JSON, which a form carries in its field `payload`."""
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        return request.body
    try:
        fields = parse_qs(request.body.decode(), max_num_fields=10, errors="strict")
    except ValueError as exc:
        raise Refused("The form cannot be read", hint="choose application/json in the webhook") from exc
    if "payload" not in fields:
        raise Refused("The form has no field `payload`", hint="choose application/json in the webhook")
    return fields["payload"][0].encode()
