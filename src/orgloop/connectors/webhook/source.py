"""Receives JSON from any system."""

from __future__ import annotations

from typing import Any, Final

from orgloop.connectors.webhook.settings import WebhookSourceSettings
from orgloop.plugin import (
    MISSING,
    AuthorType,
    Context,
    Draft,
    EventType,
    Inbound,
    Path,
    Received,
    Refused,
    Template,
    parse_json,
    require_signature,
    verify,
)

SIGNATURE_HEADERS: Final = ("x-hub-signature-256", "x-signature")

UNSIGNED: Final = "Missing signature"

_CANONICAL: Final = frozenset(EventType)


class WebhookSource:
    """One event for each body; the sender hears of it after the commit."""

    def __init__(self, id: str, settings: WebhookSourceSettings) -> None:
        self._secret = settings.secret
        self._type = Path.parse(settings.event_type_field)
        self._key = _template(settings.dedupe_key) if settings.dedupe_key is not None else None

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return self._secret is not None

    def check_head(self, request: Inbound) -> None:
        """Refuse a request without a signature (401) before its body comes."""
        if self._secret is not None:
            require_signature(request, SIGNATURE_HEADERS, missing=UNSIGNED)

    async def receive(self, request: Inbound) -> Received:
        """One JSON body. Refuses other methods (405), bad signatures (401) and bad bodies (400)."""
        if request.method != "POST":
            raise Refused("Method not allowed", hint="send the event with POST", status=405)
        if self._secret is not None:
            verify(request, self._secret, SIGNATURE_HEADERS, missing=UNSIGNED)
        body = parse_json(request.body)
        return Received(
            events=(self._draft({} if body is None else body),),
            request=request.headers.get("idempotency-key") or None,
        )

    def _draft(self, body: Any) -> Draft:
        named = self._type.get(body)
        name = named if isinstance(named, str) and named else "unknown"
        return Draft(
            type=EventType(name) if name in _CANONICAL else EventType.RESOURCE_CHANGED,
            provenance={
                "platform": "webhook",
                "platform_event": name,
                "author": "unknown",
                "author_type": AuthorType.UNKNOWN,
            },
            payload=body,
            key=self._key_of(body),
        )

    def _key_of(self, body: Any) -> str | None:
        """None if a part of it is missing: half a key would make one fact of many."""
        if self._key is None:
            return None
        parts = [path.get(body) for path in self._key.paths]
        if any(part is MISSING or part is None or part == "" for part in parts):
            return None
        return self._key.render(body)


def _template(dedupe_key: str) -> Template:
    return Template.parse(dedupe_key if "{{" in dedupe_key else f"{{{{ {dedupe_key} }}}}")
