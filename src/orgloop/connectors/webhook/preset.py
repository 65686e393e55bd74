"""Presets: what a source has to know of a provider's webhooks, as a YAML file of settings.

A file in `presets` is a preset of that name; a project may have its own. Each has a real request as a sample,
and the events that come of it, so that a test needs no code for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from orgloop.plugin import Fault, ProjectPath, Settings, nearest_name, refuse

MOST_BYTES: Final = 256 * 1024
KEYS: Final = frozenset(
    {
        "signature",
        "tolerance",
        "event_type_field",
        "event_type_header",
        "delivery_id_header",
        "delivery_id_field",
        "split",
        "dedupe_key",
        "event",
        "platform",
        "fields",
    }
)
"""Settings that a preset may have: all that are the provider's, and none that are yours."""

_NAMING: Final = frozenset({"event", "event_type_field", "event_type_header"})


class Sample(Settings):
    """A request as the provider sends it, without the value of its signature."""

    headers: dict[str, str] = Field(default_factory=dict)
    """Its headers."""
    signed_by: Annotated[str, Field(min_length=1)]
    """The header by which the provider proves that it is the sender."""
    body: Any
    """Its body."""


class Preset(Settings):
    """What a file says."""

    title: Annotated[str, Field(min_length=1)]
    """What it is for."""
    setup: tuple[str, ...] = ()
    """How to set the webhook up, step by step."""
    events: tuple[str, ...] = ()
    """Names of events that come, as far as they are known."""
    settings: dict[str, Any]
    """Settings of a webhook source."""
    sample: Sample
    """A request."""
    becomes: tuple[dict[str, Any], ...]
    """The events that come of it: `provenance` and `key` of each."""


@cache
def names() -> tuple[str, ...]:
    """The presets that come with OrgLoop."""
    return tuple(sorted(file.name[:-5] for file in _place().iterdir() if file.name.endswith(".yaml")))


@cache
def built_in(name: str) -> Preset:
    """One of `names`."""
    return _read((_place() / f"{name}.yaml").read_bytes(), f"{name}.yaml")


def preset_of(value: str, context: Mapping[str, Any] | None) -> Preset:
    """The preset of this name, or in this file of the project. Raises ValidationError at `preset`."""
    if value in names():
        return built_in(value)
    if "/" not in value and not value.endswith((".yaml", ".yml")):
        near = nearest_name(value, list(names()))
        meant = f"; did you mean {near}?" if near else ""
        _no(f"there is no preset {value[:100]!r}{meant} There are {', '.join(names())}; or name a file")
    path: Path = TypeAdapter(ProjectPath).validate_python(value, context=dict(context or {}))
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as exc:
        _no(f"{path} cannot be read: {exc.strerror}")
        raise
    if len(text) > MOST_BYTES:
        _no(f"{path} is larger than {MOST_BYTES >> 10} KB")
    return _read(text, str(path))


def with_preset(data: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """The settings with what the preset adds. What the source says itself goes before it."""
    added = dict(preset.settings)
    if _NAMING & data.keys():
        added = {key: value for key, value in added.items() if key not in _NAMING}
    own = data.get("fields")
    if isinstance(own, Mapping) and isinstance(added.get("fields"), Mapping):
        return {**added, **data, "fields": {**added["fields"], **own}}
    return {**added, **data}


def _place() -> Any:
    return files("orgloop.connectors.webhook") / "presets"


def _read(text: bytes, name: str) -> Preset:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(text.decode())
        preset = Preset.model_validate(data)
    except (YAMLError, UnicodeDecodeError) as exc:
        _no(f"{name} is not YAML: {' '.join(str(exc).split())[:300]}")
        raise
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "it"
        _no(f"{name} is not a preset: {place}: {first['msg']}")
        raise
    if unknown := sorted(preset.settings.keys() - KEYS):
        _no(f"{name} is not a preset: settings.{unknown[0]} is none of {', '.join(sorted(KEYS))}")
    return preset


def _no(message: str) -> None:
    refuse([Fault(message=message, at=("preset",))])
