"""The program of a helper process: frames on stdin, one answer for each on stdout, until stdin ends.

A frame is four bytes of length (big-endian) and JSON. The first says what to do from then on, and
how long one answer may take. This process ends by itself a little later, so that it does not
outlive a daemon that died while it was busy.

    {"jq": "<program>", "limit_s": 5}                then each frame is an input
    {"regex": [["<body>", "<flags>"]], "limit_s": 5}  then each frame is [number of the regex, "<text>"]

An answer is {"result": …} or {"error": "<text>"}. The result of the first frame is null; of jq, how
many values came out and the last of them; of a regular expression, whether it is found.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Final

MEMORY: Final = 1024**3
"""Bytes of address space after which this process is refused more."""

MAX_ANSWER: Final = 16 * 1024**2

MAX_SAID: Final = 400

_FRAME: Final = struct.Struct(">I")
_GRACE_S: Final = 1.0
_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}

Work = Callable[[bytes], str]
"""Answers a frame with JSON."""


def main() -> None:
    frames, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    task = json.loads(read(frames) or b"{}")
    try:
        work = prepare(task)
    except Exception as exc:
        write(answers, failed(exc))
        return
    write(answers, json.dumps({"result": None}).encode())
    while (frame := read(frames)) is not None:
        # An alarm that nobody handles ends the process, also in the middle of C code.
        signal.setitimer(signal.ITIMER_REAL, task["limit_s"] + _GRACE_S)
        answer = answer_to(work, frame)
        signal.setitimer(signal.ITIMER_REAL, 0)
        write(answers, answer)


def prepare(task: Mapping[str, Any]) -> Work:
    """What the task asks for, compiled."""
    return jq_work(task["jq"]) if "jq" in task else regex_work(task["regex"])


def jq_work(program: str) -> Work:
    """Runs a jq program."""
    import jq

    jq.compile(program)
    # As text, since numbers that are made Python's lose their digits.
    compiled = jq.compile(f"({program}\n) | tojson")

    def run(frame: bytes) -> str:
        count, last = 0, "null"
        for last in compiled.input_text(frame.decode()):  # noqa: B007
            count += 1
        return f"[{count},{last}]"

    return run


def regex_work(regexes: list[list[str]]) -> Work:
    """Looks for one of the regular expressions in a text; with flag y at its beginning only."""
    warnings.simplefilter("ignore")
    finders = []
    for body, flags in regexes:
        compiled = re.compile(body, sum(_FLAGS.get(flag, 0) for flag in flags))
        finders.append(compiled.match if "y" in flags else compiled.search)

    def run(frame: bytes) -> str:
        number, text = json.loads(frame)
        return json.dumps(finders[number](text) is not None)

    return run


def answer_to(work: Work, frame: bytes) -> bytes:
    """One frame's answer."""
    try:
        encoded = f'{{"result":{work(frame)}}}'.encode("utf-8", "replace")
    except Exception as exc:
        return failed(exc)
    if len(encoded) > MAX_ANSWER:
        return json.dumps({"error": f"the result is larger than {MAX_ANSWER // 1024**2} MB"}).encode()
    return encoded


def failed(exc: Exception) -> bytes:
    """The answer for an error. `error` in a jq program may say its whole input."""
    said = str(exc)[:MAX_SAID] or type(exc).__name__
    return json.dumps({"error": said}).encode()


def read(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end."""
    head = stream.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    [size] = _FRAME.unpack(head)
    frame = stream.read(size)
    return frame if len(frame) == size else None


def write(stream: BinaryIO, answer: bytes) -> None:
    """Send one answer."""
    stream.write(_FRAME.pack(len(answer)) + answer)
    stream.flush()


if __name__ == "__main__":
    main()
