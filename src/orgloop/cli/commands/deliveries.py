"""`orgloop deliveries`: who was woken, and what came of it."""

from __future__ import annotations

import time

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import ACTOR, EVENT, ROUTE, SOURCE
from orgloop.cli.screen.delivery_list import failures, older, print_deliveries
from orgloop.cli.screen.words import STATE_STYLES


@new_command(
    examples=[
        "orgloop deliveries",
        "orgloop deliveries --state pending --state running",
        "orgloop deliveries --route pr-review --since 1d --json",
    ],
    read_only=True,
)
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice(list(STATE_STYLES)),
    help=f"Only in this state; repeatable. {', '.join(STATE_STYLES)}.",
)
@click.option("--route", metavar="NAME", type=ROUTE, default="", help="Only of this route.")
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="Only for this actor.")
@click.option("--source", metavar="ID", type=SOURCE, default="", help="Only of events from this source.")
@click.option("--reason", metavar="WORD", default="", help="Only with this reason: untrusted, duplicate, ...")
@click.option("--event", metavar="ID", type=EVENT, default="", help="Only of this event.")
@click.option("--since", metavar="DURATION", help="Only deliveries accepted since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="At most this many, the newest first.")
def command(
    app: App,
    states: tuple[str, ...],
    route: str,
    actor: str,
    source: str,
    reason: str,
    event: str,
    since: str | None,
    limit: int,
) -> None:
    """List deliveries, the newest first: one event for one route, and its result.

    `orgloop inspect ID` shows all about one, `orgloop trace ID` its whole chain.
    """
    from orgloop.operations.views.query import asked, nothing_found

    query = asked(
        limit=limit,
        since=since,
        states=states,
        route=route,
        actor=actor,
        source=source,
        reason=reason,
        event_id=event,
    )
    with app.journal() as reader:
        found = reader.deliveries(query)
        words = "" if found else nothing_found(reader, query, "there is no delivery")
        why = app.waits(reader, int(time.time() * 1000))
        notes = {row.id: note for row in found if (note := why.why(row))} if not app.out.json else {}
        notes |= failures(reader, found) if not app.out.json else {}
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data([json_rows.delivery(row) | {"transforms": list(row.steps)} for row in found])
    elif not found:
        app.out.line(words)
    else:
        print_deliveries(app, found, notes)
        older(app, len(found), limit)
