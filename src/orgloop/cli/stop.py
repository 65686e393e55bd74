"""`orgloop stop`: end this home's daemon. Agents go on, and nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.errors import DaemonError

if TYPE_CHECKING:
    import psutil

    from orgloop.project.home import Home

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
    from orgloop.cli.ownership import daemon_of, require_this_daemon
    from orgloop.project.home import running_supervisor

    supervisor = running_supervisor(cli.home)
    info = daemon_of(cli)
    if info is None and supervisor is None:
        if cli.out.json:
            cli.out.data({"stopped": False, "running": False})
        cli.out.line(f"nothing runs in {cli.out.path(cli.home.path)}")
        if holder := holder_of(cli.home):
            cli.out.line(f"  its journal is in use by {holder}: it starts or ends just now")
        return
    if info is not None:
        require_this_daemon(cli, info, verb)
    stop_daemon(cli.home, force=force)
    project, pid = (info.project, info.pid) if info is not None else ("the daemon", supervisor)
    if cli.out.json:
        done = {"shutdown": True} if verb == "shutdown" else {"stopped": True, "all": True}
        cli.out.data({**done, "pid": pid, "project": project, "force": force})
    cli.out.ok(f"{project} has stopped (pid {pid})")


def holder_of(home: Home) -> str:
    """Who holds the home's journal, if anybody does: a daemon that starts or ends, or another command."""
    import psutil

    try:
        said = json.loads((home.path / "journal.lock").read_bytes())
        pid, what = int(said["pid"]), str(said["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{what} (pid {pid})" if psutil.pid_exists(pid) else ""


def stop_daemon(home: Home, *, force: bool = False) -> None:
    """End it, and who would start it again; return when both are gone. Raises DaemonError if one stays."""
    import psutil

    processes = _processes(home)
    try:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                if force:
                    one.kill()
                elif one.ppid() not in [other.pid for other in processes]:
                    # A supervisor hands the signal on, once: a second one would end the daemon on the spot.
                    one.terminate()
    except psutil.AccessDenied as exc:
        raise DaemonError(
            f"the daemon (pid {processes[-1].pid}) belongs to another user", hint="stop it as that user"
        ) from exc
    if not _until_gone(processes):
        raise DaemonError(
            f"the daemon (pid {processes[-1].pid}) has not ended within {GONE_WITHIN:.0f} s",
            hint="`orgloop stop --force` kills it; the next start recovers everything",
        )


def _processes(home: Home) -> list[psutil.Process]:
    """The supervisor, what it has just started, and the daemon, as far as they are there."""
    import psutil

    from orgloop.project.home import running_daemon, running_supervisor

    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        if (pid := running_supervisor(home)) is not None:
            found.append(psutil.Process(pid))
            found += found[0].children()
    with suppress(psutil.Error):
        if (info := running_daemon(home)) is not None and info.pid not in [one.pid for one in found]:
            found.append(psutil.Process(info.pid))
    return found


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
