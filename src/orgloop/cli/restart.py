"""`orgloop restart`: stop, then start in the background."""

from __future__ import annotations

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command


@new_command(examples=["orgloop restart", "orgloop restart --supervised"])
@click.option(
    "--supervised", is_flag=True, help="Start it again after a crash. If it is so now, it stays so."
)
def command(cli: Cli, supervised: bool) -> int | None:
    """Stop the daemon and start it in the background; what systemd or launchd keeps, they start.

    To apply a changed project, `orgloop start` is enough: it restarts only what changed. Nothing is
    stopped if the project could not start.
    """
    from orgloop.cli.ownership import claim_home, daemon_of, require_this_daemon
    from orgloop.cli.service import restart_service
    from orgloop.cli.start import start_in_background
    from orgloop.cli.stop import stop_daemon
    from orgloop.project.home import running_supervisor

    organization = cli.organization
    is_supervised = running_supervisor(cli.home) is not None
    info = daemon_of(cli)
    if info is not None:
        require_this_daemon(cli, info, "restart")
        if restart_service(cli):
            return None
        stop_daemon(cli.home)
        cli.out.ok(f"{info.project} has stopped (pid {info.pid})")
    else:
        claim_home(cli, organization.root, organization.name, take_over=False)
    return start_in_background(cli, supervised=supervised or is_supervised)
