"""JSON bodies of outside requests, read and written in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from orgloop.errors import Refused

MAX_DEPTH: Final = 200
"""How deep a body may nest. An event wraps its payload, and transforms may wrap that."""

MOST_WRITTEN: Final = 254
"""Levels at which orjson, with which the journal is written, stops."""

_BOM: Final = b"\xef\xbb\xbf"


def parse_json(body: bytes) -> Any:
    """The value of a JSON document in UTF-8.

    Raises Refused (400): the body is empty, is not JSON (the message names line and column), or
    nests deeper than MAX_DEPTH.
    """
    text = body.removeprefix(_BOM)
    if not text.strip():
        raise Refused("The body is empty", hint="send one JSON document")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise _not_json(text, exc) from exc
    if _is_deep(text, value):
        raise _too_deep()
    return value


def dump_json(value: object) -> bytes:
    """Compact JSON. Raises ValueError for what JSON cannot hold."""
    try:
        return orjson.dumps(value, default=_plain)
    except orjson.JSONEncodeError as exc:
        raise ValueError(f"this cannot be written as JSON: {exc}") from exc


def _not_json(text: bytes, exc: orjson.JSONDecodeError) -> Refused:
    if "depth" in exc.msg or "recursion" in exc.msg.lower():
        return _too_deep()
    what, line, column = exc.msg, exc.lineno, exc.colno
    try:
        text.decode()
    except UnicodeDecodeError as broken:
        what = "not UTF-8"
        line = text.count(b"\n", 0, broken.start) + 1
        column = broken.start - text.rfind(b"\n", 0, broken.start)
    return Refused(
        f"Invalid JSON payload: {what} at line {line}, column {column}",
        hint="send one JSON document, encoded as UTF-8",
    )


def _too_deep() -> Refused:
    return Refused(
        f"Invalid JSON payload: it nests deeper than {MAX_DEPTH} levels", hint="flatten the document"
    )


def _is_deep(text: bytes, value: object) -> bool:
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    # Whoever writes JSON counts its levels anyway, and far faster than a walk over the value could.
    for _ in range(MOST_WRITTEN - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
