"""`orgloop stop`: end this home's daemon. Agents go on, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.errors import DaemonError

if TYPE_CHECKING:
    from orgloop.runtime.home import DaemonInfo

GONE_WITHIN = 15.0
"""Seconds that a daemon gets to end."""


@new_command(examples=["orgloop stop", "orgloop stop --force"])
@click.option(
    "--force", is_flag=True, help="Kill it at once. Still nothing is lost: the next start recovers."
)
def command(cli: Cli, force: bool) -> None:
    """Stop the daemon of this home.

    It takes no more events, hands back what is being delivered, and ends. Running agents go on; the
    next start takes them over.
    """
    from orgloop.runtime.home import running_daemon

    info = running_daemon(cli.home)
    if info is None:
        if cli.out.json:
            cli.out.data({"stopped": False, "running": False})
        cli.out.line(f"nothing runs in {cli.out.path(cli.home.path)}")
        return
    stop_daemon(cli, info, force=force)
    if cli.out.json:
        cli.out.data({"stopped": True, "pid": info.pid, "project": info.project})
    cli.out.ok(f"{info.project} has stopped (pid {info.pid})")


def stop_daemon(cli: Cli, info: DaemonInfo, *, force: bool = False) -> None:
    """End it and wait until it is gone. Raises DaemonError if it stays."""
    import psutil

    try:
        process = psutil.Process(info.pid)
        if force:
            process.kill()
        else:
            process.terminate()
        process.wait(GONE_WITHIN)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as exc:
        raise DaemonError(
            f"the daemon (pid {info.pid}) belongs to another user", hint="stop it as that user"
        ) from exc
    except psutil.TimeoutExpired as exc:
        raise DaemonError(
            f"the daemon (pid {info.pid}) has not ended within {GONE_WITHIN:.0f} s",
            hint="`orgloop stop --force` kills it; the next start recovers everything",
        ) from exc
