"""`orgloop` as tests call it: in this process, with a home, a directory and a width of its own."""

from __future__ import annotations

import io
import json
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orgloop.cli.output import ENDLESS
from orgloop.cli.root import main
from orgloop.daemon.background import stop_daemon
from orgloop.errors import DaemonError
from orgloop.project.home import Home
from tests.cli.small import FILES
from tests.e2e.organization import Organization


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Orgloop = Callable[..., Said]


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: empty, with no variable of this machine's that a command would heed."""
    directory = tmp_path / "acme"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_WEBHOOK_SECRET", "WEBHOOK_SECRET", "WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", str(ENDLESS))
    monkeypatch.setenv("ORGLOOP_PORT", str(free_port()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return directory


@pytest.fixture
def narrow(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns. Without it nothing is folded or cut."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def orgloop(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Orgloop:
    """`orgloop("validate", "--json")`; `stdin` is what it reads."""

    def run(*arguments: str, stdin: str | bytes = b"") -> Said:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)

    return run


@pytest.fixture
def organization(tmp_path: Path) -> Iterator[Organization]:
    """An empty project with a home of its own, for real daemons; whatever runs there ends with the test."""
    root = tmp_path / "org"
    root.mkdir()
    made = Organization(root=root, home=Home(tmp_path / "org-home"))
    yield made
    with suppress(DaemonError):  # A test may have made it unknown which one runs there.
        stop_daemon(made.home, force=True)
    made.kill()


@pytest.fixture
def acme(organization: Organization) -> Organization:
    """A small, sound project; nothing runs yet."""
    organization.write(FILES)
    return organization


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
