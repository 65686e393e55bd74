"""`orgloop start`: run the project, or apply it to the daemon that runs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.time_limit import no_limit
from orgloop.errors import ConfigError, DaemonError, Refused

if TYPE_CHECKING:
    from orgloop.config.diff import Plan
    from orgloop.config.model import Organization
    from orgloop.daemon.client import Client
    from orgloop.daemon.process import RunningDaemon

_LACKS: Final = (
    "write it into .env beside orgloop.yaml; or type `orgloop restart` here, if the daemon is not a service: "
    "the new one has the variables of this terminal"
)


@new_command(examples=["orgloop start", "orgloop start --daemon --supervised"])
@click.option(
    "-d", "--daemon", "background", is_flag=True, help="Run in the background; logs go to the home."
)
@click.option("--supervised", is_flag=True, help="Restart it after a crash.")
@click.option("--take-over", is_flag=True, help="Take over another project's unfinished work in this home.")
@click.option("-y", "--yes", is_flag=True, help="Apply without asking, even if no route is left.")
def command(app: App, background: bool, supervised: bool, take_over: bool, yes: bool) -> int | None:
    """Run the project.

    Work that an earlier daemon did not finish is finished now. If the daemon already
    runs, the project is applied to it live, and only what changed is restarted. What another project
    left unfinished in this home is not touched, unless you say so.
    """
    from orgloop.operations.ownership import own_home
    from orgloop.project.home import running_daemon, running_supervisor

    organization = app.organization
    for finding in app.loaded.warnings:
        app.out.warn(f"{app.out.path(finding.file)}:{finding.line}  {finding.message}", finding.hint)
    info = running_daemon(app.home)
    if info is not None:
        if Path(info.root).resolve() != organization.root.resolve():
            raise DaemonError(
                f"this home's daemon (pid {info.pid}) runs the project {info.project} in {info.root}",
                hint=f"stop it with `orgloop stop --config {shlex.quote(info.root)}`, "
                "or give this project a home and port of its own:\n"
                f"{own_home(organization.name, organization.root, info.port)}",
            )
        return _apply(app, organization, yes=yes)
    supervisor = running_supervisor(app.home)
    if supervisor not in (None, os.getppid()):
        raise DaemonError(
            f"the daemon of this home has crashed and starts again by its supervisor (pid {supervisor})",
            hint="wait a moment, or type `orgloop stop` first: it ends both",
        )
    if supervisor is None:
        app.claim_home(organization.root, organization.name, take_over=take_over)
    if background:
        return start_in_background(app, supervised=supervised, take_over=take_over)
    if supervised:
        from orgloop.daemon.supervisor import daemon_command, supervise

        no_limit()
        with app.home.supervised():
            return supervise(daemon_command(_arguments(app, organization.file)), app.out.fail)
    return _in_foreground(app, organization)


def _apply(app: App, organization: Organization, *, yes: bool) -> int | None:
    """Hand the project to the daemon that runs."""
    from orgloop.cli.commands.plan import show
    from orgloop.daemon.client import Client
    from orgloop.operations.plan import plan_of

    plan = plan_of(app.home, organization)
    if not organization.routes and not yes:
        _confirm_end_of_routes(app, plan)
    client = Client.of_home(app.home)
    if client is None:
        raise DaemonError("the daemon has just stopped", hint="type `orgloop start` again")
    no_limit()
    moved = _moved(app, client, organization)
    if app.out.json:
        app.out.data({"applied": True, "moved": moved})
        return None
    show(app, plan, applied=True)
    for word, count in moved.items():
        if count:
            app.out.line(f"  {count} waiting deliveries {word}")
    return None


def _moved(app: App, client: Client, organization: Organization) -> Mapping[str, int]:
    """Have the daemon apply it. Raises ConfigError if it finds errors that this process does not."""
    from orgloop.config.findings import Code, Severity

    try:
        return client.apply(str(organization.file))
    except ConfigError as exc:
        errors = [one for one in exc.findings if one.severity is Severity.ERROR]
        if not errors:
            raise
        told = [
            # It is set here, or this process would not have come so far.
            replace(one, message=f"{one.message} in the environment of the running daemon", hint=_LACKS)
            if one.code is Code.MISSING_VARIABLE
            else one
            for one in errors
        ]
        raise app.unsound(told) from exc


def _confirm_end_of_routes(app: App, plan: Plan) -> None:
    """Ask before the last route goes: a file that was lost reads so, too. Raises Refused unless yes."""
    from orgloop.operations.views.words import counted

    gone = sum(item.kind == "route" and item.action == "remove" for item in plan.items)
    if not gone:
        return
    message = f"the files have no routes any more, and {counted(gone, 'route')} would go"
    if app.out.json or app.out.quiet or not sys.stdin.isatty():
        raise Refused(f"{message}; nothing was applied", hint="add --yes to apply this anyway")
    app.out.warn(message)
    no_limit()
    if not click.confirm("Apply that?"):
        raise Refused("nothing was applied", hint="`orgloop plan` shows what would change")


def _arguments(app: App, file: Path, *more: str) -> list[str]:
    """The command line of a start that shows as much as this one."""
    shared = {
        "--quiet": app.out.quiet,
        "--verbose": app.out.verbose,
        "--json": app.out.json,
        "--no-color": app.out.color is False,
    }
    return ["start", "--config", str(file), *more, *(name for name, given in shared.items() if given)]


def start_in_background(app: App, *, supervised: bool, take_over: bool = False) -> int | None:
    """Start a daemon of its own session; returns once it answers."""
    from orgloop.daemon.background import start_daemon

    # Quiet: what happens is in the journal, and a file that nobody rotates has only what is not.
    more = ["--quiet", *(["--supervised"] if supervised else []), *(["--take-over"] if take_over else [])]
    info = start_daemon(app.home, ["start", "--config", str(app.project_file), *more], os.environ)
    if app.out.json:
        app.out.data({"started": True, "pid": info.pid, "port": info.port})
    app.out.ok(f"{info.project} runs in the background (pid {info.pid}), http://127.0.0.1:{info.port}")
    app.out.line("  log: orgloop logs   status: orgloop status   stop: orgloop stop")
    return None


def _in_foreground(app: App, organization: Organization) -> int | None:
    import asyncio

    from orgloop.cli.screen.banner import Banner
    from orgloop.daemon.own_log import own_log
    from orgloop.daemon.process import DaemonSetup, leave_soon, run_daemon

    banner = Banner(app)

    def ready(daemon: RunningDaemon) -> None:
        banner.ready(daemon.runtime.organization, daemon.url)

    place = DaemonSetup(home=app.home, registry=app.registry, environ=app.environ, observed=banner.observed)

    async def run() -> None:
        await run_daemon(organization, place, ready)
        leave_soon()
        banner.stopped()

    no_limit()
    with own_log():
        asyncio.run(run())
    return None
