"""What a target's answer, or its silence, means for a wake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from orgloop.connectors.webhook.urls import origin
from orgloop.plugin import (
    DAY,
    SECOND,
    Delivered,
    DeliverOutcome,
    HttpFailed,
    HttpReply,
    Rejected,
    Retry,
    Throttled,
    Unavailable,
)

MAX_WAIT: Final = DAY
"""The longest Retry-After that is honoured, in milliseconds."""

_SHOWN: Final = 200
_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def outcome_of(reply: HttpReply, now: int) -> DeliverOutcome:
    """The outcome of a wake whose target answered at `now` (ms since 1970)."""
    line = status_line(reply)
    wait = retry_after(reply.headers, now)
    match reply.status:
        case status if 200 <= status < 300:
            return Delivered(detail=line)
        case 408 | 425 | 429:
            return Throttled(until=wait, reason=line) if wait else Retry(reason=line)
        case 503 if wait:
            return Throttled(until=wait, reason=line)
        case 502 | 503:
            return Unavailable(reason=line)
        case 504:
            return Retry(reason=f"{line}: the target may have got it", known=False)
        case status if 300 <= status < 400:
            return Rejected(reason=f"{line}: a redirect cannot be followed{_where(reply)}")
        case status if 400 <= status < 500:
            return Rejected(reason=_with_text(line, reply.body))
        case _:
            return Retry(reason=_with_text(line, reply.body), after_ms=wait - now if wait else None)


def failure_of(failed: HttpFailed) -> DeliverOutcome:
    """The outcome of a wake that got no answer."""
    if failed.sent:
        return Retry(reason=failed.reason, known=False)
    return Unavailable(reason=failed.reason)


def status_line(reply: HttpReply) -> str:
    """`404 Not Found`."""
    if reply.reason:
        return f"{reply.status} {reply.reason}"
    known = {status.value: status.phrase for status in HTTPStatus}
    return f"{reply.status} {known.get(reply.status, '')}".rstrip()


def retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """When the target wants to be asked again: ms since 1970, at least a second and at most a day away.

    None without the header, or if it cannot be read.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        wait = int(float(value) * SECOND)
    else:
        try:
            date = parsedate_to_datetime(value)
            wait = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp() * SECOND) - now
        except (ValueError, OverflowError):
            return None
    return now + min(max(wait, SECOND), MAX_WAIT)


def _where(reply: HttpReply) -> str:
    """Only the origin: the rest is often the path of `url` once more, which can be a secret."""
    location = reply.headers.get("location", "")
    if not location:
        return ""
    try:
        place = origin(location) if urlsplit(location).hostname else "another path of the same host"
    except ValueError:
        place = "something that is not a URL"
    return f"; it leads to {_one_line(place.encode('utf-8', 'replace'))}: set `url` to the right place"


def _with_text(line: str, body: bytes) -> str:
    text = _one_line(body)
    return f"{line}: {text}" if text else line


def _one_line(body: bytes) -> str:
    text = body[: 4 * _SHOWN].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_SHOWN]
