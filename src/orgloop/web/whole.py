"""Webhooks that come as a whole: head and body in one packet, and nothing in them that needs a thought.

Nearly all that senders on a kept-alive connection send looks so. By way of aiohttp such a request takes
1.85 times the CPU time (`python -m bench techniques`). What is written in any other way is left to aiohttp,
and both ways answer the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

MOST_HEAD: Final = 4096
"""Bytes of a head that is read here."""

_LINE: Final = rb"[A-Za-z][A-Za-z0-9-]*: [\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\r\n"
_HEAD: Final = re.compile(
    rb"POST /webhook/([A-Za-z0-9][A-Za-z0-9_-]*) HTTP/1\.1\r\n((?:" + _LINE + rb"){1,60})\r\n"
)
_LENGTH: Final = re.compile(r"[1-9][0-9]{0,5}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?")
_NOT_OURS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that change how a request is read, or what becomes of its connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """A request to `/webhook/{source}`."""

    source: str
    headers: CIMultiDict[str]
    body: bytes
    peer: str


def read_whole(data: bytes, most: int, peer: str) -> Whole | None:
    """The request that `data` is, if its body has at most `most` bytes. None: let aiohttp read it."""
    if len(data) > MOST_HEAD + most:
        return None
    head = _HEAD.match(data, 0, MOST_HEAD)
    if head is None:
        return None
    source, block = head.groups()
    headers: CIMultiDict[str] = CIMultiDict()
    for line in block.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        lower = name.lower()
        if lower in _NOT_OURS or lower in headers or lower.startswith("sec-websocket"):
            return None
        headers[name] = value
    if not _HOST.fullmatch(headers.get("host", "")):
        return None
    length, begins = headers.get("content-length", ""), head.end()
    if not _LENGTH.fullmatch(length) or not int(length) == len(data) - begins <= most:
        return None
    return Whole(source=source.decode("ascii"), headers=headers, body=data[begins:], peer=peer)


_ACCEPTED: Final = (
    b"HTTP/1.1 200 OK\r\nServer: orgloop\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nDate: %s\r\n\r\n"
)


def json_ok(body: bytes) -> bytes:
    """A whole answer of status 200 with this JSON, as `json_answer` has it."""
    return _ACCEPTED % (len(body), rfc822_formatted_time().encode("ascii")) + body


_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def rendered(answer: web.Response) -> bytes:
    """Any other answer, as aiohttp would send it. Raises ValueError if a header cannot be sent."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if "Content-Length" not in answer.headers:
        lines.append(f"Content-Length: {len(body)}")
    lines.append(f"Date: {rfc822_formatted_time()}")
    if answer.keep_alive is False:
        lines.append("Connection: close")
    if any(_CONTROL.search(line) for line in lines):
        raise ValueError("a header of the answer has a control character")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body
