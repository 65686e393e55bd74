"""What agents write: JSON objects, one a line, of which any member may be missing or of another kind."""

from __future__ import annotations

import re
from typing import Final

from orgloop.plugin import Json, NotJson, load_json, number_at

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


def amount(line: Json, key: str) -> int | float | None:
    """The number under `key`, from 0 on: what was used, what it cost, how long to wait."""
    return number_at(line, key, least=0)


def version_of(words: str) -> tuple[int, ...] | None:
    """The version that these words begin with."""
    found = _VERSION.match(words.strip())
    return tuple(int(number) for number in found.groups()) if found is not None else None
