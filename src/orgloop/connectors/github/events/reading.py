"""Reads GitHub's JSON without trusting its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

UNKNOWN: Final = "unknown"


def part(data: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The object at these keys; empty if there is none."""
    node: Any = data
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def first(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The first object of the list at `key`; empty if there is none."""
    items = data.get(key)
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def text(data: Mapping[str, Any], key: str, default: str = "") -> str:
    """The text at `key`, or `default` for anything else."""
    value = data.get(key)
    return value if isinstance(value, str) else default


def number(data: Mapping[str, Any], key: str) -> int | None:
    """The whole number at `key`."""
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def login(user: Mapping[str, Any]) -> str:
    """A user's login; `unknown` for a deleted account."""
    return text(user, "login") or UNKNOWN


def labels(data: Mapping[str, Any]) -> list[str]:
    """The names of an issue's or pull request's labels."""
    items = data.get("labels")
    names = (
        [text(item, "name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    )
    return [name for name in names if name]
