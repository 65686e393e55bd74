"""The `config:` map of an OpenCode actor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from orgloop.connectors.agents.settings import Binary, CliSettings, Limit, Word
from orgloop.plugin import MINUTE

Permission = Literal["allow", "ask", "deny"]


class OpencodeSettings(CliSettings):
    """An actor that runs the OpenCode CLI."""

    permission: dict[Word, Permission | dict[str, Permission]] | None = None
    """What it may do, by tool: `{edit: allow, bash: {"*": deny, "git *": allow}}`. Nobody is asked."""
    approve_all: bool = False
    """Whether it may do all that it would ask for."""
    model: Word | None = None
    """The model, as `provider/model`. The CLI's own default otherwise."""
    agent: Word | None = None
    """The agent of the CLI's own configuration."""
    effort: Word | None = None
    """How much the model reasons: a variant of the model, such as `high`."""
    binary: Binary = "opencode"
    """The CLI: a name in PATH, or a path beside this file or in the project."""
    # Its first line comes with the model's first answer.
    start_timeout: Limit | None = 10 * MINUTE
    """How long it may take until its first output: the model's first answer."""

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        if self.approve_all:
            found["approve_all"] = (
                "is true, so the agent may do anything that an event tells it to do; "
                "name what it needs in `permission`, or keep it in a container"
            )
        return found

    @property
    def variables(self) -> dict[str, str]:
        own = {} if self.permission is None else {"OPENCODE_PERMISSION": json.dumps(self.permission)}
        return {**own, **super().variables}

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean."""
        named = (("--model", self.model), ("--agent", self.agent), ("--variant", self.effort))
        options = [word for option, value in named if value is not None for word in (option, value)]
        return [*options, *(["--auto"] if self.approve_all else [])]
