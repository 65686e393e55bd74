"""Whose home this is: in one project's directory no command is silently about another one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop.core.deliveries.delivery import State
from orgloop.errors import Conflict, DaemonError, JournalError, NotFound
from orgloop.journal.backend import open_reader
from orgloop.journal.protocols import Reader
from orgloop.project.home import DaemonInfo, Home, running_daemon, running_supervisor

_MOST_HOMES: Final = 100
"""Homes of one name that are looked at for one that is free."""


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

    def ways_out(self, name: str, root: Path, port: int) -> str:
        """What to type for the project `name` in `root` to start all the same; this home has `port`."""
        if not self.unfinished:
            return ""
        there = f"cd {shlex.quote(str(self.root))} && orgloop"
        decide = f"and decide what is held: {there} held\n" if State.HELD in self.unfinished else ""
        return (
            f"finish it first: {there} start\n"
            f"{decide}"
            f"or give {name} a home and port of its own:\n"
            f"{own_home(name, root, port)}\n"
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


def own_home(name: str, root: Path, port: int) -> str:
    """The command that starts the project in `root` beside one that has this port, in a home that is free."""
    names = (f".orgloop-{name}{f'-{number}' if number > 1 else ''}" for number in range(1, _MOST_HOMES))
    free = (one for one in names if _is_free(Home(Path.home() / one), root))
    return (
        f"ORGLOOP_HOME=~/{next(free, f'.orgloop-{name}-{_MOST_HOMES}')} ORGLOOP_PORT={port + 1} orgloop start"
    )


def _is_free(home: Home, root: Path) -> bool:
    """Whether no other project than the one in `root` has this home."""
    info = daemon_of(home)
    if info is not None:
        return Path(info.root).resolve() == root.resolve()
    try:
        return earlier_of(home, root) is None
    except JournalError:
        return False


def _has_project(directory: Path) -> bool:
    from orgloop.config.load import FILE_NAMES  # takes long, and every command that looks comes by here

    try:
        return any((directory / name).is_file() for name in FILE_NAMES)
    except OSError:
        return False


def daemon_of(home: Home) -> DaemonInfo | None:
    """This home's daemon, also one that has crashed and is about to come back."""
    info = running_daemon(home)
    if info is None and running_supervisor(home) is not None:
        return home.read_daemon()
    return info


def require_this_project(home: Home, here: Path | None, verb: str) -> None:
    """For what acts. Raises DaemonError if this home is another project's than the one in `here`."""
    if (owner := another_project(home, here)) is not None:
        raise _refusal(owner, verb)


def require_this_daemon(info: DaemonInfo, here: Path | None, verb: str) -> None:
    """For what acts on a daemon. Raises DaemonError likewise."""
    if here is not None and here != Path(info.root).resolve():
        raise _refusal(_running(info, here), verb)


def require_this_service(name: str, root: Path, here: Path | None, verb: str) -> None:
    """For what acts on the service that keeps the project in `root` running. Raises DaemonError likewise."""
    if here is not None and here != root.resolve():
        raise _refusal(
            Owner(description=f"{name} keeps the project in {root} running", root=root, here=here), verb
        )


def claim_home(home: Home, root: Path, name: str, port: int, *, take_over: bool) -> str:
    """For what starts the project in `root`: what is doubtful about that, if anything is.

    `take_over`: whoever starts it means another project's work to be this one's. Raises Conflict if such
    work is not finished here, and nobody said so.
    """
    try:
        earlier = earlier_of(home, root)
    except JournalError:
        return ""  # The daemon says what is wrong with it, or brings it up to date.
    if earlier is None:
        return ""
    if not earlier.unfinished:
        return earlier.words
    if take_over:
        return f"{name} takes over the unfinished work of {earlier.project}: {earlier.work}"
    raise Conflict(earlier.words, hint=earlier.ways_out(name, root, port))


def earlier_of(home: Home, root: Path) -> Earlier | None:
    """The project that this home ran last, if that is another one than the one in `root`."""
    try:
        reader = open_reader(home.path)
    except NotFound:
        return None
    with closing(reader):
        return earlier_project(reader, root)


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Another project, in `root`, that has what is asked for, as a sentence. We are in `here`."""

    description: str
    root: Path
    here: Path


def another_project(home: Home, here: Path | None) -> Owner | None:
    """Whose this home is, if it is not the project's in `here`. Without one there, any is meant."""
    if here is None:
        return None
    info = daemon_of(home)
    if info is not None:
        return _running(info, here) if here != Path(info.root).resolve() else None
    earlier = earlier_of(home, here)
    if earlier is None:
        return None
    return Owner(
        description=f"this home last ran {earlier.project} in {earlier.root}", root=earlier.root, here=here
    )


def _running(info: DaemonInfo, here: Path) -> Owner:
    description = f"this home's daemon (pid {info.pid}) runs {info.project} in {info.root}"
    return Owner(description=description, root=Path(info.root), here=here)


def _refusal(owner: Owner, verb: str) -> DaemonError:
    return DaemonError(
        f"{owner.description}; the project in {owner.here} is another one",
        hint=f"for the first, type `orgloop {verb} --config {shlex.quote(str(owner.root))}`; "
        "for a home of your own, set ORGLOOP_HOME",
    )
