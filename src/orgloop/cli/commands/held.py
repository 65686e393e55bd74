"""`orgloop held`: work that waits for a person."""

from __future__ import annotations

from typing import Any

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.screen.decide import Choice, choosing, decide
from orgloop.cli.screen.waiting import add_discard, add_list_and_show

STATE = "held"

command = new_group(
    """Work that waits for a person: look, release, discard.

    A guard held it, and says why. Without a subcommand: `list`.""",
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
    ],
)
@choosing(STATE)
def release(app: App, yes: bool, **chosen: Any) -> int | None:
    """Let it go on. Many alike are shown and counted before they move.

    It joins the tail of its key, and its age counts from now. The guard that held it lets it
    pass. A missing prompt file, and what `config` or `removed` names, must be repaired first, or it waits
    again.
    """
    return decide(app, "release", Choice(state=STATE, **chosen), yes=yes)


add_discard(command, STATE, note="done by hand", reason="stale")
