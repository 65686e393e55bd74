"""Things that need a person: one of them, the commands that name a project, and what a person dismissed."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.project.home import Home, read_file, replace_file

KEPT: Final = 30 * 24 * 3600 * 1000
"""Milliseconds after which a dismissal is forgotten: nothing is told for so long."""


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


def dismissed(home: Home) -> Mapping[str, int]:
    """By the items' ids, when each was dismissed (ms since 1970). Nothing if the file cannot be read."""
    try:
        document = json.loads(read_file(home.dismissed))
        return {str(id): int(at) for id, at in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def dismiss(home: Home, ids: Iterable[str], now: int | None = None) -> None:
    """Remember that these are seen. Raises OrgLoopError if that cannot be written."""
    now = int(time.time() * 1000) if now is None else now
    known = {id: at for id, at in dismissed(home).items() if now - at < KEPT}
    home.ensure()
    with home.writing():
        replace_file(home.dismissed, json.dumps(known | dict.fromkeys(ids, now)))


def undismissed(items: Sequence[Item], seen: Mapping[str, int]) -> list[Item]:
    """Those that nobody dismissed since they happened last."""
    return [one for one in items if one.last is None or seen.get(one.id, -1) < one.last]
