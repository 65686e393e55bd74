"""`orgloop restart`: stop, then start in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command

if TYPE_CHECKING:
    from orgloop.runtime.home import DaemonInfo


@new_command(examples=["orgloop restart", "orgloop restart --supervised"])
@click.option(
    "--supervised", is_flag=True, help="Start it again after a crash. If it is so now, it stays so."
)
def command(cli: Cli, supervised: bool) -> int | None:
    """Stop the daemon and start it in the background; what systemd or launchd keeps, they start.

    To apply a changed project, `orgloop start` is enough: it restarts only what changed. Nothing is
    stopped if the project could not start.
    """
    from orgloop.cli.service import restart_service
    from orgloop.cli.start import start_in_background
    from orgloop.cli.stop import require_this_project, stop_daemon
    from orgloop.runtime.home import running_daemon

    _ = cli.organization
    info = running_daemon(cli.home)
    if info is not None:
        require_this_project(cli, info, "restart")
        if restart_service(cli):
            return None
        supervised = supervised or _is_supervised(info)
        stop_daemon(info)
        cli.out.ok(f"{info.project} has stopped (pid {info.pid})")
    return start_in_background(cli, supervised=supervised)


def _is_supervised(info: DaemonInfo) -> bool:
    import psutil

    from orgloop.cli.stop import supervisor_of

    try:
        return supervisor_of(psutil.Process(info.pid)) is not None
    except psutil.Error:
        return False
