"""`orgloop pause`: let the work of a route or an actor wait."""

from __future__ import annotations

import time

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import Named
from orgloop.cli.screen.pausing import KIND, offline, part_of


@new_command(
    examples=[
        "orgloop pause pr-review",
        "orgloop pause engineer --until 07:00 --why 'deploy freeze'",
        "orgloop pause engineer --until 2h",
    ]
)
@click.argument("name", metavar="NAME", type=Named("route", "actor"))
@KIND
@click.option("--until", metavar="TIME", default="", help="A duration or a time; by default until `resume`.")
@click.option("--why", metavar="TEXT", default="", help="The reason, for other people.")
def command(app: App, name: str, kind: str | None, until: str, why: str) -> None:
    """Pause a route or an actor. Events are accepted, and their deliveries wait.

    Runs that are active continue. The pause survives restarts and changes of the project; its time does
    not count as age.
    """
    from orgloop.cli.screen.decide import operator
    from orgloop.daemon.client import Client
    from orgloop.operations.views.waits import paused_by
    from orgloop.operations.views.words import short_moment, until_of

    app.require_this_project("pause")
    now = int(time.time() * 1000)
    at = until_of(until, now, "--until") if until else None
    scope = part_of(app, name, kind)
    client = Client.of_home(app.home)
    if client is not None:
        client.pause(scope.level, name, at, operator(app), why)
    else:
        by = paused_by(operator(app), why)
        offline(app, "pause", lambda journal: journal.pause(scope, at, by, now))
    if app.out.json:
        from orgloop.operations.views.json_rows import when

        app.out.data({"kind": scope.level, "name": name, "until": when(at)})
        return
    end = f"until {short_moment(at, now)}" if at is not None else "until you resume it"
    app.out.ok(f"{scope} is paused {end}")
    app.out.line(f"  `orgloop resume {name}` lets its work continue")
