"""The project that a home ran before, where another one is about to use it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orgloop.core.delivery import State

if TYPE_CHECKING:
    from orgloop.journal.protocols import Reader


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """It, and how many of its deliveries are not finished, by state. What is dead is finished."""

    project: str
    root: Path
    unfinished: Mapping[str, int]

    @property
    def work(self) -> str:
        """`2 pending, 1 started`; empty if all is finished."""
        return ", ".join(f"{count} {state}" for state, count in sorted(self.unfinished.items()))

    @property
    def words(self) -> str:
        """What another project has to know: why it does not start, or who was there before it."""
        if not self.unfinished:
            return f"this home ran {self.project} in {self.root} before; its history stays"
        return (
            f"this home last ran {self.project} in {self.root}, "
            f"which has work that is not finished: {self.work}"
        )

    def ways_out(self, name: str, port: int) -> str:
        """What to type for a project called `name` to start all the same; this home has `port`."""
        if not self.unfinished:
            return ""
        there = f"cd {shlex.quote(str(self.root))} && orgloop"
        decide = f"and decide what is held: {there} held\n" if State.HELD in self.unfinished else ""
        return (
            f"finish it first: {there} start\n"
            f"{decide}"
            f"or give {name} a home and port of its own:\n"
            f"{own_home(name, port)}\n"
            f"or, if that work is to be done by {name}:\n"
            "orgloop start --take-over"
        )


def earlier_project(reader: Reader, root: Path) -> Earlier | None:
    """The project that ran here last, if that is not the one in `root`, and still is where it was.

    One that is gone from there was moved: it is the same project in another place.
    """
    applied = reader.applied()
    if applied is None:
        return None
    there = Path(applied.root)
    if there.resolve() == root.resolve() or not _has_project(there):
        return None
    counts: dict[str, int] = {}
    for row in reader.backlog():
        if row.state is not State.DEAD:
            counts[row.state] = counts.get(row.state, 0) + row.count
    return Earlier(project=applied.project, root=there, unfinished=counts)


def own_home(name: str, port: int) -> str:
    """The command that starts a project beside one that has this port."""
    return f"ORGLOOP_HOME=~/.orgloop-{name} ORGLOOP_PORT={port + 1} orgloop start"


def _has_project(directory: Path) -> bool:
    from orgloop.config.load import FILE_NAMES  # takes long, and every command that looks comes by here

    try:
        return any((directory / name).is_file() for name in FILE_NAMES)
    except OSError:
        return False
