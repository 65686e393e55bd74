"""The `config:` map of a Pi actor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from orgloop.connectors.agents.settings import Binary, CliSettings, Word
from orgloop.plugin import ARGUMENT_LIMIT


def _tool(name: str) -> str:
    if "," in name:
        raise ValueError(f"must be one tool, not {name!r}: write a list")
    return name


def _argument(value: str) -> str:
    if "\0" in value or len(value.encode("utf-8", "replace")) > ARGUMENT_LIMIT:
        raise ValueError(f"must have at most {ARGUMENT_LIMIT} bytes, and no NUL")
    return value


Tool = Annotated[Word, AfterValidator(_tool)]


class PiSettings(CliSettings):
    """An actor that runs the Pi CLI."""

    tools: tuple[Tool, ...] | None = None
    """Tools that it has, and no others: a list of names such as `read`, `grep`, `edit`, `bash`."""
    exclude_tools: tuple[Tool, ...] = ()
    """Tools that it does not have."""
    provider: Word | None = None
    """The provider of the model."""
    model: Word | None = None
    """The model. The CLI's own default otherwise."""
    effort: Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How much the model reasons."""
    append_system_prompt: Annotated[str, AfterValidator(_argument)] | None = None
    """Text behind the CLI's own system prompt."""
    trust_project: bool = False
    """Whether settings and extensions of the directory count. They may run programs."""
    binary: Binary = "pi"
    """The CLI: a name in PATH, or a path beside this file or in the project."""

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean."""
        named = (
            ("--provider", self.provider),
            ("--model", self.model),
            ("--thinking", self.effort),
            ("--append-system-prompt", self.append_system_prompt),
        )
        options = ["--approve" if self.trust_project else "--no-approve"]
        options += [word for option, value in named if value is not None for word in (option, value)]
        if self.tools is not None:
            options += ["--tools", ",".join(self.tools)] if self.tools else ["--no-tools"]
        if self.exclude_tools:
            options += ["--exclude-tools", ",".join(self.exclude_tools)]
        return options
