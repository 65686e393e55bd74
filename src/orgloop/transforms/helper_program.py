"""The program of a helper process: requests on stdin, one answer for each on stdout, until stdin ends.

A request is four bytes of length (big-endian), a line of JSON that says what to do, and what to do it to:

    {"jq": "<program>", "limit_s": 5}                       and an event in JSON, or nothing: only compile it
    {"regex": "<body>", "sticky": false, "limit_s": 5}      and a text

`limit_s` is how long the answer may take; this process ends by itself a little later, so that it does
not outlive a daemon that died while it was busy. Programs and regular expressions that were compiled
are kept for the next request.

An answer is four bytes of length and {"result": …} or {"error": "<text>"}. The result of jq is how many
values came out and the last of them; of a regular expression, whether it is found. With "retire": true
this process has become large, and is to be ended.

Arguments: the folder in which the jq library lies ("" for none), then the seconds without a request
after which this process ends by itself (0 for never).
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

MEMORY: Final = 512 * 1024**2
"""Bytes of address space after which this process is refused more."""

LARGE: Final = 48 * 1024**2
"""Bytes of memory with which it retires after its answer."""

MAX_ANSWER: Final = 16 * 1024**2
MAX_VALUES: Final = 100_000
MAX_ERROR_TEXT: Final = 400
COMPILED: Final = 256

_FRAME: Final = struct.Struct(">I")
_GRACE_S: Final = 1.0


def main(library: str, idle_s: float) -> None:
    frames, answers = sys.stdin.buffer, sys.stdout.buffer
    # jq programs can read it, and Python puts something into it by itself.
    os.environ.clear()
    if library:
        sys.path.append(library)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    while True:
        signal.setitimer(signal.ITIMER_REAL, idle_s)
        frame = read(frames)
        if frame is None:
            return
        head, _, given = frame.partition(b"\n")
        task = json.loads(head)
        # An alarm that nobody handles ends the process, also in the middle of C code.
        signal.setitimer(signal.ITIMER_REAL, task["limit_s"] + _GRACE_S)
        answer = answer_to(task, given)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(_FRAME.pack(len(answer)) + answer)
        answers.flush()


def answer_to(task: Mapping[str, Any], given: bytes) -> bytes:
    """One request's answer."""
    try:
        result = run_jq(task["jq"], given) if "jq" in task else find(task["regex"], task["sticky"], given)
        answer = f'"result":{result}'.encode("utf-8", "replace")
        if len(answer) > MAX_ANSWER:
            raise ValueError(f"the result is larger than {MAX_ANSWER // 1024**2} MB")
    except Exception as exc:
        # `error` in a jq program may say its whole input.
        answer = b'"error":' + json.dumps(str(exc)[:MAX_ERROR_TEXT] or type(exc).__name__).encode()
    return b"{%b%b}" % (answer, b"" if is_small() else b',"retire":true')


def run_jq(program: str, given: bytes) -> str:
    """How many values a jq program gives, and the last of them, as JSON. Raises ValueError for its errors."""
    compiled = jq_program(program)
    count, last = 0, "null"
    if given:
        for last in compiled.input_text(given.decode()):  # noqa: B007
            count += 1
            if count > MAX_VALUES:
                raise ValueError(f"it gives more than {MAX_VALUES} values")
    return f"[{count},{last}]"


def find(body: str, sticky: bool, given: bytes) -> str:
    """Whether a regular expression is found in a text, as JSON; `sticky`: at its beginning."""
    compiled = regex(body)
    return json.dumps((compiled.match if sticky else compiled.search)(given.decode()) is not None)


@lru_cache(maxsize=COMPILED)
def jq_program(program: str) -> Any:
    """The program, compiled, with its values as text: those that are made Python's lose their digits."""
    import jq

    jq.compile(program)
    return jq.compile(f"({program}\n) | tojson")


@lru_cache(maxsize=COMPILED)
def regex(body: str) -> re.Pattern[str]:
    """The regular expression, compiled."""
    return re.compile(body)


def is_small() -> bool:
    """Whether this process may stay."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return True
    return pages * resource.getpagesize() < LARGE


def read(stream: BinaryIO) -> bytes | None:
    """The next request; None at the end."""
    head = stream.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    [size] = _FRAME.unpack(head)
    frame = stream.read(size)
    return frame if len(frame) == size else None


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
