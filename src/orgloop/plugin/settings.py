"""Settings of a plugin: one pydantic model that parses, lints and documents its `config:` map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from orgloop.core.events.event import EventType
from orgloop.core.events.fields import Path as FieldPath
from orgloop.core.events.fields import in_event
from orgloop.core.events.match import is_glob, near_miss
from orgloop.core.events.templates import Fault
from orgloop.core.text.units import parse_duration, parse_size

KEY: Final = "[key]"
"""The last step of a place that is the key of a map, and not the value there."""

LARGEST: Final = 2**53
"""The largest whole number that is a setting."""


class Settings(BaseModel):
    """Base of every plugin's settings.

    Unknown keys are errors with the nearest known key. A field that is accepted for the sake of
    older files but has no effect names itself in `without_effect`; it warns. Secrets are
    `SecretStr` and never print.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="after")
    def _counts(self) -> Self:
        """Values that events are compared with may be of any size; settings count something."""
        too_large = (
            name
            for name, value in self.__dict__.items()
            if type(value) is int and not -LARGEST <= value <= LARGEST
        )
        refuse(Fault(message=f"must be at most {LARGEST}", at=(name,)) for name in too_large)
        return self

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        """Keys that are accepted, warn, and do nothing."""
        return frozenset()

    @classmethod
    def not_yet(cls) -> frozenset[str]:
        """Keys whose meaning is fixed, but that nothing acts on yet: errors that say so."""
        return frozenset()

    @classmethod
    def meanwhile(cls) -> Mapping[str, str]:
        """For keys without effect, or not yet supported: what to do until they work."""
        return {}

    def warnings(self) -> Mapping[str, str]:
        """What works and should still not go without a word: by key (a dot path), what to think of."""
        return {}

    def missing(self) -> Mapping[str, str]:
        """What the settings name and that is not there now: by key, what is missing. It may come yet."""
        return {}


def _duration(value: Any, info: ValidationInfo) -> Any:
    _require_unit(value, info, "a duration such as 30s, 5m or 24h", "one of ms, s, m, h, d", "s")
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: Any, info: ValidationInfo) -> Any:
    _require_unit(value, info, "a size such as 512KB or 10MB", "one of B, KB, MB, GB", "MB")
    return parse_size(value) if isinstance(value, str) else value


def _require_unit(value: Any, info: ValidationInfo, form: str, units: str, usual: str) -> None:
    """Raises ValueError for a number out of a file, where nobody can tell what it counts."""
    if isinstance(value, bool):
        raise ValueError(f"must be {form}, not true or false")
    if isinstance(value, int | float) and info.context:
        raise ValueError(f"{value} has no unit: write {units} behind it, such as {value}{usual}")


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """Against the YAML file's directory, then the project's: `context` holds both."""
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise ValueError("must be a path, without NUL")
    path = Path(value).expanduser()
    context = info.context or {}
    bases = [Path(base) for base in (context.get("base"), context.get("project")) if base is not None]
    if path.is_absolute() or not bases:
        return path
    return next((base / path for base in bases if (base / path).exists()), bases[0] / path)


def misspelt_events(events: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    """For `warnings`: the first name in the setting `events` that is nearly a known one, or one of ours."""
    names = (*known, *EventType)
    for name in events:
        if not is_glob(name) and (meant := near_miss(name, names)):
            return {"events": f"has a slip: `{name}` is not a known event; write `{meant}`"}
    return {}


def refuse(faults: Iterable[Fault]) -> None:
    """Raises ValidationError with all of `faults`, each at its place `at` in the value, if there are any."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(
                "value_error", "{error}", {"error": one.message, "written": one.written}
            ),
            loc=one.at,
            input=None,
        )
        for one in faults
    ]
    if details:
        raise ValidationError.from_exception_data("settings", details)


def _event_path(value: str) -> str:
    FieldPath.parse(value, in_event)
    return value


def require_api_url(value: str, *, form: str, secret: str) -> str:
    """The URL of an API, to which a secret of this kind goes; `form` is a right one. Raises ValueError."""
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ValueError(f"{value!r} is not the URL of an API: write {form}")
    if url.scheme == "http" and url.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"must begin with https://: the {secret} goes there")
    return value


def require_one_word(value: SecretStr, *, secret: str) -> SecretStr:
    """A secret of this kind that a header can carry. Raises ValueError."""
    text = value.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"is not a {secret}: it must be of letters, digits and signs, without spaces")
    return value


EventPath = Annotated[str, AfterValidator(_event_path)]
"""A dot path in the event."""

Duration = Annotated[int, BeforeValidator(_duration), Field(ge=0, json_schema_extra={"type": "string"})]
"""`5m` in YAML, milliseconds in Python."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0, json_schema_extra={"type": "string"})]
"""`10MB` in YAML, bytes in Python."""

ProjectPath = Annotated[Path, BeforeValidator(_resolve)]
"""A path in YAML; relative ones are looked for beside the file that names them, then in the project."""

__all__ = [
    "KEY",
    "Duration",
    "EventPath",
    "ProjectPath",
    "SecretStr",
    "Settings",
    "Size",
    "refuse",
    "require_api_url",
    "require_one_word",
]
