"""The `config:` map of a Claude Code actor."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from orgloop.connectors.agents.claude_code.environment import FIXED, login_names
from orgloop.connectors.agents.settings import (
    Binary,
    CliSettings,
    Count,
    Dollars,
    Word,
)
from orgloop.plugin import ARGUMENT_LIMIT

PermissionMode = Literal["default", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions"]


def _project_budget(value: Any, info: ValidationInfo) -> Any:
    return (info.context or {}).get("run_usd") if value is None else value


def _rules(value: Any) -> Any:
    """`Bash(git *), Edit`, or a list of such rules."""
    return _split(value) if isinstance(value, str) else value


def _split(text: str) -> list[str]:
    rules, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth <= 0:
            rules.append(text[start:at])
            start = at + 1
    return [rule.strip() for rule in [*rules, text[start:]] if rule.strip()]


def _rule(value: str) -> str:
    rule = value.strip()
    if not rule or rule.startswith("-") or "\0" in rule:
        raise ValueError(f"must be rules such as Edit or Bash(git *), not {value!r}")
    return rule


def _argument(value: str) -> str:
    if "\0" in value or len(value.encode("utf-8", "replace")) > ARGUMENT_LIMIT:
        raise ValueError(f"must have at most {ARGUMENT_LIMIT} bytes, and no NUL")
    return value


_COMMANDS: Final = ("Bash", "WebFetch")

SCHEDULING: Final = ("CronCreate", "ScheduleWakeup", "RemoteTrigger")
"""Tools with which the agent would begin work later that nobody woke it for."""

NO_LIMITS: Final = "the agent may do anything that an event tells it to do"
INSTEAD: Final = "name what it needs in `allowed_tools` and use acceptEdits, or keep it in a container"
"""What to do about `bypassPermissions`."""

Rules = Annotated[
    tuple[Annotated[str, AfterValidator(_rule)], ...],
    BeforeValidator(_rules, json_schema_input_type=str | tuple[str, ...]),
]


def _models(value: Any) -> Any:
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


Models = Annotated[tuple[Word, ...], BeforeValidator(_models, json_schema_input_type=str | tuple[str, ...])]


class ClaudeCodeSettings(CliSettings):
    """An actor that runs Claude Code."""

    permission_mode: PermissionMode = "default"
    """What it may do without asking. Nobody is there to be asked: what would be asked is refused."""
    sandbox: Literal["none", "restricted"] = "none"
    """`restricted`: no commands, no web, files of the directory only, and no settings of user or project."""
    allowed_tools: Rules = ()
    """Tools that it may use without asking: a list of rules such as `Edit` or `Bash(git *)`."""
    disallowed_tools: Rules = ()
    """Tools that it may never use, as rules."""
    scheduling: bool = False
    """Whether it may schedule work by itself: `CronCreate`, `ScheduleWakeup`, `RemoteTrigger`."""
    model: Word | None = None
    """The model, by alias or name. The CLI's own default otherwise."""
    fallback_model: Models = ()
    """A model, or a list of them, that it uses while the first one is overloaded."""
    max_turns: Count | None = None
    """How many turns a run may take."""
    max_budget_usd: Annotated[Dollars | None, BeforeValidator(_project_budget)] = Field(
        default=None, validate_default=True
    )
    """US dollars that a run may cost. The project's `defaults.budget.run_usd` by default."""
    append_system_prompt: Annotated[str, AfterValidator(_argument)] | None = None
    """Text behind the CLI's own system prompt."""
    binary: Binary = "claude"
    """The CLI: a name in PATH, or a path beside this file or in the project."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.sandbox == "restricted" and self.permission_mode == "bypassPermissions":
            raise ValueError("must not have `permission_mode: bypassPermissions` with `sandbox: restricted`")
        return self

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        commands = [rule for rule in self.allowed_tools if rule.startswith(_COMMANDS)]
        if self.sandbox == "restricted" and commands:
            found["allowed_tools"] = (
                f"allows {commands[0]}, which `sandbox: restricted` takes away; remove it"
            )
        if self.permission_mode == "bypassPermissions":
            found["permission_mode"] = f"is bypassPermissions, so {NO_LIMITS}; {INSTEAD}"
        return found

    @property
    def stop_signal(self) -> int:
        """The CLI ends its own commands, and says what it cost, only when it is interrupted."""
        return signal.SIGINT

    @property
    def variables(self) -> dict[str, str]:
        return {**FIXED, **super().variables}

    def passed(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Names that a run takes over from the project's `environment`."""
        return (*login_names({**environment, **self.variables}), *self.env_pass)

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean."""
        options = ["--permission-mode", self.permission_mode]
        if self.sandbox == "restricted":
            options.append("--restricted")
        if self.model is not None:
            options += ["--model", self.model]
        if self.fallback_model:
            options += ["--fallback-model", ",".join(self.fallback_model)]
        if self.max_turns is not None:
            options += ["--max-turns", str(self.max_turns)]
        if self.max_budget_usd is not None:
            options += ["--max-budget-usd", format(Decimal(str(self.max_budget_usd)), "f")]
        if self.append_system_prompt is not None:
            options += ["--append-system-prompt", self.append_system_prompt]
        if self.allowed_tools:
            options += ["--allowedTools", *self.allowed_tools]
        disallowed = [*self.disallowed_tools, *(() if self.scheduling else SCHEDULING)]
        if disallowed:
            options += ["--disallowedTools", *disallowed]
        return options
