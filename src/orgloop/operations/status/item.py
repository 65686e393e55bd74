"""One thing that needs a person, and the commands that name a project."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing. `urgent`: something is broken, not only doubtful. `since` is in ms since 1970.

    `name` tells those of one kind apart. `last` is when it happened last, if it is something that has
    happened: then `orgloop dismiss` takes it off the list, until it happens again. What still is so has none.
    """

    kind: str
    name: str = ""
    text: str
    command: str
    urgent: bool = False
    since: int | None = None
    count: int = 1
    last: int | None = None

    @property
    def id(self) -> str:
        """`refused:github`: what `orgloop dismiss` calls it."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        from orgloop.core.records.record import timestamp

        return {
            "id": self.id,
            "kind": self.kind,
            "message": self.text,
            "command": self.command,
            "urgent": self.urgent,
            "since": timestamp(self.since) if self.since is not None else None,
            "count": self.count,
            "dismissible": self.last is not None,
        }


def start_command(root: str) -> str:
    """How to start this project from where we are."""
    return f"orgloop start --daemon{config_option(root)}"


def config_option(root: str) -> str:
    """The option that names this project, unless a command would find it by itself."""
    if not root or Path.cwd().is_relative_to(root):
        return ""
    return f" --config {shlex.quote(root)}"
