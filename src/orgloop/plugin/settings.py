"""Settings of a plugin: one pydantic model that parses, lints and documents its `config:` map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from orgloop.core.units import parse_duration, parse_size


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


Duration = Annotated[int, BeforeValidator(_duration), Field(ge=0, json_schema_extra={"type": "string"})]
"""`5m` in YAML, milliseconds in Python."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0, json_schema_extra={"type": "string"})]
"""`10MB` in YAML, bytes in Python."""

ProjectPath = Annotated[Path, BeforeValidator(_resolve)]
"""A path in YAML; relative ones are looked for beside the file that names them, then in the project."""

__all__ = ["Duration", "ProjectPath", "SecretStr", "Settings", "Size"]
