"""One thing that needs a person, and the commands that name a project."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing. `urgent`: something is broken, not only doubtful. `since` is in ms since 1970."""

    kind: str
    text: str
    command: str
    urgent: bool = False
    since: int | None = None
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        from orgloop.core.record import timestamp

        return {
            "kind": self.kind,
            "message": self.text,
            "command": self.command,
            "urgent": self.urgent,
            "since": timestamp(self.since) if self.since is not None else None,
            "count": self.count,
        }


def start_command(root: str) -> str:
    """How to start this project from where we are."""
    return f"orgloop start --daemon{config_option(root)}"


def config_option(root: str) -> str:
    """The option that names this project, unless a command would find it by itself."""
    if not root or Path.cwd().is_relative_to(root):
        return ""
    return f" --config {shlex.quote(root)}"
