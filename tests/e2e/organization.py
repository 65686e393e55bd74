"""A project, a home and its daemon as real processes, for tests that look at the whole."""

from __future__ import annotations

import http.client
import io
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orgloop.cli.root import main
from orgloop.journal.protocols import Reader
from orgloop.journal.sqlite import open_reader
from orgloop.project.home import DaemonInfo, Home, announced_daemon, running_daemon

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a fact that has not come is a failure."""

_TICK = 0.02


def wait_for(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """The first value of `look` that is not None or False; fails if none comes in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        _pause()
    raise AssertionError(f"waited {patience:.0f} s in vain for: {what}")


def _pause() -> None:
    select.select([], [], [], _TICK)


@dataclass
class Organization:
    """`root` holds the project, `home` the state. Daemons are started and ended by the test."""

    root: Path
    home: Home
    environ: dict[str, str] = field(default_factory=dict)
    daemon: subprocess.Popen[bytes] | None = None

    def write(self, files: Mapping[str, str]) -> None:
        """Write project files; those under `bin/` become executable."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            if name.startswith("bin/"):
                path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """What every command gets."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "ORGLOOP_HOME": str(self.home.path), "ORGLOOP_PORT": "0", **self.environ}

    def command(
        self, *arguments: str, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `orgloop` in the project: in this process, unless it may start a daemon."""
        apart = arguments[0] in ("start", "restart") or "PYTHONPATH" in self.environ
        done = (self._run_apart if apart else self._run_here)(arguments, stdin)
        if check and done.returncode != 0:
            raise AssertionError(
                f"orgloop {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def _run_apart(self, arguments: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orgloop", *arguments],
            cwd=self.root,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _run_here(self, arguments: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
        given, out, err = (io.TextIOWrapper(io.BytesIO(text), "utf-8") for text in (stdin.encode(), b"", b""))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.root)
            patch.setattr(sys, "stdin", given)
            for name in os.environ.keys() - self.environment:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            code = main(arguments)
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())

    def start(self) -> DaemonInfo:
        """Start a daemon; returns once it answers."""
        pid = self.spawn().pid

        def ready() -> DaemonInfo | None:
            if self.daemon is not None and self.daemon.poll() is not None:
                raise AssertionError(f"the daemon ended:\n{self.log[-4000:]}")
            info = announced_daemon(self.home)
            return info if info is not None and info.pid == pid else None

        return wait_for("the daemon", ready)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a daemon; returns at once."""
        log = (self.root.parent / "daemon.log").open("ab")
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "orgloop", "start", "--quiet"],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        return self.daemon

    @property
    def log(self) -> str:
        """What the daemons printed."""
        return (self.root.parent / "daemon.log").read_text(errors="replace")

    @property
    def port(self) -> int:
        """The running daemon's port."""
        info = running_daemon(self.home)
        if info is None:
            raise AssertionError("no daemon runs")
        return info.port

    def kill(self) -> None:
        """SIGKILL the daemon; what it started goes on."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None

    def stop(self) -> int:
        """SIGTERM the daemon and wait. Returns its exit status."""
        if self.daemon is None:
            return 0
        self.daemon.terminate()
        status = self.daemon.wait(PATIENCE)
        self.daemon = None
        return status

    def post(
        self, source: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a webhook. Raises OSError if nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            given = {"Content-Type": "application/json", **(headers or {})}
            connection.request("POST", f"/webhook/{source}", content, given)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The journal."""
        reader = open_reader(self.home.path)
        try:
            yield reader
        finally:
            reader.close()
