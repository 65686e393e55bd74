"""Any program as an actor: a script, or an agent that has no connector of its own."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID, uuid5

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationInfo, model_validator

from orgloop.connectors.agents import program
from orgloop.connectors.agents.any_agent import OutputSettings, Sessions, classify_exit, progress, words_of
from orgloop.connectors.agents.files import what_is_missing
from orgloop.connectors.agents.result import ended, json_of_output, last_line, last_part
from orgloop.connectors.agents.settings import Count, RunSettings, known_session
from orgloop.plugin import (
    ARGUMENT_LIMIT,
    Abilities,
    ActorKind,
    CheckResult,
    CheckStatus,
    Completion,
    Connector,
    Context,
    ExitInfo,
    NotBegun,
    Progress,
    ProjectPath,
    Refused,
    Retry,
    RunOutcome,
    RunSpec,
    Settings,
    Setup,
    Unavailable,
    Wake,
    WakeSession,
    last_words,
)

_NOT_FOUND: Final = re.compile(r"\S*env: [^\n]*|[^\n]*: bad interpreter: [^\n]*")
"""What `env` of a `#!` line, or a shell that was given a script, says if there is no such interpreter."""

_SESSIONS: Final = UUID("d5b8a3f6-8a5b-5c9e-8e3d-0b7f6f5f0c52")

_PATH: Final[TypeAdapter[Any]] = TypeAdapter(ProjectPath)


def _command(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as exc:
            raise ValueError(f"must be a command line: {str(exc).lower()}: write a list of words") from exc
    if not isinstance(value, list | tuple):
        return value
    words = [str(word) if isinstance(word, int | float) else word for word in value]
    if not words or not all(isinstance(word, str) for word in words) or not words[0].strip():
        raise ValueError('must name a program: write a list of words such as ["python3", "agent.py"]')
    if any("\0" in word or len(word.encode("utf-8", "replace")) > ARGUMENT_LIMIT for word in words):
        raise ValueError(f"must be of words without NUL, of at most {ARGUMENT_LIMIT} bytes each")
    first = words[0]
    if "/" in first:
        first = os.fspath(_PATH.validate_python(first, context=info.context))
    return (first, *words[1:])


class RetrySettings(Settings):
    """When a run counts as not begun."""

    on_exit: tuple[Annotated[Count, Field(le=255)], ...] = ()
    """Exit statuses with which the program says that it did nothing: the wake is tried again."""


class ProcessSettings(RunSettings):
    """An actor that runs a program."""

    command: Annotated[
        tuple[str, ...],
        BeforeValidator(_command, json_schema_input_type=str | tuple[str | int | float, ...]),
    ]
    """The program and its arguments: a list, or one line that is split as a shell would. No shell runs it."""
    prompt: Literal["stdin", "argument", "file", "none"] = "stdin"
    """How it gets the prompt: on `stdin`, as last `argument`, as the name of a `file` there, or `none`."""
    output: OutputSettings | None = None
    """How to understand a program that writes JSON objects, one a line: its result, session and cost."""
    sessions: Sessions | None = None
    """How the program goes on in the session of its key: words that take one up."""
    retry: RetrySettings = RetrySettings()
    """`{on_exit: [75]}`: exit statuses after which the wake is tried again."""
    overlap: bool = False
    """Lets runs overlap in one directory. Otherwise one run works there at a time."""

    @property
    def exclusive_directory(self) -> str | None:
        return None if self.overlap else super().exclusive_directory

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.sessions is not None and self.output is None:
            raise ValueError("needs `output` beside `sessions`: it shows which session a run has")
        names = self.output is not None and self.output.session is not None
        if self.sessions is not None and self.sessions.begin is None and not names:
            raise ValueError("needs `output.session` or `sessions.begin`: else nobody knows a session's id")
        return self

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        if self.overlap and self.worktree is not None:
            found["overlap"] = "has no effect: with `worktree`, runs have trees of their own; remove it"
        return found

    def missing(self) -> Mapping[str, str]:
        found = dict(super().missing())
        if (text := what_is_missing(self.command, self.directory)) is not None:
            found["command"] = text
        return found


class ProcessActor:
    """Runs one program for each wake."""

    harness: Final = "process"

    def __init__(self, id: str, settings: ProcessSettings) -> None:
        self._id = id
        self._settings = settings

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def directory(self) -> str | None:
        return self._settings.exclusive_directory

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        settings = self._settings
        session_id, words = self._session(wake, session)
        argv = [*settings.command, *words]
        if settings.prompt == "argument":
            argv.append(_argument(wake))
        if settings.prompt == "file":
            argv.append(wake.prompt_file or "")
        taken_up = words_of(settings.sessions.resume, session_id) if settings.sessions and session_id else ()
        return RunSpec(
            argv=argv,
            session_id=session_id,
            turns=settings.output.turns if settings.output is not None else None,
            take_over=[*settings.command, *taken_up] if taken_up else (),
            cwd=settings.directory,
            stdin=wake.prompt if settings.prompt == "stdin" else "",
            env=settings.for_wake(wake, session),
            env_pass=settings.env_pass,
            limits=settings.limits,
        )

    def _session(self, wake: Wake, session: WakeSession | None) -> tuple[str | None, list[str]]:
        """The id of the session, if it is known before the program runs, and the words that name it."""
        sessions = self._settings.sessions
        if sessions is None:
            return None, []
        known = known_session(session)
        if known is not None:
            return known, words_of(sessions.resume, known)
        if sessions.begin is None:
            return None, []
        new = str(uuid5(_SESSIONS, wake.run_id or wake.delivery_id))
        return new, words_of(sessions.begin, new)

    def read(self, line: str) -> Progress | None:
        if self._settings.output is not None:
            return progress(line, self._settings.output)
        text = last_line(line)
        # A program that may yet say that it did nothing has not shown by its words that it works.
        return Progress(text=text, alive=not self._settings.retry.on_exit) if text else None

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        if exit.stopped is None and exit.status in self._settings.retry.on_exit:
            reason = last_line(exit.stderr) or last_line(exit.stdout)
            return NotBegun(outcome=Retry(reason=f"exit status {exit.status}: {reason}".rstrip(": ")))
        absent = _absent(self._settings, exit)
        if absent is not None:
            return NotBegun(outcome=Unavailable(reason=absent))
        if self._settings.output is not None:
            return classify_exit(exit, self._settings.output, self._settings.sessions, self._id)
        phase, outcome, reason = ended(exit)
        text = (
            last_words(exit.stdout, exit.stderr)
            if outcome is not RunOutcome.SUCCESS
            else last_part(exit.stdout)
        )
        found = json_of_output(exit.stdout)
        return Completion(
            phase=phase,
            outcome=outcome,
            reason=reason,
            text=text,
            json=found.json,
            details={"json_error": found.error} if found.error is not None else {},
        )


class PricedProcessActor(ProcessActor):
    """The same, of a program that tells what a run costs. It keeps no cap of its own."""

    @property
    def cap_usd(self) -> float | None:
        return None


def _open(id: str, settings: ProcessSettings) -> ProcessActor:
    priced = settings.output is not None and settings.output.cost_usd is not None
    return PricedProcessActor(id, settings) if priced else ProcessActor(id, settings)


def _absent(settings: ProcessSettings, exit: ExitInfo) -> str | None:
    """What is not there, so that the program cannot have begun; None if it may have.

    A shell ends with 127, too, after work that it has done: so only those count who find programs for others.
    """
    if exit.stopped is not None or exit.stdout.strip() or not exit.status or exit.status > 127:
        return None
    if exit.status in (126, 127) and _NOT_FOUND.fullmatch(exit.stderr.strip()[:1000]):
        return f"{last_line(exit.stderr)}; install it, or change `command` of the actor"
    if settings.worktree is not None:
        # Nobody knows here what its tree had.
        return None
    missing = what_is_missing(settings.command, settings.directory)
    return f"`command` {missing}" if missing is not None else None


def _argument(wake: Wake) -> str:
    if "\0" in wake.prompt or len(wake.prompt.encode("utf-8", "replace")) > ARGUMENT_LIMIT:
        raise Refused(
            f"route {wake.route}: the prompt has a NUL or over {ARGUMENT_LIMIT} bytes, "
            "so it cannot be an argument",
            hint=f"set `prompt: stdin` in the `config` of the actor {wake.actor}",
        )
    return wake.prompt


async def _check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    if not isinstance(settings, ProcessSettings):
        return []
    name = settings.command[0]
    environment = settings.child(ctx.environment, settings.env_pass)
    found = await program.find(name, environment)
    if found is not None and await program.lacks_interpreter(found):
        executable = CheckResult(
            name="command",
            status=CheckStatus.ERROR,
            detail=f"{found} does not say what runs it",
            hint="begin the file with a line such as #!/bin/sh",
        )
    elif found is not None:
        executable = CheckResult(name="command", status=CheckStatus.OK, detail=found)
    else:
        executable = CheckResult(
            name="command",
            status=CheckStatus.MISSING,
            detail=f"there is no program {name} that can be run",
            hint="make the file executable" if "/" in name else f"install {name}, or write its path",
        )
    return [executable, *await program.check_places(settings, environment)]


_NOTE: Final = """\
read -r task
printf '%s  %s  %s\\n' "$ORGLOOP_EVENT_ID" "$ORGLOOP_EVENT_TYPE" "$task" >> done.log
printf '```json\\n{"decision": "noted"}\\n```\\n'
"""

connector: Final = Connector(
    name="process",
    first_actor=True,
    title="Any program: a script, or an agent without a connector of its own",
    actor=ActorKind(
        settings=ProcessSettings,
        open=_open,
        has_runs=lambda _: True,
        wakes_agent=True,
        abilities=lambda settings: Abilities(resume=settings.sessions is not None),
        check_route=ProcessSettings.check_route,
        scaffold={"command": ["sh", "-c", _NOTE]},
    ),
    setup=Setup(check=_check),
)
