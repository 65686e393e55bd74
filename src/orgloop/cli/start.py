"""`orgloop start`: run the project, or apply it to the daemon that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.errors import DaemonError

if TYPE_CHECKING:
    from orgloop.cli.daemon import Ready
    from orgloop.config.model import Organization

READY_WITHIN = 30.0
"""Seconds that a daemon in the background gets until it answers."""


@new_command(examples=["orgloop start", "orgloop start --daemon --supervised"])
@click.option(
    "-d", "--daemon", "background", is_flag=True, help="Run in the background; logs go to the home."
)
@click.option("--supervised", is_flag=True, help="Start it again after a crash.")
def command(cli: Cli, background: bool, supervised: bool) -> int | None:
    """Run the project.

    Whatever an earlier daemon accepted and did not finish is finished now. If the daemon already
    runs, the project is applied to it live, and only what changed is restarted.
    """
    from orgloop.runtime.home import running_daemon

    organization = cli.organization
    for finding in cli.loaded.warnings:
        cli.out.warn(f"{cli.out.path(finding.file)}:{finding.line}  {finding.message}", finding.hint)
    info = running_daemon(cli.home)
    if info is not None:
        if Path(info.root) != organization.root:
            raise DaemonError(
                f"this home's daemon (pid {info.pid}) runs the project {info.project} in {info.root}",
                hint="stop it with `orgloop stop`, or give this project a home and port of its own:\n"
                f"ORGLOOP_HOME=~/.orgloop-{organization.name} ORGLOOP_PORT={info.port + 1} orgloop start",
            )
        return _apply(cli, organization)
    if background:
        return start_in_background(cli, supervised)
    if supervised:
        from orgloop.cli.supervise import daemon_command, supervise

        return supervise(daemon_command(["start", "--config", str(organization.file)]), cli.out.warn)
    return _in_foreground(cli, organization)


def _apply(cli: Cli, organization: Organization) -> int | None:
    """Hand the project to the daemon that runs."""
    from orgloop.cli.client import Client
    from orgloop.cli.plan import plan_of, show

    plan = plan_of(cli)
    client = Client.of_home(cli.home)
    if client is None:
        raise DaemonError("the daemon ended just now", hint="type `orgloop start` again")
    moved = client.apply(str(organization.file))
    if cli.out.json:
        cli.out.data({"applied": True, "moved": moved})
        return None
    show(cli, plan, applied=True)
    for word, count in moved.items():
        if count:
            cli.out.line(f"  {count} waiting deliveries {word}")
    return None


def start_in_background(cli: Cli, supervised: bool) -> int | None:
    """Start a daemon of its own session; returns once it answers."""
    import subprocess
    import time

    from orgloop.cli.supervise import daemon_command
    from orgloop.runtime.home import running_daemon

    cli.home.ensure()
    log_file = cli.home.logs / "daemon.log"
    arguments = ["start", "--config", str(cli.project_file)] + (["--supervised"] if supervised else [])
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            daemon_command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        info = running_daemon(cli.home)
        if info is not None:
            if cli.out.json:
                cli.out.data({"started": True, "pid": info.pid, "port": info.port})
            cli.out.ok(
                f"{info.project} runs in the background (pid {info.pid}), http://127.0.0.1:{info.port}"
            )
            cli.out.line(
                f"  its log: {cli.out.path(log_file)}   what happens: orgloop logs   stop it: orgloop stop"
            )
            return None
        if child.poll() is not None:
            break
        time.sleep(0.05)
    raise DaemonError(
        "the daemon did not start:\n" + _last_lines(log_file),
        hint=f"the whole log is in {log_file}",
    )


def _last_lines(path: Path, count: int = 8) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:])


def _in_foreground(cli: Cli, organization: Organization) -> int | None:
    import asyncio

    from orgloop.cli.banner import Banner
    from orgloop.cli.daemon import Place, run_daemon

    banner = Banner(cli)

    def ready(daemon: Ready) -> None:
        banner.ready(daemon.runtime.organization, daemon.url)

    place = Place(home=cli.home, registry=cli.registry, environ=cli.environ, observed=banner.observed)
    asyncio.run(run_daemon(organization, place, ready))
    banner.stopped()
    return None
