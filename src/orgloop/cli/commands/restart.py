"""`orgloop restart`: stop, then start in the background."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command


@new_command(examples=["orgloop restart", "orgloop restart --supervised"])
@click.option(
    "--supervised", is_flag=True, help="Restart it after a crash. A supervised daemon stays supervised."
)
def command(app: App, supervised: bool) -> int | None:
    """Stop the daemon and start it in the background, or by systemd or launchd if they keep it.

    To apply a changed project, `orgloop start` is enough: it restarts only what changed. Nothing is
    stopped if the project could not start.
    """
    from orgloop.cli.commands.service import restart_service
    from orgloop.cli.commands.start import start_in_background
    from orgloop.daemon.background import stop_daemon
    from orgloop.operations.ownership import daemon_of, require_this_daemon
    from orgloop.project.home import running_supervisor

    organization = app.organization
    is_supervised = running_supervisor(app.home) is not None
    info = daemon_of(app.home)
    if info is not None:
        require_this_daemon(info, app.here, "restart")
        if restart_service(app):
            return None
        stop_daemon(app.home)
        app.out.ok(f"{info.project} has stopped (pid {info.pid})")
    else:
        app.claim_home(organization.root, organization.name, take_over=False)
    return start_in_background(app, supervised=supervised or is_supervised)
