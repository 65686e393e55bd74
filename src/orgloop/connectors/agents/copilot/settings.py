"""The `config:` map of a Copilot actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from orgloop.connectors.agents.settings import Binary, CliSettings, Word, no_boolean


class CopilotSettings(CliSettings):
    """An actor that runs the Copilot CLI."""

    allowed_tools: tuple[Word, ...] = ()
    """Tools that it may use without asking, such as `write` or `shell(git:*)`. Others are refused."""
    disallowed_tools: tuple[Word, ...] = ()
    """Tools that it may never use."""
    allow_all_tools: bool = False
    """Whether it may use every tool."""
    model: Word | None = None
    """The model. The CLI's own default otherwise."""
    agent: Word | None = None
    """A custom agent of the CLI's own configuration."""
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How much the model reasons."""
    max_ai_credits: Annotated[int, BeforeValidator(no_boolean), Field(ge=30)] | None = None
    """AI credits that a run may use: at least 30. The CLI ends soon after them, and not at once."""
    binary: Binary = "copilot"
    """The CLI: a name in PATH, or a path beside this file or in the project."""

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        if self.allow_all_tools:
            found["allow_all_tools"] = (
                "is true, so the agent may do anything that an event tells it to do; "
                "name what it needs in `allowed_tools`, or keep it in a container"
            )
        return found

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean."""
        named = (
            ("--model", self.model),
            ("--agent", self.agent),
            ("--reasoning-effort", self.effort),
            ("--max-ai-credits", self.max_ai_credits),
        )
        options = [f"{option}={value}" for option, value in named if value is not None]
        options += ["--allow-all-tools"] if self.allow_all_tools else []
        options += [f"--allow-tool={tool}" for tool in self.allowed_tools]
        return [*options, *(f"--deny-tool={tool}" for tool in self.disallowed_tools)]
