"""`orgloop held`: work that waits for a person."""

from __future__ import annotations

from typing import Any

import click

from orgloop.cli.command import Cli, new_group
from orgloop.cli.verdicts import Choice, choosing, decide
from orgloop.cli.waiting import list_waiting, show_waiting

STATE = "held"

command = new_group(
    """Work that waits for a person: look, release, discard.

    A guard held it, and says why. Without a subcommand: `list`.""",
    default="list",
)


@command.subcommand("list", examples=["orgloop held", "orgloop held list --reason untrusted --since 1d"])
@click.option("--route", metavar="NAME", default="", help="Only of this route.")
@click.option("--actor", metavar="ID", default="", help="Only for this actor.")
@click.option("--reason", metavar="WORD", default="", help="Only with this reason: untrusted, no_sop, ...")
@click.option("--since", metavar="DURATION", help="Only what came since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="So many, the newest.")
def list_held(cli: Cli, **filters: Any) -> None:
    """List it, the newest first."""
    list_waiting(cli, STATE, **filters)


@command.subcommand(
    "show",
    examples=["orgloop held show dlv_19b5a1c2d3e4f506", "orgloop held show dlv_19b5a1c2d3e4f506 --prompt"],
)
@click.argument("id", metavar="ID")
@click.option("--prompt", is_flag=True, help="Show the whole prompt.")
def show(cli: Cli, id: str, prompt: bool) -> None:
    """Show one: why it waits, its event, the prompt that its agent would get, what to type next."""
    show_waiting(cli, id, prompt=prompt)


@command.subcommand(
    "release",
    examples=[
        "orgloop held release dlv_19b5a1c2d3e4f506",
        "orgloop held release --route pr-review --reason untrusted",
        "orgloop held release --all --yes",
    ],
)
@choosing(STATE)
def release(cli: Cli, yes: bool, **chosen: Any) -> int | None:
    """Let it go on. Many alike are shown and counted before they move.

    It joins the tail of its key, and its age counts from now. The guard that held it lets it
    pass. A missing prompt file, and what `config` or `removed` names, must be repaired first, or it waits
    again.
    """
    return decide(cli, "release", Choice(state=STATE, **chosen), yes=yes)


@command.subcommand(
    "discard",
    examples=[
        "orgloop held discard dlv_19b5a1c2d3e4f506 --note 'done by hand'",
        "orgloop held discard --reason stale --since 7d",
    ],
)
@choosing(STATE)
@click.option("--note", metavar="TEXT", default="", help="Why; kept with it.")
def discard(cli: Cli, yes: bool, note: str, **chosen: Any) -> int | None:
    """Decide that it needs no more. Nothing brings it back; its event stays."""
    return decide(cli, "discard", Choice(state=STATE, **chosen), yes=yes, note=note)
