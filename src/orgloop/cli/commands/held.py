"""`orgloop held`: work that waits for a person."""

from __future__ import annotations

from typing import Any

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.screen.decide import Selection, choosing, decide
from orgloop.cli.screen.held_and_dead import add_discard, add_list_and_show

STATE = "held"

command = new_group(
    """Deliveries that wait for a person: list, release, discard.

    A guard held each of them and gives the reason. Without a subcommand: `list`.""",
    default="list",
    examples=[
        "orgloop held",
        "orgloop held show dlv_19b5a1c2d3e4f506",
        "orgloop held release --route pr-review",
    ],
)

add_list_and_show(command, STATE, reason="untrusted")


@command.subcommand(
    "release",
    examples=[
        "orgloop held release dlv_19b5a1c2d3e4f506",
        "orgloop held release --route pr-review --reason untrusted",
        "orgloop held release --all --yes",
        "orgloop held release dlv_19b5a1c2d3e4f506 --skip",
    ],
)
@choosing(STATE)
@click.option(
    "--skip", is_flag=True, help="Do not run the transforms again: go on without the one that failed."
)
def release(app: App, yes: bool, skip: bool, **chosen: Any) -> int | None:
    """Release held deliveries. If there are many, they are summed up, and you are asked first.

    A released delivery queues behind other work with the same session key, and its age restarts. The
    guard that held it lets it pass. If a transform held it, the transforms run again. If another delivery
    with the same dedup key has passed since, it is dropped as a duplicate; the command says so and asks
    first. If a prompt file is missing, or the reason is `config` or `removed`, repair the cause first:
    otherwise the delivery is held again.
    """
    return decide(app, "release", Selection(state=STATE, **chosen), yes=yes, skip=skip)


add_discard(command, STATE, note="done by hand", reason="stale")
