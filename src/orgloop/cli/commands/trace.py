"""`orgloop trace`: one chain from its first event to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import CHAIN

if TYPE_CHECKING:
    pass


@new_command(
    examples=[
        "orgloop trace",
        "orgloop trace evt_19b5a1c2d3e4f506",
        "orgloop trace dlv_19b5a1c2d3e4f507 --prompts",
    ],
    read_only=True,
)
@click.argument("id", metavar="[ID]", type=CHAIN, required=False)
@click.option("--prompts", is_flag=True, help="Show the text of each prompt file at the time of its use.")
@click.option("--all", "show_all", is_flag=True, help="Also show events that woke no actor.")
def command(app: App, id: str | None, prompts: bool, show_all: bool) -> None:
    """Show a whole chain as a tree: events, who they woke with which SOP, outcomes, times, costs.

    ID is that of an event, a delivery, a run or a trace; without it, the last event's chain is shown.
    """
    from orgloop.cli.screen.chain_drawing import ChainDrawing
    from orgloop.operations.views.chain import document, last_event, read_chain, trace_of

    with app.journal() as reader:
        now = int(time.time() * 1000)
        waits = app.waits(reader, now)
        chain = read_chain(reader, trace_of(reader, last_event(reader) if id is None else id), waits)
        if app.out.json:
            app.out.data(document(chain))
            return
        drawing = ChainDrawing(app.out, reader, prompts=prompts, show_all=show_all, now=now)
        for line in drawing.lines(chain):
            app.out.line(line)
