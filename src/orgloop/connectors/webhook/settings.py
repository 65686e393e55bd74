"""The `config:` maps of webhook sources and actors."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationInfo, model_validator

from orgloop.connectors.webhook.preset import preset_of, with_preset
from orgloop.connectors.webhook.urls import is_host
from orgloop.plugin import (
    AUTO,
    ENVELOPE,
    SCHEMES,
    TOLERANCE,
    Duration,
    Path,
    PathError,
    Secret,
    Secrets,
    SecretStr,
    Settings,
    Size,
    Template,
    TemplateError,
    TreeTemplate,
    dump_json,
    padded,
    refuse,
)

TEMPLATE_ROOTS: Final = ("event", "events", "launch_prompt")

_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_FIXED: Final = frozenset({"platform", "platform_event", "author_type"})
_OURS: Final = frozenset(
    {
        "content-length",
        "host",
        "transfer-encoding",
        "x-orgloop-delivery",
        "x-orgloop-attempt",
        "x-orgloop-trace",
    }
)


def _path(value: str) -> str:
    Path.parse(value)
    return value


def _dedupe_key(value: str) -> str:
    if "{{" not in value:
        return _path(value)
    try:
        template = Template.parse(value)
    except TemplateError as exc:
        refuse(exc.faults)
        raise
    if template.is_constant:
        raise ValueError("this is the same text for every body: name a value of it, such as {{ id }}")
    return value


def _event(value: str) -> str:
    if "{{" not in value:
        return _path(value)
    try:
        Template.parse(value)
    except TemplateError as exc:
        refuse(exc.faults)
    return value


def _field_name(value: str) -> str:
    if not _FIELD.fullmatch(value) or value in _FIXED:
        raise ValueError(
            f"{value!r} cannot be a field: use small letters, digits and _, but not our own names"
        )
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("this is not a URL that can be called: write http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL holds a user name or password: move them to `auth`, as type `basic`")
    if parts.port == 0:
        raise ValueError("port 0 cannot be called")
    if "{{" in value:
        raise ValueError("the URL is the same for every wake: put what differs into `body_template`")
    if _BLANK.search(value):
        raise ValueError("the URL holds a space or a line break: remove it, or write %20")
    if not is_host(parts.hostname):
        raise ValueError(f"{parts.hostname!r} is not the name of a host")
    return value


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a header name: use letters, digits and dashes")
    if value.lower() in _OURS:
        raise ValueError(f"the header {value} is set by OrgLoop: remove it here")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    if any(char in value.get_secret_value() for char in "\r\n\0"):
        raise ValueError("a header's value is one line of text")
    if "{{" in value.get_secret_value():
        raise ValueError("a header is the same for every request: it cannot hold a placeholder")
    return value


def _in_wake(text: str) -> str:
    """Of a path in what an actor gets: below `event`, or the prompt."""
    root = text.partition(".")[0]
    if root in ENVELOPE:
        return f"event.{text}"
    if root not in TEMPLATE_ROOTS:
        raise PathError(f"{text!r} is not known here: write event.payload.{text}, or launch_prompt")
    return text


def _template(value: Any) -> Any:
    try:
        TreeTemplate.parse(value, _in_wake)
    except TemplateError as exc:
        refuse(exc.faults)
    dump_json(value)
    return value


def _header(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a header name: use letters, digits and dashes")
    return value


def _scheme(value: str) -> str:
    if value not in SCHEMES:
        raise ValueError(f"{value!r} is not a scheme: use one of {', '.join(SCHEMES)}, or {{header: NAME}}")
    return value


def _split(value: str) -> str:
    return value if value in ("array", "lines") else _path(value)


HeaderName = Annotated[str, AfterValidator(_header_name)]
"""The name of a header that OrgLoop does not set itself."""

HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
"""The value of a header: it may be a secret."""

OwnSecret = Annotated[Secret | None, Field(validation_alias=AliasChoices("secret", "hmac_secret"))]
"""`secret`, which some older files call `hmac_secret`."""


class CustomSignature(Settings):
    """An HMAC of the body in a header of any name, as hex digits or base64."""

    header: Annotated[str, AfterValidator(_header)]
    """The header's name."""
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    """The hash."""

    @property
    def unsigned(self) -> str:
        """What a request hears that lacks the header."""
        return f"Missing signature: there is no header {self.header}"


class WebhookSourceSettings(Settings):
    """A source that takes JSON and forms at `/webhook/<source id>`."""

    secret: Annotated[Secrets | None, Field(validation_alias=AliasChoices("secret", "hmac_secret"))] = None
    """Verifies each request; a list takes any of several. Without it, only this machine can send."""
    signature: Annotated[str, AfterValidator(_scheme)] | CustomSignature = AUTO
    """How requests are verified: a scheme's name, or `{header, algorithm}`. `auto`: as each request says."""
    tolerance: Annotated[Duration, Field(gt=0)] = TOLERANCE
    """How far a signed time may be from now."""
    event_type_field: Annotated[str, AfterValidator(_path)] = "type"
    """Dot path of the text in the body that names the event."""
    event_type_header: Annotated[str, AfterValidator(_header)] | None = None
    """A header that names the event, instead of the body."""
    delivery_id_header: Annotated[str, AfterValidator(_header)] | None = None
    """The header with the delivery's id: the same id again is a duplicate. `Idempotency-Key` if absent."""
    delivery_id_field: Annotated[str, AfterValidator(_path)] | None = None
    """Dot path of the delivery's id in the body, if no header has it."""
    split: Annotated[str, AfterValidator(_split)] | None = None
    """`lines`, `array` or the dot path of a list: each line or element is an event of its own."""
    dedupe_key: Annotated[str, AfterValidator(_dedupe_key)] | None = None
    """Dot path or template over the body that names the fact: the same value again is a duplicate."""
    timestamp_field: Annotated[str, AfterValidator(_path)] | None = None
    """Dot path of the event's time in the body: ISO 8601, or a number of seconds or ms since 1970."""
    max_fact_age: Annotated[Duration, Field(gt=0)] | None = None
    """The highest age of that time. An older event, or one without a time, is refused."""
    path: str | None = None
    """No effect: the path is `/webhook/<source id>`."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before the sender is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""

    preset: str | None = None
    """A provider whose webhooks are known, such as `gitlab`, or a file of your own that describes one."""
    event: Annotated[str, AfterValidator(_event)] | None = None
    """A template over the body, and `header.NAME`, that names the event, instead of `event_type_field`."""
    platform: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "webhook"
    """What the events say in `provenance.platform`."""
    fields: dict[Annotated[str, AfterValidator(_field_name)], Annotated[str, AfterValidator(_event)]] = Field(
        default_factory=dict
    )
    """What else is in `provenance`: dot paths or templates over the body, and `header.NAME`."""

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("preset"), str):
            return data
        return with_preset(data, preset_of(data["preset"], info.context))

    @model_validator(mode="after")
    def _one_name(self) -> WebhookSourceSettings:
        named = self.model_fields_set & {"event_type_field", "event_type_header"}
        if self.event is not None and named:
            raise ValueError(f"`event` and `{min(named)}` both name the event: keep one of them")
        return self

    @model_validator(mode="after")
    def _time_and_age(self) -> WebhookSourceSettings:
        if self.max_fact_age is not None and self.timestamp_field is None:
            raise ValueError("`max_fact_age` needs `timestamp_field`: where the body has the event's time")
        if self.timestamp_field is not None and self.max_fact_age is None:
            raise ValueError("`timestamp_field` needs `max_fact_age`: how old that time may be, such as 3d")
        return self

    def warnings(self) -> Mapping[str, str]:
        """Space around a secret, and a time that nobody signs."""
        unsigned = "the body is not signed without `secret`, so anybody can write another time into it"
        lax = {"max_fact_age": unsigned} if self.max_fact_age is not None and self.secret is None else {}
        return {**padded(self.secret), **lax}

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"path", "buffer_dir", "max_buffer_size"})


class BearerAuth(Settings):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    """`bearer`."""
    token: Annotated[Secret, AfterValidator(_header_value)]
    """The token."""


class BasicAuth(Settings):
    """`Authorization: Basic ...`."""

    type: Literal["basic"]
    """`basic`."""
    username: Annotated[str, Field(pattern=r"^[^:]*$")]
    """The user's name, without a colon."""
    password: SecretStr
    """The password."""


Auth = Annotated[BearerAuth | BasicAuth, Field(discriminator="type")]
"""How a request shows who sends it."""


def private_headers(headers: Mapping[str, SecretStr], auth: BearerAuth | BasicAuth | None) -> dict[str, str]:
    """The headers that only the configured origin may see."""
    private = {name: value.get_secret_value() for name, value in headers.items()}
    match auth:
        case BearerAuth(token=token):
            private["Authorization"] = f"Bearer {token.get_secret_value()}"
        case BasicAuth(username=username, password=password):
            pair = f"{username}:{password.get_secret_value()}".encode()
            private["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        case None:
            pass
    return private


class WebhookActorSettings(Settings):
    """An actor that sends each wake to a URL."""

    url: Annotated[str, AfterValidator(_url), Field(repr=False)]
    """Where to send: http or https."""
    method: Annotated[
        Literal["POST", "PUT"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "POST"
    """`POST` or `PUT`."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """More headers. `Content-Type` may be set here; it is `application/json` otherwise."""
    auth: Auth | None = None
    """`{type: bearer, token}` or `{type: basic, username, password}`."""
    body_template: Annotated[Any, AfterValidator(_template)] = None
    """The body, with templates over `event` and `launch_prompt`; `{event, launch_prompt}` otherwise."""
    secret: OwnSecret = None
    """Signs the body: `X-Hub-Signature-256: sha256=<hex HMAC-SHA256>`."""
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """How long to wait for the answer. The route's `delivery.timeout` bounds it in any case."""
    idempotency_header: HeaderName = "Idempotency-Key"
    """The header that carries the idempotency key."""

    def warnings(self) -> Mapping[str, str]:
        """A text with more in it than one placeholder, which many take for the body as it is sent."""
        if not isinstance(self.body_template, str):
            return {}
        template = Template.parse(self.body_template)
        if template.paths and len(template.parts) == 1:
            return {}
        return {
            "body_template": "is sent as one JSON text, in quotes: write a map, and it is sent as an object"
        }

    @model_validator(mode="after")
    def _one_meaning_each(self) -> WebhookActorSettings:
        given = [name.lower() for name in self.headers]
        taken = {self.idempotency_header.lower(): "`idempotency_header`"}
        if self.auth is not None:
            taken["authorization"] = "`auth`"
        if self.secret is not None:
            taken["x-hub-signature-256"] = "`secret`"
        for name in given:
            if name in taken:
                raise ValueError(f"the header {name} is set by {taken[name]} too: keep one of them")
            if given.count(name) > 1:
                raise ValueError(f"the header {name} is written twice")
        return self
