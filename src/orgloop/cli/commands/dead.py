"""`orgloop dead`: work that failed for good."""

from __future__ import annotations

from typing import Any

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.screen.decide import Selection, choosing, decide
from orgloop.cli.screen.held_and_dead import add_discard, add_list_and_show

STATE = "dead"

command = new_group(
    """Deliveries that failed permanently: list, retry, discard.

    The actor refused them, or all attempts failed. Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop dead", "orgloop dead show dlv_19b5a1c2d3e4f506", "orgloop dead retry --actor notify"],
)

add_list_and_show(command, STATE, reason="rejected")


@command.subcommand(
    "retry",
    examples=[
        "orgloop dead retry dlv_19b5a1c2d3e4f506",
        "orgloop dead retry --actor notify --since 2h",
        "orgloop dead retry --all --yes",
    ],
)
@choosing(STATE)
def retry(app: App, yes: bool, **chosen: Any) -> int | None:
    """Try dead deliveries again, with all attempts. If there are many, you are asked first."""
    return decide(app, "retry", Selection(state=STATE, **chosen), yes=yes)


add_discard(command, STATE, note="told them by phone", reason="rejected")
