"""Receives JSON from any system."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from orgloop.connectors.webhook.body import documents, handshake, question
from orgloop.connectors.webhook.preset import built_in, names
from orgloop.connectors.webhook.settings import CustomSignature, WebhookSourceSettings
from orgloop.plugin import (
    ANYTHING,
    TEXT,
    AuthorType,
    Clock,
    Context,
    Draft,
    EventShape,
    EventType,
    Inbound,
    Path,
    Received,
    Refused,
    Reply,
    Template,
    authenticate,
    authenticate_head,
    humanize,
    is_missing,
    key_text,
    require_signature,
    verify,
)

DELIVERY_HEADERS: Final = ("idempotency-key", "webhook-id", "svix-id")
"""Where a delivery's id is looked for unless the settings name a header."""

LONGEST_NAME: Final = 200
LONGEST_FIELD: Final = 1_000
"""Characters of an event's name, and of one text in `provenance`."""

LONGEST_TIME: Final = 64
"""Characters of a time."""

FIRST_MS: Final = 100_000_000_000
"""From here on a number is a time in milliseconds: 1973 in them, the year 5138 in seconds."""

LAST_MS: Final = 253_402_300_800_000
"""The end of the year 9999, in ms since 1970."""

_CANONICAL: Final = frozenset(EventType)


class WebhookSource:
    """One event for each body; the sender hears of it after the commit."""

    def __init__(self, id: str, settings: WebhookSourceSettings) -> None:
        self._settings = settings
        self._secrets = settings.secret or ()
        self._type = Path.parse(settings.event_type_field)
        self._delivery = Path.parse(settings.delivery_id_field) if settings.delivery_id_field else None
        self._time = Path.parse(settings.timestamp_field) if settings.timestamp_field else None
        self._key = _template(settings.dedupe_key) if settings.dedupe_key is not None else None
        self._event = None if settings.event is None else _template(settings.event)
        self._fields = {name: _template(place) for name, place in settings.fields.items()}
        self._clock: Clock | None = None

    async def open(self, ctx: Context) -> None:
        """Keep the clock, by which signed times are judged."""
        self._clock = ctx.clock

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return bool(self._secrets)

    def check_head(self, request: Inbound) -> None:
        """Refuse a request without a signature, or with a wrong token (401), before its body comes."""
        signature, secrets = self._settings.signature, self._secrets
        if not secrets or request.method != "POST" or handshake(request, secrets) is not None:
            return
        if isinstance(signature, CustomSignature):
            require_signature(request, (signature.header.lower(),), missing=signature.unsigned)
        else:
            authenticate_head(request, secrets, signature)

    async def receive(self, request: Inbound) -> Received:
        """One request. Refuses other methods (405), bad signatures (401) and bad bodies (400)."""
        if (reply := handshake(request, self._secrets)) is not None:
            return Received(reply=reply)
        if request.method != "POST":
            raise Refused("Method not allowed", hint="send the event with POST", status=405)
        proof = self._proof(request)
        found = documents(request, self._settings.split)
        if len(found) == 1 and (reply := question(found[0], self._secrets)) is not None:
            return Received(reply=reply)
        for one in found:
            self._require_recent(one)
        drafts = [self._draft({} if one is None else one, request) for one in found]
        if not drafts:
            return Received(reply=Reply(body={"ok": True, "events_created": 0, "event_ids": []}))
        return Received(events=drafts, request=self._delivery_id(request, found) or proof)

    def _proof(self, request: Inbound) -> str | None:
        """What the signature says that the request is, if it says so."""
        signature, secrets = self._settings.signature, self._secrets
        if not secrets:
            return None
        if isinstance(signature, CustomSignature):
            names = (signature.header.lower(),)
            verify(request, secrets, names, missing=signature.unsigned, algorithm=signature.algorithm)
            return None
        return authenticate(request, secrets, signature, self._now, self._settings.tolerance).identity

    def _require_recent(self, body: Any) -> None:
        """Refuse what its body says is too old (401), or of which it says no time (400).

        A header with a time would prove nothing: only the body is signed.
        """
        path, oldest, tolerance = self._time, self._settings.max_fact_age, self._settings.tolerance
        if path is None or oldest is None:
            return
        time = time_of(path.get(body))
        if time is None:
            raise Refused(
                f"The body has no time at `{path}`",
                hint="it is ISO 8601 text, or a number of seconds or milliseconds since 1970",
            )
        age = self._now() - time
        if age > oldest:
            raise Refused(
                f"The time at `{path}` is {humanize(age)} ago, and at most {humanize(oldest)} is allowed",
                hint="raise `max_fact_age` if the sender is right; it may be a captured request",
                status=401,
            )
        if age < -tolerance:
            raise Refused(
                f"The time at `{path}` is {humanize(-age)} from now",
                hint="compare the clocks of both sides, or raise `tolerance`",
                status=401,
            )

    def _now(self) -> int:
        if self._clock is None:
            raise RuntimeError("the source is not open")
        return self._clock.now()

    def _delivery_id(self, request: Inbound, found: Sequence[Any]) -> str | None:
        header = self._settings.delivery_id_header
        names = (header.lower(),) if header else DELIVERY_HEADERS
        for name in names:
            if value := request.headers.get(name, "").strip():
                return str(value)
        id_given = self._delivery.get(found[0]) if self._delivery and len(found) == 1 else None
        return None if is_missing(id_given) else key_text(id_given)

    def _draft(self, body: Any, request: Inbound) -> Draft:
        data = body
        if self._event is not None or self._fields:
            data = {**(body if isinstance(body, dict) else {}), "header": request.headers}
        name = self._name(body, data, request)
        provenance: dict[str, Any] = {
            "platform": self._settings.platform,
            "platform_event": name,
            "author": "unknown",
            "author_type": AuthorType.UNKNOWN,
        }
        for key, place in self._fields.items():
            if (value := _fit(place.value(data))) is not None:
                provenance[key] = value
        return Draft(
            type=EventType(name) if name in _CANONICAL else EventType.RESOURCE_CHANGED,
            provenance=provenance,
            payload=body,
            key=self._key_of(body),
        )

    def _name(self, body: Any, data: Any, request: Inbound) -> str:
        """The event's name. Of a template, dots around what is missing are left out."""
        if self._event is not None:
            words = self._event.render(data)[: LONGEST_NAME * 4].split()
            return " ".join(words).strip(". ")[:LONGEST_NAME] or "unknown"
        header = self._settings.event_type_header
        named = request.headers.get(header.lower(), "").strip() if header else self._type.get(body)
        return named if isinstance(named, str) and named else "unknown"

    def _key_of(self, body: Any) -> str | None:
        """None if a part of it is missing: half a key would make one fact of many."""
        return self._key.key(body) if self._key is not None else None


def time_of(value: Any) -> int | None:
    """A time in ms since 1970: of ISO 8601 text (UTC if it names no zone), or of seconds or ms since 1970."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= LONGEST_TIME:
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < LAST_MS:
            return None
        return round(value * 1000) if value < FIRST_MS else round(value)
    if not isinstance(value, str) or len(value) > LONGEST_TIME:
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _fit(value: object) -> Any:
    """A value for `provenance`: text, a number or a flag; None for anything else."""
    if isinstance(value, str):
        return value[:LONGEST_FIELD] or None
    return value if isinstance(value, bool | int | float) else None


def shapes(settings: WebhookSourceSettings) -> Sequence[EventShape]:
    """What is known of events whose payload is the body: who sent one is not."""
    return (
        EventShape(
            names=(),
            fields={
                "provenance.platform": (settings.platform,),
                "provenance.platform_event": TEXT,
                "provenance.author": TEXT if "author" in settings.fields else ("unknown",),
                "provenance.author_type": (AuthorType.UNKNOWN,),
                **{f"provenance.{name}": ANYTHING for name in settings.fields if name != "author"},
                "payload": ANYTHING,
                "payload.*": ANYTHING,
            },
        ),
    )


def known_names(settings: WebhookSourceSettings) -> Sequence[str]:
    """The names of a preset's events, as far as they are known."""
    preset = settings.preset
    return built_in(preset).events if preset is not None and preset in names() else ()


def _template(place: str) -> Template:
    return Template.parse(place if "{{" in place else f"{{{{ {place} }}}}")
