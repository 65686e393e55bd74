"""Run directories: what the daemon writes for the runner and reads back. `runner.py` has the format."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from orgloop import runner
from orgloop.plugin import RunSpec

EVENT_FILE: Final = "event.json"
"""The whole event, for the agent."""

PROMPT_FILE: Final = "prompt.md"
"""The whole prompt, for agents that want it as a file; the same text that stdin carries, if it does."""

TAIL: Final = 1 << 20
"""Bytes of each stream that a run's end is judged by."""


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
    }
    _private(directory / EVENT_FILE, event)
    _private(directory / PROMPT_FILE, prompt.encode())
    _private(directory / runner.STDIN, spec.stdin.encode())
    # Not orjson: a variable's value may be no Unicode, and travels in halves of characters then.
    _private(directory / runner.SPEC, json.dumps(content).encode())


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


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file of the runner, or None if it is not there (they are written whole or not at all)."""
    try:
        content: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return content


def tail(path: Path, size: int = TAIL) -> str:
    """The last `size` bytes of a stream, from a line's beginning if something was cut.

    Of a last line that is longer, its end: there was output, and nobody may take it for none.
    """
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            content = file.read(size)
    except OSError:
        return ""
    if length > size:
        content = content[content.find(b"\n") + 1 :] or content
    return content.decode("utf-8", errors="replace")
