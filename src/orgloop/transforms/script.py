"""`script`: a program of your own decides: it gets the event on stdin and prints the event that goes on.

It runs once for each event, or goes on and gets each event as a line.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo

from orgloop.plugin import (
    Change,
    Discard,
    Failure,
    NotJson,
    Pass,
    ProjectPath,
    Scope,
    Settings,
    TransformPlugin,
    TransformResult,
    as_text,
    child_environment,
    humanize,
    load_json,
    same,
)
from orgloop.transforms import child

DROPS: Final = frozenset({1, 78})
"""Exit statuses that drop the event."""

MAX_OUTPUT: Final = 10 * 1024**2
"""Bytes that a script may print."""


def _project(value: Any, info: ValidationInfo) -> Any:
    return value if value is not None else (info.context or {}).get("project")


class ScriptSettings(Settings):
    """Which program, where, for how long, and with what in its environment."""

    script: ProjectPath
    """The program. It must be executable and begin with a `#!` line."""
    mode: Literal["single", "persistent"] = "single"
    """`single`: it runs once for each event. `persistent`: it goes on, with a line in and out for each."""
    timeout_ms: int = Field(default=30_000, gt=0)
    """After that many milliseconds for one event it is ended, with all that it started."""
    cwd: Annotated[ProjectPath | None, BeforeValidator(_project)] = Field(default=None, validate_default=True)
    """Where it runs: the project's directory if absent."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables to set, such as `JIRA_TOKEN: ${JIRA_TOKEN}`."""
    env_pass: list[str] = Field(default_factory=list)
    """Names of variables to hand on from OrgLoop's own environment, beyond those that every child gets."""
    _environ: Mapping[str, str] = PrivateAttr(default_factory=lambda: dict(os.environ))

    def model_post_init(self, context: Any) -> None:
        environ = (context or {}).get("environment")
        if environ is not None:
            self._environ = environ

    @property
    def environ(self) -> Mapping[str, str]:
        """OrgLoop's own environment: the one of the project it was loaded with, else the process's."""
        return self._environ


class Script:
    """The open step. Each event is one process, in a session of its own."""

    bounded = False

    def __init__(self, settings: ScriptSettings) -> None:
        path = settings.script
        if not path.is_file():
            raise ValueError(f"there is no script at {path}")
        if not os.access(path, os.X_OK):
            raise ValueError(f"the script {path} is not executable: type chmod +x {path}")
        self._path = path
        self._cwd = settings.cwd if settings.cwd is not None else path.parent
        self._timeout_ms = settings.timeout_ms
        self._keepers: child.Keepers | None = None
        self._environment = child_environment(settings.environ, settings.env_pass, settings.env)

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        raise RuntimeError("a script cannot answer at once: use `apply`")

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        given = as_text(document).encode("utf-8", "replace")
        try:
            return await self._decide(given, document, scope)
        except TimeoutError:
            return Failure(reason=f"ended because it took longer than {humanize(self._timeout_ms)}")
        except child.TooMuch:
            return Failure(reason=f"ended because it printed more than {MAX_OUTPUT // 1024**2} MB")
        except child.Unasked:
            return Failure(reason="ended because it printed more than one line for one event")
        except OSError as exc:
            return Failure(reason=_why_not_started(self._path, exc))

    async def _decide(self, given: bytes, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        task = self._task(_of_route(scope) | _of_event(scope))
        return _verdict(await self._runs().run(task, given), document)

    def _task(self, about: Mapping[str, str]) -> child.Task:
        # What comes from outside may hold what no environment can.
        clean = {
            name: fact.replace("\0", "").encode("utf-8", "replace").decode() for name, fact in about.items()
        }
        prefixed = {f"ORGLOOP_{name}": fact for name, fact in clean.items()}
        return child.Task(
            program=self._path,
            cwd=self._cwd,
            env=self._environment | clean | prefixed,
            timeout_ms=self._timeout_ms,
            max_output=MAX_OUTPUT,
        )

    async def close(self) -> None:
        keepers, self._keepers = self._keepers, None
        if keepers is not None:
            await keepers.leave(self)

    def _runs(self) -> child.Keepers:
        if self._keepers is None:
            self._keepers = child.Keepers.of_loop()
            self._keepers.users.add(self)
        return self._keepers


class PersistentScript(Script):
    """The open step if the program goes on: one process for each route, which gets a line for each event."""

    def __init__(self, settings: ScriptSettings) -> None:
        super().__init__(settings)
        self._conversations: dict[Scope, child.Exchange] = {}

    async def close(self) -> None:
        for conversation in self._conversations.values():
            await conversation.close()
        await super().close()

    async def _decide(self, given: bytes, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        route = replace(scope, event_type="", event_id="")
        if route not in self._conversations:
            task = self._task(_of_route(scope))
            self._conversations[route] = child.Exchange(self._runs(), task)
        conversation = self._conversations[route]
        ended = await conversation.ask(given)
        if ended.status is not None:
            return Failure(reason=_how(ended.status, ended.stderr))
        if not ended.printed.strip():
            return Discard(reason=ended.stderr or "printed an empty line")
        result = _read(ended.printed, document)
        if isinstance(result, Change) and result.document.get("id", document.get("id")) != document.get("id"):
            result = Failure(reason="printed an event with another id")
        if isinstance(result, Failure):
            # Its lines may no longer be those of the events: it begins again.
            await conversation.close()
        return result


def _of_route(scope: Scope) -> dict[str, str]:
    return {"SOURCE": scope.source, "TARGET": scope.actor, "ROUTE": scope.route}


def _of_event(scope: Scope) -> dict[str, str]:
    return {"EVENT_TYPE": scope.event_type, "EVENT_ID": scope.event_id}


def _verdict(ended: child.Ended, document: Mapping[str, Any]) -> TransformResult:
    status, message = ended.status or 0, ended.stderr
    if status == 0 and ended.printed.strip():
        return _read(ended.printed, document)
    if status == 0:
        return Discard(reason=message or "printed nothing")
    if status in DROPS:
        return Discard(reason=message or f"exit status {status}")
    return Failure(reason=_how(status, message))


def _how(status: int, message: str) -> str:
    """How it ended, and the last words of its stderr."""
    how = f"exit status {status}" if status >= 0 else f"killed by {_signal_name(-status)}"
    return f"{how}: {message}" if message else how


def _read(printed: bytes, document: Mapping[str, Any]) -> TransformResult:
    try:
        result = load_json(printed)
    except NotJson as exc:
        return Failure(reason=f"printed something that is not JSON: {exc}")
    match result:
        case dict():
            return Pass() if same(result, document) else Change(document=result)
        case None | False | 0 | "":
            return Pass()
        case _:
            return Failure(reason=f"printed {_shown(result)}, which is not an event: print a JSON object")


def _shown(result: Any) -> str:
    shown = as_text(result)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _why_not_started(path: Path, exc: OSError) -> str:
    match exc:
        case FileNotFoundError() if path.exists() and exc.filename == str(path):
            why = "the program that its #! line names does not exist"
        case FileNotFoundError() | NotADirectoryError():
            why = f"there is nothing at {exc.filename}"
        case PermissionError():
            why = f"it is not executable: type chmod +x {path}"
        case OSError(errno=errno.ENOEXEC):
            why = "it does not begin with a #! line, such as #!/bin/sh"
        case _:
            why = exc.strerror or str(exc)
    return f"{path} cannot be started: {why}"


def _open(settings: ScriptSettings) -> Script:
    return PersistentScript(settings) if settings.mode == "persistent" else Script(settings)


transform = TransformPlugin(
    name="script", title="Pass, change or drop events with a program", settings=ScriptSettings, open=_open
)
