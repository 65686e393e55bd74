"""Deliveries as a table, with what is said beside each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orgloop.cli.app import App
from orgloop.cli.output import FAIL
from orgloop.cli.screen.words import STATE_STYLES, plain_words
from orgloop.operations.views.words import one_line, state_words

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.journal.model import DeliveryRow
    from orgloop.journal.protocols import Reader


def print_deliveries(
    app: App, rows: Sequence[DeliveryRow], notes: Mapping[str, str] | None = None, *, indent: int = 0
) -> None:
    """A table of them. `notes` are words beside a delivery's own, by id: why it waits, how its run ended."""
    from rich.text import Text

    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.operations.views.words import short_moment

    now = int(time.time() * 1000)
    columns = [
        Column(name="time"),
        Column(name="delivery"),
        Column(name="route", is_name=True),
        Column(name="actor", is_name=True, from_width=100),
        Column(name="state"),
        Column(name="tries", right=True, from_width=100),
        Column(name="", flexible=True),
    ]
    print_grid(
        app.out,
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
    return plain_words(row.detail) or note


def failures(reader: Reader, rows: Sequence[DeliveryRow]) -> dict[str, str]:
    """How the runs of these deliveries ended that did not come out well, by the deliveries' ids."""
    from orgloop.core.runs.failure import failed

    ended = [(row.id, row.run_id) for row in rows if row.state == "delivered" and row.run_id]
    runs = [(id, run) for id, run_id in ended if (run := reader.run(run_id)) is not None]
    return {id: f"{FAIL} {run.outcome}" for id, run in runs if failed(run.outcome)}


def older(app: App, shown: int, limit: int) -> None:
    """Say how to see more, if there may be more."""
    if shown == limit:
        app.out.line(app.out.style(f"There may be older ones: --limit {limit * 5} shows them.", "dim"))
