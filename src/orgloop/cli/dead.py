"""`orgloop dead`: work that failed for good."""

from __future__ import annotations

from typing import Any

import click

from orgloop.cli.command import Cli, new_group
from orgloop.cli.verdicts import Choice, choosing, decide
from orgloop.cli.waiting import list_waiting, show_waiting

STATE = "dead"

command = new_group(
    """Work that failed for good: look, try again, discard.

    Its actor refused it, or it was tried as often as it may be. Without a subcommand: `list`.""",
    default="list",
)


@command.subcommand("list", examples=["orgloop dead", "orgloop dead list --route tell --since 1d"])
@click.option("--route", metavar="NAME", default="", help="Only of this route.")
@click.option("--actor", metavar="ID", default="", help="Only for this actor.")
@click.option("--reason", metavar="WORD", default="", help="Only with this reason: rejected or attempts.")
@click.option("--since", metavar="DURATION", help="Only what came since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="So many, the newest.")
def list_dead(cli: Cli, **filters: Any) -> None:
    """List it, the newest first."""
    list_waiting(cli, STATE, **filters)


@command.subcommand(
    "show",
    examples=["orgloop dead show dlv_19b5a1c2d3e4f506", "orgloop dead show dlv_19b5a1c2d3e4f506 --prompt"],
)
@click.argument("id", metavar="ID")
@click.option("--prompt", is_flag=True, help="Show the whole prompt.")
def show(cli: Cli, id: str, prompt: bool) -> None:
    """Show one: why it failed, its event, the prompt that its agent would get, what to type next."""
    show_waiting(cli, id, prompt=prompt)


@command.subcommand(
    "retry",
    examples=[
        "orgloop dead retry dlv_19b5a1c2d3e4f506",
        "orgloop dead retry --actor notify --since 2h",
        "orgloop dead retry --all --yes",
    ],
)
@choosing(STATE)
def retry(cli: Cli, yes: bool, **chosen: Any) -> int | None:
    """Give it a new life, with all its attempts. Many alike are shown and counted before they move."""
    return decide(cli, "retry", Choice(state=STATE, **chosen), yes=yes)


@command.subcommand(
    "discard",
    examples=[
        "orgloop dead discard dlv_19b5a1c2d3e4f506 --note 'told them by phone'",
        "orgloop dead discard --route tell --reason rejected",
    ],
)
@choosing(STATE)
@click.option("--note", metavar="TEXT", default="", help="Why; kept with it.")
def discard(cli: Cli, yes: bool, note: str, **chosen: Any) -> int | None:
    """Decide that it needs no more. Nothing brings it back; its event stays."""
    return decide(cli, "discard", Choice(state=STATE, **chosen), yes=yes, note=note)
