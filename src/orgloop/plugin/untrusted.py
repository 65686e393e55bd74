"""JSON that somebody else wrote: any member may be missing, or of another kind than was expected.

One rule for all of it: what is not of the expected kind counts as missing. A number is finite, and a whole
one fits in 64 bits. Texts, lists and objects are as large as the document that holds them: its size is
bounded where it comes in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from orgloop.core.text.json_text import parse_json
from orgloop.errors import Refused

Json = Mapping[str, Any]
"""A JSON object."""

LARGEST: Final = 2**63 - 1
"""The largest whole number: more does not fit in 64 bits."""


def parse_object(body: bytes, *, hint: str) -> Json:
    """The JSON object that a request's body is. Raises Refused (400) for everything else, with this hint."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise Refused("Invalid JSON payload: it is not an object", hint=hint)
    return document


def object_at(data: Json, *keys: str) -> Json:
    """The object at these keys, one inside the other; empty if there is none."""
    node: Any = data
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def text_at(data: Json, key: str, default: str = "") -> str:
    """The text at `key`, or `default` for anything else."""
    value = data.get(key)
    return value if isinstance(value, str) else default


def number_at(data: Json, key: str, *, least: float = -math.inf) -> int | float | None:
    """The finite number at `key`, from `least` on: an int if whole and in 64 bits, else a float."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not (math.isfinite(number) and least <= number):
        return None
    whole = int(value) if abs(number) < 2 * LARGEST else 0
    return whole if whole == value and abs(whole) <= LARGEST else number


def integer_at(data: Json, key: str) -> int | None:
    """The whole number at `key`."""
    value = number_at(data, key)
    return value if isinstance(value, int) else None


def objects_at(data: Json, key: str) -> list[Json]:
    """The objects in the list at `key`."""
    return [item for item in _items(data, key) if isinstance(item, dict)]


def texts_at(data: Json, key: str) -> list[str]:
    """The texts in the list at `key`."""
    return [item for item in _items(data, key) if isinstance(item, str)]


def _items(data: Json, key: str) -> Sequence[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else ()
