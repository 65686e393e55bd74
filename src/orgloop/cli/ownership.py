"""Whose home this is: in one project's directory no command is silently about another one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orgloop.errors import ConfigError, Conflict, DaemonError, JournalError

if TYPE_CHECKING:
    from orgloop.cli.command import Cli
    from orgloop.project.earlier import Earlier
    from orgloop.project.home import DaemonInfo


def daemon_of(cli: Cli) -> DaemonInfo | None:
    """This home's daemon, also one that has crashed and is about to come back."""
    from orgloop.project.home import running_daemon, running_supervisor

    info = running_daemon(cli.home)
    if info is None and running_supervisor(cli.home) is not None:
        return cli.home.read_daemon()
    return info


def require_this_project(cli: Cli, verb: str) -> None:
    """For what acts. Raises DaemonError if this home is another project's than the one in this directory."""
    if (owner := _another(cli)) is not None:
        raise _refusal(owner, verb)


def require_this_daemon(cli: Cli, info: DaemonInfo, verb: str) -> None:
    """For what acts on a daemon. Raises DaemonError likewise."""
    here = _here(cli)
    if here is not None and here != Path(info.root).resolve():
        raise _refusal(_running(info, here), verb)


def require_this_service(cli: Cli, name: str, root: Path, verb: str) -> None:
    """For what acts on the service that keeps the project in `root` running. Raises DaemonError likewise."""
    here = _here(cli)
    if here is not None and here != root.resolve():
        raise _refusal(Owner(said=f"{name} keeps the project in {root} running", root=root, here=here), verb)


def tell_another_project(cli: Cli) -> None:
    """For what only looks: one line, if what it shows is another project's than the one in this directory."""
    if (owner := _another(cli)) is not None:
        cli.out.warn(f"{owner.said}; the project in {owner.here} does not run")


def claim_home(cli: Cli, root: Path, name: str, *, take_over: bool) -> None:
    """For what starts the project in `root`. Raises Conflict if work of another one is not finished here.

    `take_over`: whoever starts it means that work to be this project's.
    """
    from orgloop.project.home import PORT, wanted_port

    try:
        earlier = earlier_of(cli, root)
    except JournalError:
        return  # The daemon says what is wrong with it, or brings it up to date.
    if earlier is None:
        return
    if not earlier.unfinished:
        cli.out.warn(earlier.words)
    elif take_over:
        cli.out.warn(f"{name} takes over what {earlier.project} has not finished: {earlier.work}")
    else:
        raise Conflict(earlier.words, hint=earlier.ways_out(name, wanted_port(cli.environ) or PORT))


def earlier_of(cli: Cli, root: Path) -> Earlier | None:
    """The project that this home ran last, if that is another one than the one in `root`."""
    from orgloop.project.earlier import earlier_project

    with cli.reading() as reader:
        return earlier_project(reader, root) if reader is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Another project, in `root`, that has what is asked for, as a sentence. We are in `here`."""

    said: str
    root: Path
    here: Path


def _here(cli: Cli) -> Path | None:
    try:
        return cli.project_file.parent.resolve()
    except (ConfigError, OSError):
        return None


def _another(cli: Cli) -> Owner | None:
    """Whose this home is, if it is not the project's in this directory. Without one there, any is meant."""
    here = _here(cli)
    if here is None:
        return None
    info = daemon_of(cli)
    if info is not None:
        return _running(info, here) if here != Path(info.root).resolve() else None
    earlier = earlier_of(cli, here)
    if earlier is None:
        return None
    return Owner(said=f"this home last ran {earlier.project} in {earlier.root}", root=earlier.root, here=here)


def _running(info: DaemonInfo, here: Path) -> Owner:
    said = f"this home's daemon (pid {info.pid}) runs {info.project} in {info.root}"
    return Owner(said=said, root=Path(info.root), here=here)


def _refusal(owner: Owner, verb: str) -> DaemonError:
    return DaemonError(
        f"{owner.said}, not the project in {owner.here}",
        hint=f"`orgloop {verb} --config {shlex.quote(str(owner.root))}` means that one; "
        "ORGLOOP_HOME names another home",
    )
