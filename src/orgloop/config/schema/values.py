"""Kinds of values in the files."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from orgloop.core.text.units import Rate, parse_duration, parse_rate, parse_size


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit: write one of ms, s, m, h, d behind it, such as {value}s")
    return parse_duration(value) if isinstance(value, str) else value


def _rate(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no time: write /s, /m or /h behind it, such as {value}/s")
    return parse_rate(value) if isinstance(value, str) else value


def _size(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit: write one of KB, MB, GB behind it, such as {value}MB")
    return parse_size(value) if isinstance(value, str) else value


def no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


_DURATION_JSON: Final = WithJsonSchema({"type": "string", "examples": ["30s", "5m", "24h", "7d"]})
Milliseconds = Annotated[int, Field(gt=0), BeforeValidator(_duration), _DURATION_JSON]
"""A duration such as `5m`, above zero, in milliseconds."""

Bytes = Annotated[
    int, Field(gt=0), BeforeValidator(_size), WithJsonSchema({"type": "string", "examples": ["100MB", "2GB"]})
]
"""A size such as `100MB`, above zero, in bytes."""

RateText = Annotated[
    Rate, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ["100/s", "60/m", "10/h"]})
]
"""How many in which time, such as `100/s`."""

Count = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(no_bool)]
"""A whole number from 1."""

Tokens = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(no_bool)]
"""A number of tokens, from 1."""

Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(no_bool)]
"""US dollars, above zero."""


def _account_name(name: str) -> str:
    if not _ACCOUNT.fullmatch(name):
        raise ValueError("must have 1 to 100 letters, digits and . _ - @, and begin with a letter or digit")
    return name


_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")

AccountName = Annotated[str, AfterValidator(_account_name)]
"""What an account is called in files and commands."""
