"""`orgloop resume`: let a route or an actor that is paused go on now."""

from __future__ import annotations

import time

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import Named
from orgloop.cli.screen.pausing import KIND, offline, part_of


@new_command(examples=["orgloop resume engineer", "orgloop resume pr-review"])
@click.argument("name", metavar="NAME", type=Named("route", "actor"))
@KIND
def command(app: App, name: str, kind: str | None) -> None:
    """Resume a paused route or actor, whatever paused it.

    For an actor, this also closes its circuit breaker, or tries it although it could not be reached.
    Such an actor continues by itself; this only saves the time until then, once the cause is repaired.
    """
    from orgloop.daemon.client import Client

    app.require_this_project("resume")
    scope = part_of(app, name, kind)
    client, now = Client.of_home(app.home), int(time.time() * 1000)
    if scope.level == "actor":
        resumed = (
            client.resume_actor(name)
            if client is not None
            else offline(app, "resume", lambda journal: journal.resume_actor(name, now))
        )
    elif client is not None:
        resumed = client.resume_route(name)
    else:
        resumed = offline(app, "resume", lambda journal: journal.unpause(scope, now))
    if app.out.json:
        app.out.data({str(scope.level): name, "resumed": resumed})
    elif resumed:
        app.out.ok(f"the work of {name} continues")
    else:
        app.out.line(f"{name} is not paused")
