"""`orgloop start`: run the project, or apply it to the daemon that runs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.errors import DaemonError, Refused

if TYPE_CHECKING:
    import subprocess

    from orgloop.cli.running.daemon import Ready
    from orgloop.config.diff import Plan
    from orgloop.config.model import Organization
    from orgloop.project.home import DaemonInfo

READY_WITHIN: Final = 30.0
"""Seconds that a daemon in the background gets until it answers."""

LOOK: Final = 0.02
"""Seconds between two looks at whether it does."""


@new_command(examples=["orgloop start", "orgloop start --daemon --supervised"])
@click.option(
    "-d", "--daemon", "background", is_flag=True, help="Run in the background; logs go to the home."
)
@click.option("--supervised", is_flag=True, help="Start it again after a crash.")
@click.option(
    "--take-over", is_flag=True, help="Go on with what another project has not finished in this home."
)
@click.option("-y", "--yes", is_flag=True, help="Apply without asking that no route is left.")
def command(cli: Cli, background: bool, supervised: bool, take_over: bool, yes: bool) -> int | None:
    """Run the project.

    Whatever an earlier daemon accepted and did not finish is finished now. If the daemon already
    runs, the project is applied to it live, and only what changed is restarted. What another project
    left unfinished in this home is not touched, unless you say so.
    """
    from orgloop.cli.ownership import claim_home
    from orgloop.project.earlier import own_home
    from orgloop.project.home import running_daemon, running_supervisor

    organization = cli.organization
    for finding in cli.loaded.warnings:
        cli.out.warn(f"{cli.out.path(finding.file)}:{finding.line}  {finding.message}", finding.hint)
    info = running_daemon(cli.home)
    if info is not None:
        if Path(info.root).resolve() != organization.root.resolve():
            raise DaemonError(
                f"this home's daemon (pid {info.pid}) runs the project {info.project} in {info.root}",
                hint=f"stop it with `orgloop stop --config {shlex.quote(info.root)}`, "
                "or give this project a home and port of its own:\n"
                f"{own_home(organization.name, info.port)}",
            )
        return _apply(cli, organization, yes=yes)
    supervisor = running_supervisor(cli.home)
    if supervisor not in (None, os.getppid()):
        raise DaemonError(
            f"the daemon of this home has crashed and starts again by its supervisor (pid {supervisor})",
            hint="wait a moment, or type `orgloop stop` first: it ends both",
        )
    if supervisor is None:
        claim_home(cli, organization.root, organization.name, take_over=take_over)
    if background:
        return start_in_background(cli, supervised=supervised, take_over=take_over)
    if supervised:
        from orgloop.cli.running.supervise import daemon_command, supervise

        with cli.home.supervised():
            return supervise(daemon_command(_arguments(cli, organization.file)), cli.out.fail)
    return _in_foreground(cli, organization)


def _apply(cli: Cli, organization: Organization, *, yes: bool) -> int | None:
    """Hand the project to the daemon that runs."""
    from orgloop.cli.client import Client
    from orgloop.cli.plan import plan_of, show

    plan = plan_of(cli)
    if not organization.routes and not yes:
        _confirm_end_of_routes(cli, plan)
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


def _confirm_end_of_routes(cli: Cli, plan: Plan) -> None:
    """Ask before the last route goes: a file that was lost reads so, too. Raises Refused unless yes."""
    from orgloop.cli.screen.listing import counted

    gone = sum(item.kind == "route" and item.action == "remove" for item in plan.items)
    if not gone:
        return
    message = f"the files have no route any more, and {counted(gone, 'route')} would go"
    if cli.out.json or cli.out.quiet or not sys.stdin.isatty():
        raise Refused(f"{message}; nothing was applied", hint="add --yes if that is meant")
    cli.out.warn(message)
    if not click.confirm("Apply that?"):
        raise Refused("nothing was applied", hint="`orgloop plan` shows what would change")


def _arguments(cli: Cli, file: Path, *more: str) -> list[str]:
    """The command line of a start that shows as much as this one."""
    shared = {
        "--quiet": cli.out.quiet,
        "--verbose": cli.out.verbose,
        "--json": cli.out.json,
        "--no-color": cli.out.color is False,
    }
    return ["start", "--config", str(file), *more, *(name for name, given in shared.items() if given)]


def start_in_background(cli: Cli, *, supervised: bool, take_over: bool = False) -> int | None:
    """Start a daemon of its own session; returns once it answers."""
    import subprocess
    from functools import partial

    from orgloop.cli.running.supervise import daemon_command

    cli.home.ensure()
    log_file = cli.home.logs / "daemon.log"
    # An agent may start us: its run must neither end us with itself, nor count us as a part of it.
    environment = {name: value for name, value in os.environ.items() if name != "ORGLOOP_RUN_ID"}
    # Quiet: what happens is in the journal, and a file that nobody rotates has only what is not.
    more = ["--quiet", *(["--supervised"] if supervised else []), *(["--take-over"] if take_over else [])]
    with cli.home.writing():
        log = open(log_file, "ab", opener=partial(os.open, mode=0o600))  # noqa: SIM115
    with log:
        written = log.tell()
        child = subprocess.Popen(
            daemon_command(["start", "--config", str(cli.project_file), *more]),
            env=environment | {"ORGLOOP_DAEMON": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    info = _until_ready(cli, child)
    if info is None:
        alive = child.poll() is None
        what = f"has not answered within {READY_WITHIN:.0f} s" if alive else "did not start"
        said = _last_lines(log_file, written)
        raise DaemonError(
            f"the daemon {what}" + (f":\n{said}" if said else ""),
            # On a full disk it cannot even say why.
            hint=f"its log is {log_file}"
            + ("" if said else "; in the foreground, `orgloop start` says more"),
        )
    if cli.out.json:
        cli.out.data({"started": True, "pid": info.pid, "port": info.port})
    cli.out.ok(f"{info.project} runs in the background (pid {info.pid}), http://127.0.0.1:{info.port}")
    cli.out.line("  what happens: orgloop logs   how it is: orgloop status   stop it: orgloop stop")
    return None


def _until_ready(cli: Cli, child: subprocess.Popen[bytes]) -> DaemonInfo | None:
    """The daemon, once it serves; None if its process ends, or takes too long."""
    import time

    from orgloop.project.home import running_daemon

    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        info = running_daemon(cli.home)
        if info is not None or ended:
            return info
        time.sleep(LOOK)
    return None


def _last_lines(path: Path, start: int, count: int = 8) -> str:
    """What was written since a byte, indented."""
    lines = path.read_bytes()[start:].decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:])


def _in_foreground(cli: Cli, organization: Organization) -> int | None:
    import asyncio

    from orgloop.cli.running.daemon import Place, leave_soon, run_daemon
    from orgloop.cli.running.own_log import own_log
    from orgloop.cli.screen.banner import Banner

    banner = Banner(cli)

    def ready(daemon: Ready) -> None:
        banner.ready(daemon.runtime.organization, daemon.url)

    place = Place(home=cli.home, registry=cli.registry, environ=cli.environ, observed=banner.observed)

    async def run() -> None:
        await run_daemon(organization, place, ready)
        leave_soon()
        banner.stopped()

    with own_log():
        asyncio.run(run())
    return None
