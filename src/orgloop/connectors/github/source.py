"""Receives GitHub's webhook deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from orgloop.connectors.github.normalize import normalize
from orgloop.connectors.github.reading import part, text
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import (
    Context,
    Draft,
    Inbound,
    Received,
    Refused,
    Reply,
    event_names,
    names_match,
    parse_json,
    verify,
)

FORM: Final = "application/x-www-form-urlencoded"


class GithubSource:
    """One event for each delivery. A redelivery keeps its id, so it is a duplicate."""

    def __init__(self, id: str, settings: GithubSettings) -> None:
        self._settings = settings
        self._repo = settings.repo.casefold() if settings.repo is not None else None
        self._authors = frozenset(name.casefold() for name in settings.authors)
        self._team = frozenset(name.casefold() for name in settings.team)

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return self._settings.secret is not None

    async def receive(self, request: Inbound) -> Received:
        """One delivery. Refuses other methods (405), bad signatures (401), bad headers and bodies (400)."""
        if request.method != "POST":
            raise Refused("Method not allowed", hint="GitHub sends deliveries with POST", status=405)
        if self._settings.secret is not None:
            verify(
                request,
                self._settings.secret,
                ("x-hub-signature-256",),
                missing="Missing X-Hub-Signature-256 header",
            )
        event = _header(request, "X-GitHub-Event")
        delivery = _header(request, "X-GitHub-Delivery")
        body = _body(request)
        if event == "ping":
            return Received(reply=Reply(body={"ok": True, "ping": text(body, "zen")}))
        draft = normalize(event, body, self._team)
        left_out = self._left_out(draft, body)
        if left_out:
            # Without its id: once the settings ask for it, a redelivery is no duplicate.
            return Received(reply=Reply(body={"ok": True, "filtered": True, "reason": left_out}))
        return Received(events=(draft,), request=delivery)

    def _left_out(self, draft: Draft, body: Mapping[str, Any]) -> str:
        """The setting that leaves this event out, or nothing."""
        repo = text(part(body, "repository"), "full_name")
        if self._repo is not None and repo.casefold() != self._repo:
            return "repo"
        events = self._settings.events
        if events and not names_match(events, event_names(draft.type, draft.provenance)):
            return "events"
        if self._authors and str(draft.provenance["author"]).casefold() not in self._authors:
            return "authors"
        return ""


def _header(request: Inbound, name: str) -> str:
    value = request.headers.get(name.lower(), "").strip()
    if not value:
        raise Refused(f"Missing {name} header", hint="GitHub sets it on each delivery")
    return value


def _body(request: Inbound) -> Mapping[str, Any]:
    body = parse_json(_json_bytes(request))
    if not isinstance(body, dict):
        raise Refused("Invalid JSON payload: it is not an object", hint="GitHub sends one JSON object")
    return body


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
