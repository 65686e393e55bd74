"""What every actor with runs can be told: where it works, which variables it gets, how long it may take."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationInfo

from orgloop.connectors.agents.files import what_is_missing
from orgloop.plugin import (
    ARGUMENT_LIMIT,
    HOUR,
    MINUTE,
    SECOND,
    Duration,
    OwnVariableName,
    ProjectPath,
    Refused,
    RunLimitsSpec,
    Settings,
    Size,
    VariableName,
    VariableValue,
    Wake,
    WakeSession,
    Worktree,
    child_environment,
    dump_json,
)

KEY_LIMIT: Final = 1_000
"""Characters of a session key that a run is told; a longer one ends in a hash of all of it."""

_PATH: Final[TypeAdapter[Any]] = TypeAdapter(ProjectPath)
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


def _or_project(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and "{{" in value:
        raise ValueError(
            "is one directory for all runs, so no {{ }} is filled in: make an actor for each one"
        )
    return Path((info.context or {}).get("project") or "") if value is None else value


def _with_unit(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("must have a unit: write 90s, 10m or 2h")
    return value


def no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _word(value: str) -> str:
    if not value.strip() or value.startswith("-") or "\0" in value:
        raise ValueError(f"must be a name, not {value!r}")
    return value


def _binary(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str) or "/" not in value:
        return value
    return os.fspath(_PATH.validate_python(value, context=info.context))


WorkingDirectory = Annotated[ProjectPath, BeforeValidator(_or_project)]
"""A directory, as `ProjectPath`; the project's own if nothing is said."""

Limit = Annotated[Duration, BeforeValidator(_with_unit), Field(gt=0)]
"""`10m` in YAML, milliseconds in Python; a bare number is no limit that anybody meant."""

Count = Annotated[int, BeforeValidator(no_boolean), Field(ge=1)]
"""A whole number from 1."""

Dollars = Annotated[float, BeforeValidator(no_boolean), Field(gt=0, allow_inf_nan=False)]
"""US dollars, above zero."""

Word = Annotated[str, AfterValidator(_word)]
"""A name that no command line takes for an option."""

Binary = Annotated[Word, BeforeValidator(_binary)]
"""A program: a name in PATH, or a path beside the file that names it, or in the project."""


class RunSettings(Settings):
    """Settings of an actor that runs a program."""

    cwd: WorkingDirectory = Field(default=None, validate_default=True)
    """The directory in which it works, beside this file or in the project; by default the project's own."""
    worktree: Worktree | None = None
    """Work trees of the repository in `cwd`: one for each session key, or one for each run."""
    env: dict[OwnVariableName, VariableValue] = Field(default_factory=dict)
    """Variables that it gets. Values never print."""
    env_pass: tuple[VariableName, ...] = ()
    """Further variables that it gets from the daemon's environment or the project's `.env`, by name."""
    timeout: Limit | None = HOUR
    """How long a run may take. Null: as long as it likes."""
    start_timeout: Limit | None = None
    """How long it may take until its first output."""
    silence_timeout: Limit | None = None
    """How long it may write nothing."""
    grace: Limit = 10 * SECOND
    """How long it has to end by itself once it is told to; then it is killed."""
    max_output: Annotated[Size, Field(gt=0)] = 256 * 1024 * 1024
    """How much it may write."""

    @property
    def directory(self) -> str:
        """The directory in which it works, by its real name: two names of one place are one place."""
        return os.path.realpath(self.cwd)

    @property
    def exclusive_directory(self) -> str | None:
        """The same, if only one run may work there at a time."""
        return self.directory if self.worktree is None else None

    @property
    def limits(self) -> RunLimitsSpec:
        """The limits, in the runner's units."""
        return RunLimitsSpec(
            start_s=_seconds(self.start_timeout),
            silence_s=_seconds(self.silence_timeout),
            total_s=_seconds(self.timeout),
            output_bytes=self.max_output,
            grace_s=self.grace / SECOND,
            stop_signal=self.stop_signal,
        )

    @property
    def stop_signal(self) -> int:
        """What asks it to stop."""
        return signal.SIGTERM

    @property
    def variables(self) -> dict[str, str]:
        """What it gets beside the engine's own: `env`, readable."""
        return {name: value.get_secret_value() for name, value in self.env.items()}

    def child(self, environment: Mapping[str, str], passed: tuple[str, ...]) -> dict[str, str]:
        """What a run gets of the project's `environment`, but for the ORGLOOP_ variables of its wake."""
        return child_environment(environment, passed, self.variables)

    def warnings(self) -> Mapping[str, str]:
        if not Path(self.cwd).is_dir():
            return {"cwd": f"{self.cwd} is not a directory, so the actor's work would wait; create it"}
        branch = self.worktree.branch if self.worktree is not None else None
        if branch is not None and "{{" not in branch:
            said = "names one branch, and git lets one work tree have it; write a placeholder into it"
            return {"worktree.branch": said}
        return {}

    def missing(self) -> Mapping[str, str]:
        command = self.worktree.setup if self.worktree is not None else None
        text = what_is_missing(command, self.directory) if command is not None else None
        return {"worktree.setup": text} if text is not None else {}

    @classmethod
    def check_route(cls, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Keys of a route's `then.config` that are settings of the actor: there they would do nothing."""
        why = "is a setting of the actor and has no effect here: move it into the `config` of the actor"
        return {key: why for key in config if key in cls.model_fields}

    def for_wake(self, wake: Wake, session: WakeSession | None) -> dict[str, str]:
        """What the actor adds to the child's environment.

        `then.config` goes along as JSON. Raises Refused for what cannot be honoured: a key of it
        that is a setting of the actor, or too much of it.
        """
        misplaced = next(iter(type(self).check_route(wake.config)), None)
        if misplaced is not None:
            raise Refused(
                f"route {wake.route}: `then.config.{misplaced}` has no effect",
                hint=f"write `{misplaced}` into the `config` of the actor {wake.actor}",
            )
        config = dump_json(wake.config).decode()
        if len(config.encode()) > ARGUMENT_LIMIT:
            raise Refused(
                f"route {wake.route}: its `then.config` is longer than {ARGUMENT_LIMIT} bytes for this event",
                hint="read the event from $ORGLOOP_EVENT_FILE instead",
            )
        own = {"ORGLOOP_CONFIG": config}
        if session is not None:
            own["ORGLOOP_SESSION_KEY"] = _as_variable(session.key)
        return self.variables | own


def _as_variable(key: str) -> str:
    """A session key as a variable can carry it: without NUL, and not too long, but still this one."""
    text = key.replace("\0", "\ufffd")
    if text == key and len(text) <= KEY_LIMIT:
        return text
    return f"{text[:KEY_LIMIT]}…{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def known_session(session: WakeSession | None) -> str | None:
    """The session to take up. The agent named it, so what no command line takes for a name is none."""
    known = session.id if session is not None else None
    return known if known is not None and _SESSION.fullmatch(known) else None


def _seconds(duration: int | None) -> float | None:
    return None if duration is None else duration / SECOND


class CliSettings(RunSettings):
    """What every actor that runs an agent's command line can be told."""

    binary: Binary
    """The CLI: a name in PATH, or a path beside this file or in the project."""
    start_timeout: Limit | None = 2 * MINUTE
    """How long it may take until its first output. Then it is ended, and the wake tried again."""
    # A command of the agent may take ten minutes, and nothing is written meanwhile.
    silence_timeout: Limit | None = 15 * MINUTE
    """How long it may write nothing."""

    def missing(self) -> Mapping[str, str]:
        found = dict(super().missing())
        if (text := what_is_missing([self.binary], self.directory)) is not None:
            found["binary"] = text
        return found
