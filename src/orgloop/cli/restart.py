"""`orgloop restart`: stop, then start in the same way."""

from __future__ import annotations

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command


@new_command(examples=["orgloop restart"])
@click.option("--supervised", is_flag=True, help="Start it again after a crash.")
def command(cli: Cli, supervised: bool) -> int | None:
    """Stop the daemon and start it in the background.

    To apply a changed project, `orgloop start` is enough: it restarts only what changed.
    """
    from orgloop.cli.start import start_in_background
    from orgloop.cli.stop import stop_daemon
    from orgloop.runtime.home import running_daemon

    _ = cli.organization
    info = running_daemon(cli.home)
    if info is not None:
        stop_daemon(cli, info)
        cli.out.ok(f"{info.project} has stopped (pid {info.pid})")
    return start_in_background(cli, supervised)
