"""`orgloop deliveries`: who was woken, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.cli.output import FAIL
from orgloop.cli.screen.words import STATE_STYLES, one_line, state_words

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.journal.model import DeliveryRow
    from orgloop.journal.protocols import Reader


@new_command(
    examples=[
        "orgloop deliveries",
        "orgloop deliveries --state pending --state running",
        "orgloop deliveries --route pr-review --since 1d --json",
    ],
    looks=True,
)
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice(list(STATE_STYLES)),
    help=f"Only in this state; may be given again. {', '.join(STATE_STYLES)}.",
)
@click.option("--route", metavar="NAME", default="", help="Only of this route.")
@click.option("--actor", metavar="ID", default="", help="Only for this actor.")
@click.option("--source", metavar="ID", default="", help="Only of events from this source or actor.")
@click.option("--reason", metavar="WORD", default="", help="Only with this reason: untrusted, duplicate, ...")
@click.option("--event", metavar="ID", default="", help="Only of this event.")
@click.option("--since", metavar="DURATION", help="Only what was accepted since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="So many, the newest.")
def command(
    cli: Cli,
    states: tuple[str, ...],
    route: str,
    actor: str,
    source: str,
    reason: str,
    event: str,
    since: str | None,
    limit: int,
) -> None:
    """List deliveries, the newest first: one event for one route, and what became of it.

    `orgloop inspect ID` shows all about one, `orgloop trace ID` its whole chain.
    """
    from orgloop.cli.screen.query import asked, nothing_found
    from orgloop.cli.screen.waits import Waits

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
    with cli.journal() as reader:
        found = reader.deliveries(query)
        words = "" if found else nothing_found(reader, query, "there is no delivery")
        why = Waits(cli, reader, int(time.time() * 1000))
        notes = {row.id: said for row in found if (said := why.why(row))} if not cli.out.json else {}
        notes |= failures(reader, found) if not cli.out.json else {}
    if cli.out.json:
        from orgloop.web import shapes

        cli.out.data([shapes.delivery(row) | {"transforms": list(row.steps)} for row in found])
    elif not found:
        cli.out.line(words)
    else:
        print_deliveries(cli, found, notes)
        older(cli, len(found), limit)


def print_deliveries(
    cli: Cli, rows: Sequence[DeliveryRow], notes: Mapping[str, str] | None = None, *, indent: int = 0
) -> None:
    """A table of them. `notes` are words beside a delivery's own, by id: why it waits, how its run ended."""
    from rich.text import Text

    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.cli.screen.times import short_moment

    now = int(time.time() * 1000)
    columns = [
        Column(name="came"),
        Column(name="delivery"),
        Column(name="route", is_name=True),
        Column(name="actor", is_name=True, from_width=100),
        Column(name="state"),
        Column(name="tries", right=True, from_width=100),
        Column(name="", flexible=True),
    ]
    print_grid(
        cli.out,
        columns,
        [
            [
                short_moment(row.accepted_at, now),
                row.id,
                row.route,
                row.actor,
                Text(state_words(row.state, row.reason), STATE_STYLES[row.state]),
                str(row.attempts),
                _said(row, (notes or {}).get(row.id, "")),
            ]
            for row in rows
        ],
        indent=indent,
    )


def _said(row: DeliveryRow, note: str) -> Text | str:
    from rich.text import Text

    if note.startswith(FAIL):
        return Text(": ".join(filter(None, (note, one_line(row.detail)))), "red")
    return one_line(row.detail) or note


def failures(reader: Reader, rows: Sequence[DeliveryRow]) -> dict[str, str]:
    """How the runs of these deliveries ended that did not come out well, by the deliveries' ids."""
    from orgloop.core.ending import failed

    ended = [(row.id, row.run_id) for row in rows if row.state == "delivered" and row.run_id]
    runs = [(id, run) for id, run_id in ended if (run := reader.run(run_id)) is not None]
    return {id: f"{FAIL} {run.outcome}" for id, run in runs if failed(run.outcome)}


def older(cli: Cli, shown: int, limit: int) -> None:
    """Say how to see more, if there may be more."""
    if shown == limit:
        cli.out.line(cli.out.style(f"There may be older ones: --limit {limit * 5} shows them.", "dim"))
