"""`dedup`: an event passes only if it is the first with its key within a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from orgloop.plugin import (
    Duration,
    Pass,
    Path,
    Reading,
    Scope,
    Settings,
    Template,
    TemplateError,
    TransformPlugin,
    identity,
    in_event,
    is_missing,
    no_value,
)

DEFAULT_KEY: Final = ("source", "type", "id")


def _key_path(value: str) -> str:
    if value.count("{{") > 1:
        with suppress(TemplateError):
            paths = ", ".join(map(str, Template.parse(value, in_event).paths))
            raise ValueError(f"{value!r} is a template, but this key takes a list of paths: write [{paths}]")
    Path.parse(value, in_event)
    return value


KeyPath = Annotated[str, AfterValidator(_key_path)]
"""A dot path whose value is a part of a key."""


class DedupSettings(Settings):
    """What makes two events the same, and for how long."""

    key: list[KeyPath] | KeyPath | None = None
    """Dot paths whose values together are the key: a list, or one. `[source, type, id]` if absent."""
    fields_: list[KeyPath] | KeyPath | None = Field(default=None, alias="fields")
    """Another name for `key`."""
    key_fields: list[KeyPath] | KeyPath | None = None
    """Another name for `key`."""
    window: Duration = Field(default=300_000, gt=0)
    """How long a key is remembered, from the acceptance of the event that passed."""
    store: Literal["memory"] = "memory"
    """Without effect: keys are remembered in the journal and survive a restart."""
    track_delivery: bool = False
    """Without effect: a delivery never meets itself again, however often it is tried."""

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"store", "track_delivery"})

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if len(self._written()) > 1:
            raise ValueError("`key`, `fields` and `key_fields` mean the same: keep `key`")
        if not self.paths:
            raise ValueError("`key` is empty: name at least one path, such as provenance.resource_id")
        return self

    @property
    def paths(self) -> list[str]:
        """The dot paths, whichever way they were written."""
        written = next(iter(self._written()), list(DEFAULT_KEY))
        return [written] if isinstance(written, str) else written

    def _written(self) -> list[list[str] | str]:
        return [one for one in (self.key, self.fields_, self.key_fields) if one is not None]


class Dedup:
    """The open step. The journal remembers; this only says what."""

    bounded = True

    def __init__(self, settings: DedupSettings) -> None:
        self._paths = [Path.parse(path) for path in settings.paths]
        self._window_ms = settings.window

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> Pass:
        values = [path.get(document) for path in self._paths]
        absent = [str(path) for path, value in zip(self._paths, values, strict=True) if is_missing(value)]
        if absent:
            # Half a key would make one of events that have nothing to do with each other.
            return Pass(no_key=no_value(absent))
        # With the paths: of two steps in one route, the author of the one is not the reviewer of the other.
        pairs = zip(self._paths, values, strict=True)
        key = "\0".join([f"{path}\0{identity(value)}" for path, value in pairs])
        return Pass(once=sha256(key.encode("utf-8", "surrogatepass")).hexdigest(), window_ms=self._window_ms)

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> Pass:
        return self.apply_now(document, scope)

    async def close(self) -> None:
        """Nothing is open."""


def _reads(settings: DedupSettings) -> list[Reading]:
    key = next((name for name in ("key", "key_fields") if getattr(settings, name) is not None), "fields")
    return [Reading(path=Path.parse(path), at=(key,), needed=True) for path in settings.paths]


transform = TransformPlugin(
    name="dedup",
    title="Drop repeated events, by a key",
    settings=DedupSettings,
    open=Dedup,
    reads=_reads,
    changes=lambda _: False,
)
