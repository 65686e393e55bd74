"""Run directories: what the daemon writes for the runner and reads back. `orgloop.runner` has the format.

The agent can change whatever lies there. So what is read back is a plain file, of a bounded size, with
values that are checked: anything else counts as not there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from orgloop import runner
from orgloop.plugin import RunSpec

EVENT_FILE: Final = "event.json"
"""The whole event, for the agent."""

PROMPT_FILE: Final = "prompt.md"
"""The whole prompt, for agents that want it as a file; the same text that stdin carries, if it does."""

SETUP_LOG: Final = "setup.log"
"""What the setup of the run's work tree wrote, if the tree was made for it."""

TAIL: Final = 1 << 20
"""Bytes of each stream that a run's end is judged by."""

LONGEST_LINE: Final = 32 << 20
"""Bytes before those that are read besides, to have the line in which they begin whole."""

_RECORD: Final = 64 << 10
"""Bytes that a file of the runner has at most."""

_LONGEST_RUN_S: Final = 1e9
_LAST_S: Final = 1e11

_LARGEST: Final = 1 << 62

_STOPS: Final = (None, "result", "start", "silence", "total", "output", "requested")


def write(directory: Path, spec: RunSpec, env: Mapping[str, str], event: bytes, prompt: str) -> None:
    """Everything that the runner and the agent need, private to this user."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    limits = asdict(spec.limits)
    grace, stop_signal = limits.pop("grace_s"), limits.pop("stop_signal")
    content = {
        "version": runner.VERSION,
        "argv": list(spec.argv),
        "cwd": spec.cwd,
        "env": dict(env),
        "limits": limits,
        "grace_s": grace,
        "stop_signal": int(stop_signal),
        "turns": asdict(spec.turns) if spec.turns is not None else None,
    }
    _private(directory / EVENT_FILE, event)
    _private(directory / PROMPT_FILE, prompt.encode())
    _private(directory / runner.STDIN, spec.stdin.encode())
    # Not orjson: a variable's value may be no Unicode, and travels in halves of characters then.
    _private(directory / runner.SPEC, json.dumps(content).encode())


def keep_log(directory: Path, log: Path | None) -> None:
    """Let the run have what the setup of its work tree wrote, if one was run for it."""
    if log is not None:
        with suppress(FileNotFoundError):
            (directory / SETUP_LOG).hardlink_to(log)


def cancel(directory: Path) -> None:
    """This run must never start, and nobody will read its environment. Raises OSError."""
    (directory / runner.CANCELLED).touch(mode=0o600)
    (directory / runner.SPEC).unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Of a run that is none: it holds an environment, secrets included, and nobody will ever read it."""
    shutil.rmtree(directory, ignore_errors=True)


def _private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def open_plain(path: Path) -> BinaryIO:
    """A file for reading. Raises OSError if it is a link, a pipe, or anything else that is no plain file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file of the runner, or None if it is not there (they are written whole or not at all)."""
    try:
        with open_plain(path) as file:
            content = orjson.loads(file.read(_RECORD))
    except (OSError, orjson.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitRecord:
    """What exit.json says. `not_started` is why the program could not be started, `errno` its number.

    `result` is where in stdout its last result is: offset and length in bytes. `ended_at` is in ms since
    1970, 0 if it does not say.
    """

    status: int | None
    stopped: str | None
    duration_s: float
    not_started: str | None
    result: tuple[int, int] | None = None
    errno: int = 0
    ended_at: int = 0


def exit_record(directory: Path) -> ExitRecord | None:
    """The runner's word on the end of its run; None if there is none, or if it cannot be the runner's."""
    content = read_json(directory / runner.EXIT)
    if content is None:
        return None
    status, stopped = content.get("status"), content.get("stopped")
    duration, failure = _seconds(content.get("duration_s")), content.get("not_started")
    error = failure.get("error") if isinstance(failure, dict) else None
    number = failure.get("errno") if isinstance(failure, dict) else None
    plausible = (
        (status is None or (type(status) is int and 0 <= status <= 255))
        and stopped in _STOPS
        and (failure is None or isinstance(error, str))
    )
    if not plausible or duration is None or duration > _LONGEST_RUN_S:
        return None
    place = _place(content.get("result"))
    return ExitRecord(
        status=status,
        stopped=stopped,
        duration_s=duration,
        not_started=error,
        result=place,
        errno=number if type(number) is int else 0,
        ended_at=round(min(_seconds(content.get("ended_at")) or 0, _LAST_S) * 1000),
    )


def _place(value: object) -> tuple[int, int] | None:
    match value:
        case [int() as offset, int() as length] if 0 <= offset < _LARGEST and 0 <= length < _LARGEST:
            return offset, length
        case _:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRecord:
    """What child.json says: who runs. Times are seconds since 1970."""

    pid: int
    runner_pid: int
    boot_id: str | None
    started_at: float


def child_record(directory: Path) -> ChildRecord | None:
    """Which process the runner has started, and which one it is; None if that is not known."""
    content = read_json(directory / runner.CHILD)
    if content is None:
        return None
    pid, runner_pid = content.get("pid"), content.get("runner_pid")
    boot, started = content.get("boot_id"), _seconds(content.get("started_at"))
    if not (type(pid) is type(runner_pid) is int and pid > 1 and runner_pid > 1):
        return None
    if not (boot is None or isinstance(boot, str)) or started is None:
        return None
    return ChildRecord(pid=pid, runner_pid=runner_pid, boot_id=boot, started_at=started)


def _seconds(value: object) -> float | None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    return float(number) if math.isfinite(number) and number >= 0 else None


def line_at(path: Path, place: tuple[int, int] | None) -> str | None:
    """The line at this place of a stream, or its beginning, if it is longer than LONGEST_LINE."""
    if place is None:
        return None
    offset, length = place
    try:
        with open_plain(path) as file:
            return _read(file, offset, offset + min(length, LONGEST_LINE)).decode("utf-8", errors="replace")
    except OSError:
        return None


def tail(path: Path, size: int = TAIL) -> str:
    """The last `size` bytes of a stream, and the whole of the line in which they begin.

    Of a line that is too long even for that, its end: there was output, and nobody may take it for none.
    """
    try:
        with open_plain(path) as file:
            length = file.seek(0, os.SEEK_END)
            begin = max(0, length - size)
            content = _read(file, begin, length)
            if begin:
                begin = max(0, begin - LONGEST_LINE)
                before = _read(file, begin, length - len(content))
                content = before[before.rfind(b"\n") + 1 :] + content
    except OSError:
        return ""
    return content.decode("utf-8", errors="replace")


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)
