"""The `config:` map of a Gemini actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orgloop.connectors.agents.settings import Binary, CliSettings, Word


class GeminiSettings(CliSettings):
    """An actor that runs the Gemini CLI."""

    approval_mode: Literal["default", "auto_edit", "yolo", "plan"] = "default"
    """What it may do without asking. Nobody is there to be asked: what would be asked is refused."""
    model: Word | None = None
    """The model. The CLI's own choice otherwise."""
    binary: Binary = "gemini"
    """The CLI: a name in PATH, or a path beside this file or in the project."""

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        if self.approval_mode == "yolo":
            found["approval_mode"] = (
                "is yolo, so the agent may do anything that an event tells it to do; "
                "use auto_edit, or keep it in a container"
            )
        return found

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean."""
        model = [] if self.model is None else ["--model", self.model]
        return ["--approval-mode", self.approval_mode, *model]
