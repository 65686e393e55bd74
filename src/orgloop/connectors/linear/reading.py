"""Reads Linear's JSON without trusting its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


def part(data: Body, *keys: str) -> Body:
    """The object at these keys; empty if there is none."""
    node: Any = data
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def text(data: Body, key: str, default: str = "") -> str:
    """The text at `key`, or `default` for anything else."""
    value = data.get(key)
    return value if isinstance(value, str) else default


def number(data: Body, key: str) -> int | float | None:
    """The number at `key`; a whole one is an int."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def objects(data: Body, key: str) -> list[Body]:
    """The objects in the list at `key`."""
    items = data.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def texts(data: Body, key: str) -> list[str]:
    """The texts in the list at `key`."""
    items = data.get(key)
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []


def name_of(data: Body, key: str) -> str | None:
    """The name of the thing at `key`; None if there is no such thing."""
    return text(part(data, key), "name") or None
