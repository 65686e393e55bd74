"""Setting a connector up: variables that a command can fill, and what its service has to know of us."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orgloop.config.load import Loaded
from orgloop.config.model import ActorSpec, SourceSpec
from orgloop.errors import FAULTS, NotFound, Refused
from orgloop.operations.doctor import ServiceContext
from orgloop.plugin import CheckResult, CheckStatus, Clock, Connector, Http, Variable
from orgloop.plugin.registry import Registry
from orgloop.project.variables import VariableState, variables_of

SECONDS: Final = 20
LONGEST: Final = 16 * 1024
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=~-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilledVariable:
    """A variable that was missing: written into `.env`, or why not. `about` says how to get it by hand."""

    about: Variable
    problem: str = ""


def missing_of(
    loaded: Loaded, registry: Registry, environ: Mapping[str, str], it: Connector
) -> list[Variable]:
    """The variables of a connector that the project uses and that are not set."""
    own = {variable.name for variable in it.setup.variables}
    states: Sequence[VariableState] = variables_of(loaded, registry, environ)
    return [one.about for one in states if one.name in own and one.missing and one.about is not None]


def fill(variable: Variable, environ: Mapping[str, str], env_file: Path) -> FilledVariable:
    """Ask the command that prints it, and write that into `.env`. A command of ours only, without a shell."""
    if not variable.help_command:
        return FilledVariable(about=variable, problem="no command prints it")
    words = shlex.split(variable.help_command)
    try:
        done = subprocess.run(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return FilledVariable(about=variable, problem=f"{words[0]} is not installed")
    except (OSError, subprocess.TimeoutExpired) as exc:
        return FilledVariable(about=variable, problem=f"{words[0]} gave no answer ({type(exc).__name__})")
    value = done.stdout[:LONGEST].decode("utf-8", "replace").strip()
    if done.returncode != 0 or not _PLAIN.fullmatch(value):
        return FilledVariable(
            about=variable, problem=f"`{variable.help_command}` ended with {done.returncode} and no value"
        )
    write_variable(env_file, variable.name, value)
    return FilledVariable(about=variable)


def write_variable(path: Path, name: str, value: str) -> None:
    """Add a line to `.env`, which only its owner may read. Raises OSError."""
    before = path.read_bytes() if path.exists() else b""
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "ab") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(gap + f"{name}={value}\n".encode())


def public_address(url: str) -> str:
    """The beginning of the addresses of webhooks. Raises Refused."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Refused(f"{url!r} is not an address", hint="write it as https://hooks.example.com")
    return url.rstrip("/")


def parts_of(loaded: Loaded, connector: Connector, id: str | None) -> list[SourceSpec | ActorSpec]:
    """The sources and actors of a connector, or that of this id. Raises NotFound."""
    sound = loaded.sound
    listed: list[SourceSpec | ActorSpec] = []
    if sound is not None:
        listed = [*sound.sources.values(), *sound.actors.values()]
    names = (connector.name, *connector.aliases)
    found = [one for one in listed if one.connector in names and id in (None, one.id)]
    if not found:
        what = f"no {connector.name} is called {id!r}" if id else f"the project has no {connector.name}"
        raise NotFound(what, hint=f"add one: orgloop add source {connector.name}")
    return found


async def install(
    part: SourceSpec | ActorSpec,
    connector: Connector,
    loaded: Loaded,
    http: Http,
    clock: Clock,
    url: str | None,
) -> Sequence[CheckResult]:
    """What the connector does at its service for one source or actor; whatever it raises is a result."""
    sound, step = loaded.sound, connector.setup.install
    if step is None or sound is None:
        return []
    context = ServiceContext(
        id=part.id, project=sound.name, clock=clock, http=http, environment=sound.environment
    )
    address = f"{url}/webhook/{part.id}" if url is not None and isinstance(part, SourceSpec) else None
    try:
        return await step(part.settings, context, address)
    except FAULTS as exc:
        detail = f"the set-up failed: {type(exc).__name__}: {exc}"
        hint = "report this to the connector's author"
        return [CheckResult(name=part.id, status=CheckStatus.ERROR, detail=detail, hint=hint)]
