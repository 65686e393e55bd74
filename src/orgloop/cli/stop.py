"""`orgloop stop`: end this home's daemon. Agents go on, and nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.errors import ConfigError, DaemonError

if TYPE_CHECKING:
    import psutil

    from orgloop.runtime.home import DaemonInfo, Home

GONE_WITHIN: Final = 15.0
"""Seconds that a daemon gets to end."""

LOOK: Final = 0.02
"""Seconds between two looks at whether it has."""


@new_command(examples=["orgloop stop", "orgloop stop --force"])
@click.option(
    "--force", is_flag=True, help="Kill it at once. Still nothing is lost: the next start recovers."
)
def command(cli: Cli, force: bool) -> None:
    """Stop the daemon of this home.

    It takes no more events, hands back what is being delivered, and ends. Running agents go on; the
    next start takes them over. In the directory of another project it stops nothing.
    """
    stop_and_tell(cli, "stop", force=force)


def stop_and_tell(cli: Cli, verb: str, *, force: bool) -> None:
    """Stop what runs here, if anything does, and say so."""
    from orgloop.runtime.home import running_daemon

    info = running_daemon(cli.home)
    if info is None:
        if cli.out.json:
            cli.out.data({"stopped": False, "running": False})
        cli.out.line(f"nothing runs in {cli.out.path(cli.home.path)}")
        if holder := holder_of(cli.home):
            cli.out.line(f"  its journal is in use by {holder}: it starts or ends just now")
        return
    require_this_project(cli, info, verb)
    stop_daemon(info, force=force)
    if cli.out.json:
        done = {"shutdown": True} if verb == "shutdown" else {"stopped": True, "all": True}
        cli.out.data({**done, "pid": info.pid, "project": info.project, "force": force})
    cli.out.ok(f"{info.project} has stopped (pid {info.pid})")


def require_this_project(cli: Cli, info: DaemonInfo, verb: str) -> None:
    """In a project's directory a command is about that project. Raises DaemonError if another one runs."""
    try:
        here = cli.project_file.parent.resolve()
    except ConfigError:
        return
    if here != Path(info.root).resolve():
        raise DaemonError(
            f"this home's daemon (pid {info.pid}) runs {info.project} in {info.root}, "
            f"not the project in {here}",
            hint=f"`orgloop {verb} --config {info.root}` means that one; ORGLOOP_HOME names another home",
        )


def holder_of(home: Home) -> str:
    """Who holds the home's journal, if anybody does: a daemon that starts or ends, or another command."""
    import psutil

    try:
        said = json.loads((home.path / "journal.lock").read_bytes())
        pid, what = int(said["pid"]), str(said["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{what} (pid {pid})" if psutil.pid_exists(pid) else ""


def stop_daemon(info: DaemonInfo, *, force: bool = False) -> None:
    """End it, and who would start it again; return when both are gone. Raises DaemonError if it stays."""
    import psutil

    try:
        daemon = psutil.Process(info.pid)
        supervisor = supervisor_of(daemon)
        processes = [daemon] if supervisor is None else [supervisor, daemon]
        if force:
            for one in processes:
                one.kill()
        else:
            # A supervisor hands the signal on, once: a second one would end the daemon on the spot.
            processes[0].terminate()
        gone = _until_gone(processes)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as exc:
        raise DaemonError(
            f"the daemon (pid {info.pid}) belongs to another user", hint="stop it as that user"
        ) from exc
    if not gone:
        raise DaemonError(
            f"the daemon (pid {info.pid}) has not ended within {GONE_WITHIN:.0f} s",
            hint="`orgloop stop --force` kills it; the next start recovers everything",
        )


def _until_gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether all of them end in time."""
    deadline = time.monotonic() + GONE_WITHIN
    while not all(_is_gone(one) for one in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def _is_gone(process: psutil.Process) -> bool:
    """Also if whoever started it has not asked how it ended: then nothing but its number is left."""
    import psutil

    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def supervisor_of(daemon: psutil.Process) -> psutil.Process | None:
    """The `orgloop start --supervised` that watches this daemon, if one does."""
    import psutil

    try:
        parent = daemon.parent()
        words = parent.cmdline() if parent is not None else []
    except psutil.Error:
        return None
    return parent if "orgloop" in words and "start" in words and "--supervised" in words else None
