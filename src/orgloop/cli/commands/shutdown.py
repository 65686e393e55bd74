"""`orgloop shutdown`: `orgloop stop` by another name."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command


@new_command(examples=["orgloop shutdown", "orgloop shutdown --force"])
@click.option("--force", is_flag=True, help="Kill it at once. No work is lost.")
def command(app: App, force: bool) -> None:
    """Stop the daemon of this home, as `orgloop stop` does."""
    from orgloop.cli.commands.stop import stop_and_tell

    stop_and_tell(app, "shutdown", force=force)
