"""`orgloop resume`: let an actor that is paused go on now."""

from __future__ import annotations

import asyncio

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import ACTOR
from orgloop.errors import NotFound


@new_command(examples=["orgloop resume engineer"])
@click.argument("actor", metavar="ACTOR", type=ACTOR)
def command(app: App, actor: str) -> None:
    """Close the circuit breaker of an actor, or try an actor that could not be reached, now.

    A paused actor goes on by itself; this only saves the time until then, once the cause is repaired.
    """
    from orgloop.operations.views.inspector import kinds_of

    app.require_this_project("resume")
    with app.journal() as reader:
        applied = reader.applied()
    if applied is None or "actor" not in kinds_of(applied.snapshot, actor):
        raise NotFound(f"there is no actor {actor!r}", hint="`orgloop status` lists the actors")
    resumed = _resume(app, actor, applied.project)
    if app.out.json:
        app.out.data({"actor": actor, "resumed": resumed})
    elif resumed:
        app.out.ok(f"the work of {actor} continues")
    else:
        app.out.line(f"{actor} is not paused")


def _resume(app: App, actor: str, project: str) -> bool:
    from orgloop.daemon.client import Client

    client = Client.of_home(app.home)
    return client.resume_actor(actor) if client is not None else asyncio.run(_offline(app, actor, project))


async def _offline(app: App, actor: str, project: str) -> bool:
    """Without a daemon: under the journal's own lock, which keeps one from starting meanwhile."""
    from orgloop.journal.backend import open_journal
    from orgloop.runtime.support.clock import SystemClock

    clock = SystemClock()
    journal = await open_journal(app.home.path, project=project, clock=clock.now, holder="orgloop resume")
    try:
        return await journal.resume_actor(actor, clock.now())
    finally:
        await journal.close()
