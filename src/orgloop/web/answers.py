"""Answers: JSON, and every error as `{ok, error, hint}` with the status that it deserves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from orgloop.core.text.json_text import dump_json
from orgloop.errors import (
    ConfigError,
    Conflict,
    JournalError,
    NotFound,
    OrgLoopError,
    Overloaded,
    PluginError,
    Refused,
)

JSON: Final = "application/json"

_OWN: Final = {"Server": "orgloop", "X-Content-Type-Options": "nosniff"}

_BODY_UNREAD: Final = frozenset({408, 413})
"""After these, more of a body that nobody wants may come: the connection ends."""


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`content` as JSON, in a line: what curl prints ends before the next prompt."""
    return plain_answer(dump(content) + b"\n", JSON, status, headers)


def plain_answer(
    body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`body` as it is. Says nothing of the software that runs here."""
    own = CIMultiDict(_OWN)
    own["Content-Type"] = content_type
    if headers:
        own.update(headers)
    return web.Response(body=body, status=status, headers=own)


def dump(content: Any) -> bytes:
    """Compact JSON. What is no character, as a header or a path may hold, reads as U+FFFD."""
    return dump_json(content, default=_fields)


def _fields(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(f"{type(value).__name__} is not JSON")


def error_answer(exc: OrgLoopError) -> web.Response:
    """What went wrong, as the caller should hear it."""
    content: dict[str, Any] = {"ok": False, "error": exc.message}
    if exc.hint:
        content["hint"] = exc.hint
    if isinstance(exc, ConfigError) and exc.findings:
        content["findings"] = list(exc.findings)
    answer = json_answer(content, status_of(exc), _headers(exc))
    if answer.status in _BODY_UNREAD:
        answer.force_close()
    return answer


def status_of(exc: OrgLoopError) -> int:
    """The HTTP status of an error."""
    match exc:
        case Refused(status=status):
            return status
        case NotFound():
            return 404
        case Conflict():
            return 409
        case ConfigError() | PluginError():
            return 422
        case Overloaded() | JournalError():
            return 503
        case _:
            return 500


def _headers(exc: OrgLoopError) -> dict[str, str] | None:
    match exc:
        case MethodRefused(allow=allow):
            return {"Allow": allow}
        case Refused(status=405):
            return {"Allow": "POST"}
        case TokenRefused():
            return {"WWW-Authenticate": "Bearer"}
        case TooManyGuesses():
            return {"Retry-After": "1"}
        case Overloaded(retry_after=seconds):
            return {"Retry-After": str(seconds)}
        case JournalError():
            return {"Retry-After": "1"}
        case _:
            return None


class MethodRefused(Refused):
    """The path exists, but not for this method. `allow` is the one that it takes."""

    def __init__(self, method: str, path: str, *, allow: str) -> None:
        super().__init__(
            f"Method not allowed: {method} {path}", hint=f"use {allow} for this path", status=405
        )
        self.allow = allow


class TokenRefused(Refused):
    """The daemon's token is missing, or another: the one way to be let in that HTTP has a word for."""


class TooManyGuesses(Refused):
    """The daemon's token is wrong again and again."""
