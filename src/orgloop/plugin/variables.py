"""Variables that a run gets: their names and values, as settings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator

from orgloop.plugin.settings import SecretStr

ARGUMENT_LIMIT: Final = 100_000
"""Bytes of one argument or variable. Linux takes 128 KiB of each."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a variable: use letters, digits and _")
    return name


def _own_variable(name: str) -> str:
    if name.startswith("ORGLOOP_"):
        raise ValueError(f"{name} is set by OrgLoop: choose a name that does not begin with ORGLOOP_")
    return name


def _as_text(value: Any) -> Any:
    """Numbers and booleans as YAML writes them: `PORT: 8080` means the text 8080."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _sayable(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if "\0" in text or len(text.encode("utf-8", "replace")) > ARGUMENT_LIMIT:
        raise ValueError(f"cannot be a variable's value: it has a NUL, or more than {ARGUMENT_LIMIT} bytes")
    return value


VariableName = Annotated[str, AfterValidator(_variable)]
"""The name of a variable."""

OwnVariableName = Annotated[VariableName, AfterValidator(_own_variable)]
"""The name of a variable that a project may set."""

VariableValue = Annotated[
    SecretStr,
    AfterValidator(_sayable),
    BeforeValidator(_as_text, json_schema_input_type=str | int | float | bool),
]
"""Its value, which never prints."""
