"""The program of a keeper: it runs one program after the other, and leaves nothing of any behind.

A request is four bytes of length (big-endian) and a line of JSON, then what the program gets on stdin:

    {"program": "/…/drop.sh", "cwd": "/…", "env": {…}, "timeout_s": 30, "linger_s": 1,
     "max_output": 1000000}

An answer is four bytes of length and a line of JSON, then what the program printed. The line has `status`
(negative: the signal that killed it) and `stderr`, its end; or `problem`: "timeout", "too much", or an
error's number and file.

With `"lines": true` the program goes on: it gets one line and prints one, and further requests are `{}`
and the next line each. Their `status` is null as long as the program runs; the next request after any
other answer begins a program. It is a `problem`, "unasked", if it printed something that was not asked for.

Whatever a program starts, in whatever session, becomes a child of this process when its parent has ended,
and is ended with the program. So it is, too, when stdin ends: then whoever asks is gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

_FRAME: Final = struct.Struct(">I")
_SUBREAPER: Final = 36
_STOP_S: Final = 5.0
_MAX_STDERR: Final = 4096
_LOOK_S: Final = 0.02
_MOST_READS: Final = 64


class Gone(Exception):
    """Whoever asks has closed the line."""


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with suppress(Gone):
        while True:
            task, given = receive()
            if task.get("lines"):
                converse(task, given)
            else:
                send(*run(task, given))


def receive() -> tuple[Mapping[str, Any], bytes]:
    """The next request. Raises Gone."""
    [size] = _FRAME.unpack(read(_FRAME.size))
    head, _, given = read(size).partition(b"\n")
    return json.loads(head), given


def send(reply: Mapping[str, Any], printed: bytes) -> None:
    """One answer. Raises Gone."""
    answer = json.dumps(reply).encode() + b"\n" + printed
    write(_FRAME.pack(len(answer)) + answer)


def converse(task: Mapping[str, Any], line: bytes) -> None:
    """Start one program, and hand it line after line until it ends or fails; then end all. Raises Gone."""
    try:
        program = started(task, subprocess.PIPE)
    except OSError as exc:
        send({"problem": [exc.errno, str(exc.filename)]}, b"")
        return
    talk = Talk(program, task["max_output"])
    goes_on = True
    try:
        while goes_on:
            problem, printed = talk.ask(line, time.monotonic() + task["timeout_s"])
            goes_on = problem is None and printed is not None
            if not goes_on:
                end_all(program)
            stderr = talk.stderr.decode("utf-8", "replace")
            send({"status": program.returncode, "stderr": stderr, "problem": problem}, printed or b"")
            if goes_on:
                _, line = receive()
    finally:
        if goes_on and program.stdin is not None:
            with suppress(OSError):
                program.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                program.wait(task["linger_s"])
        end_all(program)
        talk.close()


def started(task: Mapping[str, Any], stdin: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """The program of a task, in a session of its own. Raises OSError."""
    return subprocess.Popen(
        [task["program"]],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=task["cwd"],
        env=task["env"],
        start_new_session=True,
    )


def run(task: Mapping[str, Any], given: bytes) -> tuple[dict[str, Any], bytes]:
    """Run one program to its end, and end what it leaves. Raises Gone."""
    with standard_input() as stdin:
        stdin.write(given)
        stdin.seek(0)
        try:
            program = started(task, stdin)
        except OSError as exc:
            return {"problem": [exc.errno, str(exc.filename)]}, b""
    talk = Talk(program, task["max_output"])
    try:
        problem = talk.until_exit(time.monotonic() + task["timeout_s"])
        if problem is None:
            talk.until_silence(time.monotonic() + task["linger_s"])
    finally:
        end_all(program)
        talk.close()
    if problem is None and talk.too_much:
        problem = "too much"
    stderr = talk.stderr.decode("utf-8", "replace")
    return {"status": program.returncode, "stderr": stderr, "problem": problem}, bytes(talk.printed)


def standard_input() -> IO[bytes]:
    """A file for it: a program need not read what it gets."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("event"), "w+b")
    return tempfile.TemporaryFile()


class Talk:
    """What one program prints."""

    def __init__(self, program: subprocess.Popen[bytes], max_output: int) -> None:
        self.printed = bytearray()
        self.stderr = b""
        self.too_much = False
        self._program = program
        self._max_output = max_output
        self._pipes = selectors.DefaultSelector()
        self._open = 0
        for pipe in (program.stdout, program.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._pipes.register(pipe, selectors.EVENT_READ, pipe is program.stderr)
                self._open += 1
        self._pipes.register(0, selectors.EVENT_READ)
        self._exit = os.pidfd_open(program.pid) if hasattr(os, "pidfd_open") else None
        if self._exit is not None:
            self._pipes.register(self._exit, selectors.EVENT_READ)

    def until_exit(self, deadline: float) -> str | None:
        """Read until the program has ended. Gives what was wrong with that."""
        while self._program.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            self._read(left if self._exit is not None else min(left, _LOOK_S))
            if self.too_much:
                return "too much"
        if self._exit is not None:
            self._pipes.unregister(self._exit)
        return None

    def until_silence(self, deadline: float) -> None:
        """Read what it printed last; something that it started may still hold its output."""
        while self._open and not self.too_much and (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def ask(self, line: bytes, deadline: float) -> tuple[str | None, bytes | None]:
        """Hand over one line. Gives what was wrong, and the line that it printed; neither if it has ended."""
        self._drain()
        if self.printed:
            return "unasked", None
        self.stderr = b""
        left = memoryview(line + b"\n")
        stdin = self._program.stdin
        if stdin is not None:
            os.set_blocking(stdin.fileno(), False)
            self._pipes.register(stdin, selectors.EVENT_WRITE)
        try:
            while b"\n" not in self.printed and self._open and self._program.poll() is None:
                seconds = deadline - time.monotonic()
                if seconds <= 0:
                    return "timeout", None
                if left and stdin is not None:
                    left = left[write_some(stdin.fileno(), left) :]
                    if not left:
                        self._pipes.unregister(stdin)
                self._read(seconds if self._exit is not None else min(seconds, _LOOK_S))
                if self.too_much:
                    return "too much", None
        finally:
            if left and stdin is not None:
                self._pipes.unregister(stdin)
        # What it printed last is there by now, its stderr too.
        self._drain()
        answer, is_whole, rest = bytes(self.printed).partition(b"\n")
        if not is_whole:
            self._wait_for_end(deadline)
            return None, None
        self.printed = bytearray(rest)
        return None, answer

    def _drain(self) -> None:
        """Read what is there, but not for ever."""
        for _ in range(_MOST_READS):
            if not self._open or self.too_much or not self._read(0):
                return

    def _wait_for_end(self, deadline: float) -> None:
        """A program that closed its output may still run for a while."""
        with suppress(subprocess.TimeoutExpired):
            self._program.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Nothing is read any more."""
        self._pipes.close()
        for pipe in (self._program.stdout, self._program.stderr):
            if pipe is not None:
                pipe.close()
        if self._exit is not None:
            os.close(self._exit)

    def _read(self, seconds: float) -> bool:
        """Whether there was something to read within so many seconds. Raises Gone."""
        found = False
        for key, _ in self._pipes.select(seconds):
            if key.fd == 0:
                raise Gone
            if key.data is None:
                continue
            data = os.read(key.fd, 65536)
            found = True
            if not data:
                self._pipes.unregister(key.fd)
                self._open -= 1
            elif key.data:
                self.stderr = (self.stderr + data)[-_MAX_STDERR:]
            elif len(self.printed) + len(data) <= self._max_output:
                self.printed += data
            else:
                self.too_much = True
        return found


def end_all(program: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started. Each one's children become ours when it ends."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        for child in children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def children() -> Iterator[int]:
    """Our own children, as far as the system tells."""
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError, ValueError):
            yield from map(int, file.read_text().split())


def write_some(fd: int, data: memoryview) -> int:
    """How many bytes of it a pipe took; all of them if nobody reads."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


def read(size: int) -> bytes:
    """So many bytes of stdin. Raises Gone."""
    found = bytearray()
    while len(found) < size:
        part = os.read(0, size - len(found))
        if not part:
            raise Gone
        found += part
    return bytes(found)


def write(answer: bytes) -> None:
    """Send one answer. Raises Gone."""
    left = memoryview(answer)
    while left:
        try:
            left = left[os.write(1, left) :]
        except BrokenPipeError as exc:
            raise Gone from exc


if __name__ == "__main__":
    main()
