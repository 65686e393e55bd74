"""The files by which a system keeps a daemon running: a systemd user unit, a launchd agent."""

from __future__ import annotations

import plistlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

MARK: Final = "# orgloop-home: "
"""Begins the line of a unit that says whose it is."""

_DIRECTORY: Final = "WorkingDirectory="

_PLAIN: Final = re.compile(r"[A-Za-z0-9_/.:=@,+-]+")

LABEL: Final = "com.orgloop.daemon"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What is to run. `variables` are those of the environment that the daemon needs besides its home."""

    name: str
    project: str
    file: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def command(self) -> list[str]:
        """The daemon's command line, with whole paths."""
        return [self.python, "-m", "orgloop", "start", "--quiet", "--config", str(self.file)]

    @property
    def environment(self) -> dict[str, str]:
        """The daemon's variables. It reads the project's .env itself, again whenever that is applied."""
        return {"ORGLOOP_HOME": str(self.home), **self.variables}

    @property
    def log(self) -> Path:
        """Where its warnings and errors go."""
        return self.home / "logs" / "daemon.log"


def systemd_unit(service: Service) -> str:
    """A user unit. Stopping it ends the daemon alone: agents continue, and the next start takes them over.

    An agent that runs out of memory ends alone, too.
    """
    variables = "\n".join(
        f"Environment={_quoted(f'{name}={value}')}" for name, value in service.environment.items()
    )
    log = _specifier(str(service.log))
    return f"""\
# Written by `orgloop install-service`; `orgloop service uninstall` removes it.
{MARK}{service.home}
[Unit]
Description=OrgLoop: {_specifier(service.project)}
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
{_DIRECTORY}{_specifier(str(service.file.parent))}
ExecStart={" ".join(_word(word) for word in service.command)}
{variables}
KillMode=process
OOMPolicy=continue
TimeoutStopSec=30
Restart=on-failure
RestartSec=5
StandardOutput=append:{log}
StandardError=append:{log}

[Install]
WantedBy=default.target
"""


def launchd_agent(service: Service) -> bytes:
    """A property list. Ending the job ends the daemon alone: agents continue."""
    content: dict[str, Any] = {
        "Label": label_of(service.name),
        "ProgramArguments": service.command,
        "WorkingDirectory": str(service.file.parent),
        "EnvironmentVariables": service.environment,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "AbandonProcessGroup": True,
        "ThrottleInterval": 10,
        "ExitTimeOut": 30,
        "StandardOutPath": str(service.log),
        "StandardErrorPath": str(service.log),
    }
    return plistlib.dumps(content, sort_keys=False)


def label_of(name: str) -> str:
    """launchd's name for the service."""
    return LABEL + name.removeprefix("orgloop").replace("-", ".", 1)


def name_of(label: str) -> str:
    """The service that launchd calls so."""
    return "orgloop" + label.removeprefix(LABEL).replace(".", "-", 1)


def home_of_unit(content: bytes) -> str | None:
    """Whose unit this is; None if it is not one of ours."""
    lines = content.decode("utf-8", "replace").splitlines()
    return next((line.removeprefix(MARK) for line in lines if line.startswith(MARK)), None)


def root_of_unit(content: bytes) -> str:
    """The directory of the project that this unit of ours keeps running; empty if it does not say."""
    lines = content.decode("utf-8", "replace").splitlines()
    found = next((line for line in lines if line.startswith(_DIRECTORY)), "")
    return found.removeprefix(_DIRECTORY).replace("%%", "%")


def root_of_agent(content: bytes) -> str:
    """The same of a launchd agent of ours."""
    return str(plistlib.loads(content).get("WorkingDirectory", ""))


def home_of_agent(content: bytes) -> str | None:
    """Whose launchd agent this is; None if it is not one of ours."""
    try:
        found = plistlib.loads(content)
        label, variables = found["Label"], found["EnvironmentVariables"]
        return str(variables["ORGLOOP_HOME"]) if str(label).startswith(LABEL) else None
    except (plistlib.InvalidFileException, ValueError, KeyError, TypeError):
        return None


def _quoted(text: str) -> str:
    """A word of a unit's setting, in quotes if it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = _specifier(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _word(text: str) -> str:
    """A word of a command line, where $ means a variable besides."""
    return _quoted(text.replace("$", "$$"))


def _specifier(text: str) -> str:
    return text.replace("%", "%%")
