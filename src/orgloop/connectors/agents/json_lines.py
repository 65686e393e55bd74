"""What agents write: JSON objects, one a line, of which any member may be missing or of another kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.plugin import NotJson, load_json

Json = Mapping[str, Any]

_VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")

_TRIES: Final = 8
"""Places in a line where its JSON may begin; a longer search would take the square of its length."""


def parse(raw: str) -> Json | None:
    """The JSON object of a line, or None. Terminal sequences or half of another line may stand around it."""
    begin, end = raw.find("{"), raw.rfind("}") + 1
    for _ in range(_TRIES):
        if not 0 <= begin < end:
            return None
        try:
            line = load_json(raw[begin:end])
        except NotJson:
            begin = raw.find("{", begin + 1)
        else:
            return line if isinstance(line, dict) else None
    return None


def text(holder: Json, key: str) -> str:
    """The text under `key`; empty if it is not there or is no text."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def number(holder: Json, key: str) -> float | None:
    """The number under `key`, from 0 on; None if it is not there or is no such number."""
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def part(holder: Json, key: str) -> Json:
    """The map under `key`; empty if it is not there or is no map."""
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def items(holder: Json, key: str) -> Sequence[Any]:
    """The list under `key`; empty if it is not there or is no list."""
    value = holder.get(key)
    return value if isinstance(value, list) else ()


def version_of(words: str) -> tuple[int, ...] | None:
    """The version that these words begin with."""
    found = _VERSION.match(words.strip())
    return tuple(int(number) for number in found.groups()) if found is not None else None
