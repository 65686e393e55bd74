"""The systems that keep services running: where their files lie, and how they are told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from orgloop.daemon.service_files import (
    Service,
    home_of_agent,
    home_of_unit,
    label_of,
    launchd_agent,
    name_of,
    root_of_agent,
    root_of_unit,
    systemd_unit,
)
from orgloop.errors import DaemonError

PATIENCE: Final = 60.0
"""Seconds that a manager gets."""

BY_HAND: Final = "`orgloop start --daemon --supervised` keeps it running, until the machine restarts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a service is: whether it runs, whether it begins with the machine, and the manager's own words."""

    active: bool
    enabled: bool
    words: str


class Manager(Protocol):
    """One such system."""

    @property
    def platform(self) -> str:
        """`systemd` or `launchd`."""
        ...

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        ...

    def file(self, name: str) -> Path:
        """The file of the service called `name`."""
        ...

    def name_of(self, file: Path) -> str:
        """The service whose file this is."""
        ...

    def content(self, service: Service) -> bytes:
        """What is in that file."""
        ...

    def home_of(self, content: bytes) -> str | None:
        """Whose file this is; None if it is not one of ours."""
        ...

    def root_of(self, content: bytes) -> str:
        """The directory of the project that a file of ours keeps running; empty if it does not say."""
        ...

    def start(self, name: str) -> None:
        """Start it, now and with the machine. Raises DaemonError."""

    def stop(self, name: str) -> None:
        """Stop it. Raises DaemonError."""

    def forget(self, name: str) -> None:
        """Stop it, and do not begin it with the machine any more. Raises DaemonError."""

    def standing(self, name: str) -> Standing:
        """How it is. Raises DaemonError."""
        ...

    def advice(self) -> Sequence[str]:
        """What else a person has to do for it to begin with the machine."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Systemd:
    """User units of systemd."""

    environ: Mapping[str, str]
    platform: str = "systemd"

    @property
    def folder(self) -> Path:
        config = self.environ.get("XDG_CONFIG_HOME")
        return (Path(config) if config else Path.home() / ".config") / "systemd" / "user"

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.service"

    def name_of(self, file: Path) -> str:
        return file.stem

    def content(self, service: Service) -> bytes:
        return systemd_unit(service).encode()

    def home_of(self, content: bytes) -> str | None:
        return home_of_unit(content)

    def root_of(self, content: bytes) -> str:
        return root_of_unit(content)

    def start(self, name: str) -> None:
        self._call("daemon-reload")
        self._call("enable", "--now", f"{name}.service")

    def stop(self, name: str) -> None:
        self._call("stop", f"{name}.service")

    def forget(self, name: str) -> None:
        self._call("disable", "--now", f"{name}.service")

    def standing(self, name: str) -> Standing:
        words = {verb: self._ask(verb, f"{name}.service") for verb in ("is-active", "is-enabled")}
        return Standing(
            active=words["is-active"] in ("active", "activating", "reloading"),
            enabled=words["is-enabled"] == "enabled",
            words=", ".join(filter(None, words.values())),
        )

    def advice(self) -> Sequence[str]:
        user = self.environ.get("USER", "")
        if user and Path(f"/var/lib/systemd/linger/{user}").exists():
            return []
        return ["loginctl enable-linger"]

    def _call(self, *words: str) -> None:
        done = _run(["systemctl", "--user", *words])
        if done.returncode != 0:
            raise _refused("systemd", done)

    def _ask(self, *words: str) -> str:
        done = _run(["systemctl", "--user", *words])
        if not done.stdout.strip() and done.returncode != 0:
            raise _refused("systemd", done)
        return done.stdout.strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Launchd:
    """Agents of launchd, on macOS."""

    platform: str = "launchd"

    @property
    def folder(self) -> Path:
        return Path.home() / "Library" / "LaunchAgents"

    def file(self, name: str) -> Path:
        return self.folder / f"{label_of(name)}.plist"

    def name_of(self, file: Path) -> str:
        return name_of(file.stem)

    def content(self, service: Service) -> bytes:
        return launchd_agent(service)

    def home_of(self, content: bytes) -> str | None:
        return home_of_agent(content)

    def root_of(self, content: bytes) -> str:
        return root_of_agent(content)

    def start(self, name: str) -> None:
        if self._print(name).returncode == 0:
            self._call("kickstart", self._target(name))
        else:
            self._call("bootstrap", self._domain, str(self.file(name)))

    def stop(self, name: str) -> None:
        self._call("bootout", self._target(name))

    def forget(self, name: str) -> None:
        if self._print(name).returncode == 0:
            self.stop(name)

    def standing(self, name: str) -> Standing:
        done = self._print(name)
        loaded = done.returncode == 0
        running = loaded and "state = running" in done.stdout
        words = "running" if running else "loaded" if loaded else "not loaded"
        return Standing(active=running, enabled=self.file(name).exists(), words=words)

    def advice(self) -> Sequence[str]:
        return []

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid()}"

    def _target(self, name: str) -> str:
        return f"{self._domain}/{label_of(name)}"

    def _print(self, name: str) -> subprocess.CompletedProcess[str]:
        return _run(["launchctl", "print", self._target(name)])

    def _call(self, *words: str) -> None:
        done = _run(["launchctl", *words])
        if done.returncode != 0:
            raise _refused("launchd", done)


def manager_of(environ: Mapping[str, str], *, launchd: bool = False, systemd: bool = False) -> Manager:
    """The one that is wanted, else this system's own."""
    if launchd or (sys.platform == "darwin" and not systemd):
        return Launchd()
    return Systemd(environ=environ)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Raises DaemonError if there is no such program, or if it takes too long."""
    if shutil.which(command[0]) is None:
        raise DaemonError(f"there is no {command[0]} on this system", hint=BY_HAND)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise DaemonError(f"{command[0]} does not answer: {exc}", hint=BY_HAND) from exc


def _refused(who: str, done: subprocess.CompletedProcess[str]) -> DaemonError:
    message = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
    return DaemonError(f"{who} says: {message}", hint=BY_HAND)
