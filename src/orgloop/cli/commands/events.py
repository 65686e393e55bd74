"""`orgloop events`: what came in, and whom it woke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import CHAIN, ROUTE, SOURCE

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.journal.model import DeliveryRow, EventRow


@new_command(
    examples=[
        "orgloop events",
        "orgloop events --source github --since 2h",
        "orgloop events --route pr-review --json",
    ],
    read_only=True,
)
@click.option("--source", metavar="ID", type=SOURCE, default="", help="Only events from this source.")
@click.option("--route", metavar="NAME", type=ROUTE, default="", help="Only events that this route matched.")
@click.option("--trace", metavar="ID", type=CHAIN, default="", help="Only this trace.")
@click.option("--since", metavar="DURATION", help="Only since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="At most this many, the newest first.")
def command(app: App, source: str, route: str, trace: str, since: str | None, limit: int) -> None:
    """List events, the newest first, and whom they woke.

    `orgloop trace ID` shows what followed from one, `orgloop inspect ID` the event itself.
    """
    from orgloop.cli.screen.delivery_list import older
    from orgloop.journal.model import Query
    from orgloop.operations.views.query import asked, nothing_found, organization_of

    query = asked(limit=limit, since=since, source=source, route=route, trace_id=trace)
    with app.journal() as reader:
        found = reader.events(query)
        if not found:
            _nothing(app, nothing_found(reader, query, "no events yet"))
            return
        rows = [
            (row, reader.deliveries(Query(event_id=row.id, limit=1000)) if row.routes else ())
            for row in found
        ]
        if app.out.json:
            from orgloop.operations.views import json_rows

            project = organization_of(reader)
            app.out.data([json_rows.event(row, deliveries, (), project) for row, deliveries in rows])
            return
    _show(app, rows)
    older(app, len(rows), limit)


def _nothing(app: App, words: str) -> None:
    if app.out.json:
        app.out.data([])
    app.out.line(words)


def _show(app: App, rows: Sequence[tuple[EventRow, Sequence[DeliveryRow]]]) -> None:
    import time

    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.cli.screen.words import author_of, event_name
    from orgloop.operations.views.words import one_line, short_moment

    now = int(time.time() * 1000)
    columns = [
        Column(name="came"),
        Column(name="event"),
        Column(name="source", is_name=True),
        Column(name="what", flexible=True),
        Column(name="by", flexible=True, from_width=100),
        Column(name="woke", flexible=True),
    ]
    print_grid(
        app.out,
        columns,
        [
            [
                short_moment(row.at, now),
                row.id,
                row.source,
                one_line(event_name(row)),
                one_line(author_of(row)),
                _woke(deliveries),
            ]
            for row, deliveries in rows
        ],
    )


def _woke(deliveries: Sequence[DeliveryRow]) -> Text:
    """The routes, each in the colour of what became of it; what did not end well is named."""
    from rich.text import Text

    from orgloop.cli.screen.words import STATE_STYLES

    if not deliveries:
        return Text("no actor", "dim")
    words = []
    for one in deliveries:
        state = "" if one.state in ("delivered", "started", "running") else f" {one.state}"
        words.append(Text(f"{one.actor}{state}", STATE_STYLES[one.state]))
    return Text(", ").join(words)
