"""What a sender who means harm may send: requests, documents and beginnings. Seeded, and without an end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

from tests.attack.test_requests import CASES

_POST: Final = b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"

SLOW: Final = (
    b"",
    b"POST /webhook/hooks HTTP/1.1\r\nHost: loc",
    _POST % 1_000 + b"{",
    _POST % 1_000_000 + b"a" * 300_000,
    b"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    _POST % 2 + b"{}" + _POST % 9 + b"{",
)
"""What is sent before nothing more comes."""

_LONG: Final = 20_000

_TEXTS: Final = (
    "<" + " " * _LONG,
    "<!--" * (_LONG // 4),
    "<!" * (_LONG // 2) + "-->",
    "~" * _LONG + "`",
    "`" * _LONG,
    "```" + "\n```" * 2_000,
    "a" * _LONG + "!",
    "a" * 30 + " " + "b" * _LONG,
    " " * _LONG + "x",
    "\n" * _LONG,
    "{{" * (_LONG // 2),
    "{{payload." * 2_000,
    "\u202e" * _LONG,
    "\u200b" * _LONG,
    "\u0301" * _LONG,
    "\x00" * 1_000,
    "\x1b[31m" * 4_000,
    "\r\n" * (_LONG // 2),
    "\uffff\ufffe\ufdd0",
    "\U000e0041" * 5_000,
    "💥" * 5_000,
    "=1+1",
    "$(id) `id` ${IFS}",
    "-rf",
    "../../../../etc/passwd",
    "\u212a\u017f\u0130",
)

_RAW: Final = (
    b'{"id": 123456789012345678901234567890, "text": 1}',
    b'{"id": 1e400, "text": -1e400}',
    b'{"id": ' + b"9" * 4_000 + b"}",
    b'{"text": "cut \\ud83d"}',
    b'{"a": 1, "a": 2}',
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"[" * 5_000,
    b'{"text": "\xff"}',
    b'{"type": null}',
    b'{"type": {"type": []}, "id": []}',
    b"[]",
    b'"text"',
    b"0",
)


def requests() -> Iterator[bytes]:
    """Requests of which each is wrong in one way."""
    for request, _ in CASES.values():
        yield request


def mutations(seeds: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """So many requests, each made of others by a few cuts, repetitions and exchanges of bytes."""
    changes: tuple[Callable[[bytearray, Random], None], ...] = (_flip, _cut, _repeat, _insert)
    small = [seed for seed in seeds if len(seed) < 4_000]
    for _ in range(count):
        request = bytearray(random.choice(small))
        for _ in range(random.randint(1, 4)):
            random.choice(changes)(request, random)
        yield bytes(request)


def _place(request: bytearray, random: Random) -> int:
    return random.randrange(len(request) or 1)


def _flip(request: bytearray, random: Random) -> None:
    if request:
        request[_place(request, random)] = random.randrange(256)


def _cut(request: bytearray, random: Random) -> None:
    at = _place(request, random)
    del request[at : at + random.randint(1, 20)]


def _repeat(request: bytearray, random: Random) -> None:
    at = _place(request, random)
    request[at:at] = request[at : at + random.randint(1, 40)] * random.randint(1, 20)


def _insert(request: bytearray, random: Random) -> None:
    at = _place(request, random)
    request[at:at] = random.choice([b"\r\n", b"\n", b"\0", b":", b" ", b"\xff", b"%00", b"\r\n\r\n", b"\t"])


def documents(random: Random, count: int) -> Iterator[bytes]:
    """So many bodies: hostile texts in every place of a document, deep and wide ones, and what is none."""
    for n in range(count):
        match n % 5:
            case 0:
                yield random.choice(_RAW)
            case 1:
                text = random.choice(_TEXTS)
                yield json.dumps({"id": n, "type": text, "text": text}).encode()
            case 2:
                yield json.dumps({"id": n, "text": _nested(random.choice(_TEXTS), 60)}).encode()
            case 3:
                yield json.dumps({random.choice(_TEXTS)[:200] + str(key): key for key in range(500)}).encode()
            case _:
                yield json.dumps({"id": n, "text": random.choice(_TEXTS), "n": [None] * 5_000}).encode()


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"a": [value]}
    return value
