"""One run directory, seen as the daemon sees it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orgloop import runner
from tests.runner.waiting import DEADLINE_S, alive, until

RUNNER = Path(runner.__file__).with_name("start.py")
LIMITS = ("start_s", "silence_s", "total_s", "output_bytes")
ENV = {"PATH": "/usr/bin:/bin"}
FULL = "full."
ON_A_FULL_DISK = f"""
import errno, os, sys
sys.path.append(os.path.dirname(os.path.dirname(sys.argv[1])))
from runner import hold, program
write = hold.write_json
def full(name, *record, **how):
    if os.path.exists({FULL!r} + name):
        raise OSError(errno.ENOSPC, "the disk is full")
    write(name, *record, **how)
hold.write_json = program.write_json = full
sys.exit(hold.main(sys.argv[2]))
"""


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def python(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", script]


class RunDirectory:
    """Prepares a run, starts its runner, reads what the runner wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir(mode=0o700)
        self.runner: subprocess.Popen[bytes] | None = None
        self.on_a_full_disk = False
        """While there is a file FULL + NAME, the runner cannot write NAME."""

    def prepare(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] = ENV,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        grace_s: float = 10.0,
        stop_signal: int = signal.SIGTERM,
        limits: Mapping[str, float] | None = None,
        turns: Mapping[str, Any] | None = None,
    ) -> RunDirectory:
        unlimited: dict[str, float | None] = dict.fromkeys(LIMITS)
        spec = {
            "version": 1,
            "argv": list(argv),
            "cwd": str(cwd or self.path),
            "env": dict(env),
            "limits": unlimited | dict(limits or {}),
            "grace_s": grace_s,
            "stop_signal": stop_signal,
            "turns": turns,
        }
        self.write(runner.SPEC, json.dumps(spec).encode())
        if stdin is not None:
            self.write(runner.STDIN, stdin)
        return self

    def spawn(self, **options: Any) -> subprocess.Popen[bytes]:
        """Start the runner as the daemon does; `options` are those of Popen."""
        options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        self.runner = subprocess.Popen(self.command(), start_new_session=True, **options)
        return self.runner

    def command(self) -> list[str]:
        program = ["-c", ON_A_FULL_DISK] if self.on_a_full_disk else []
        return [sys.executable, "-I", "-S", *program, str(RUNNER), str(self.path)]

    def hold(self) -> dict[str, Any]:
        """Start the runner and wait until it has ended well. Returns exit.json."""
        assert self.spawn().wait(DEADLINE_S) == runner.ENDED
        return self.json(runner.EXIT)

    def refuse(self) -> int:
        """Start a runner that has nothing to do. Returns its exit status."""
        process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, start_new_session=True)
        return process.wait(DEADLINE_S)

    def program(self) -> int:
        """The pid of the program, once it runs."""
        until(self.there(runner.CHILD), "the program runs")
        pid = self.json(runner.CHILD)["pid"]
        assert isinstance(pid, int)
        return pid

    def said(self, text: bytes) -> None:
        """Wait until the program has written this to stdout."""
        until(lambda: text in self.read(runner.STDOUT), f"the program says {text!r}")

    def end(self, seconds: float = DEADLINE_S) -> dict[str, Any]:
        """exit.json, once it is there and the runner has ended."""
        until(self.there(runner.EXIT), "the run has ended", seconds)
        until(lambda: not self.locked(), "the runner has ended")
        return self.json(runner.EXIT)

    def there(self, name: str) -> Any:
        return (self.path / name).exists

    def names(self) -> set[str]:
        return {path.name for path in self.path.iterdir()}

    def json(self, name: str) -> dict[str, Any]:
        value = json.loads(self.read(name))
        assert isinstance(value, dict)
        return value

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def locked(self) -> bool:
        """Whether a runner lives."""
        with (self.path / runner.LOCK).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def clean(self) -> None:
        """End what a failed test left alive: the runner, then the program's group."""
        pids = [self.runner.pid] if self.runner else []
        program = json.loads(self.read(runner.CHILD) or b"{}")
        for pid in pids or [program.get("runner_pid", 0)]:
            if pid and alive(pid):
                os.kill(pid, signal.SIGKILL)
        if program and alive(program["pid"]):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program["pgid"], signal.SIGKILL)
        if self.runner:
            self.runner.wait(DEADLINE_S)
            if self.runner.stdout:
                self.runner.stdout.close()
