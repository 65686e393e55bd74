"""Work that waits for a person: what `orgloop held` and `orgloop dead` have in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import CommandGroup
from orgloop.cli.completion import ACTOR, ROUTE, Named
from orgloop.cli.screen.decide import Selection, choosing, decide, find_delivery
from orgloop.cli.screen.delivery_list import older, print_deliveries
from orgloop.cli.screen.grid import print_next
from orgloop.operations.views.words import counted

if TYPE_CHECKING:
    from orgloop.journal.model import BacklogRow, Query

_ID: Final = "dlv_19b5a1c2d3e4f506"

_VERBS: Final = {
    "held": (("release", "release all of these"), ("discard", "end them")),
    "dead": (("retry", "retry all of these"), ("discard", "end them")),
}


def add_list_and_show(group: CommandGroup, state: str, *, reason: str) -> None:
    """Give a group the two commands that look. `reason` is one that work in this state can have."""

    @group.subcommand(
        "list",
        read_only=True,
        examples=[f"orgloop {state}", f"orgloop {state} list --reason {reason} --since 1d"],
    )
    @click.option("--route", metavar="NAME", type=ROUTE, default="", help="Only of this route.")
    @click.option("--actor", metavar="ID", type=ACTOR, default="", help="Only for this actor.")
    @click.option("--reason", metavar="WORD", default="", help=f"Only with this reason, such as {reason}.")
    @click.option("--since", metavar="DURATION", help="Only since then: 2h, 3d, or a date.")
    @click.option("-n", "--limit", default=20, show_default=True, help="At most this many, the newest first.")
    def list_them(app: App, limit: int, **filters: Any) -> None:
        """List the deliveries, the newest first. Similar ones are one line with their number."""
        _list(app, state, limit=limit, **filters)

    @group.subcommand(
        "show",
        read_only=True,
        examples=[f"orgloop {state} show {_ID}", f"orgloop {state} show {_ID} --prompt"],
    )
    @click.argument("id", metavar="ID", type=Named(state))
    @click.option("--prompt", is_flag=True, help="Show the whole prompt.")
    def show(app: App, id: str, prompt: bool) -> None:
        """Show one: what happened, its event, the prompt that its agent would get, what to type next."""
        _show(app, id, prompt=prompt)


def add_discard(group: CommandGroup, state: str, *, note: str, reason: str) -> None:
    """Give a group the command that ends work. `note` and `reason` are for its examples."""

    @group.subcommand(
        "discard",
        examples=[
            f"orgloop {state} discard {_ID} --note '{note}'",
            f"orgloop {state} discard --reason {reason} --since 7d",
        ],
    )
    @choosing(state)
    @click.option("--note", metavar="TEXT", default="", help="Why; kept with it.")
    def discard(app: App, yes: bool, note: str, **chosen: Any) -> int | None:
        """Discard deliveries that are no longer needed. This cannot be undone; their events stay."""
        return decide(app, "discard", Selection(state=state, **chosen), yes=yes, note=note)


def _list(app: App, state: str, *, limit: int, **filters: Any) -> None:
    """The newest of it, and how much there is by route and reason."""
    from orgloop.operations.views.query import asked, nothing_found

    query = asked(limit=limit, states=[state], **filters)
    with app.journal() as reader:
        found = reader.deliveries(query)
        words = "" if found else nothing_found(reader, query, f"nothing is {state}", of_state=True)
        groups = [row for row in reader.backlog() if row.state == state and _fits(row, query)]
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data([json_rows.delivery(row) | {"transforms": list(row.steps)} for row in found])
    elif not found:
        app.out.ok(words.removesuffix(" yet"))
    else:
        print_deliveries(app, found)
        older(app, len(found), limit)
        if query.since is None:
            _show_groups(app, state, groups, found[0].id)


def _fits(row: BacklogRow, query: Query) -> bool:
    """Whether a list shows these. How many of them came since some time, a group cannot tell."""
    return all(
        wanted in ("", found)
        for wanted, found in ((query.route, row.route), (query.actor, row.actor), (query.reason, row.reason))
    )


def _show_groups(app: App, state: str, groups: Sequence[BacklogRow], newest: str) -> None:
    import shlex

    out = app.out
    total = sum(row.count for row in groups)
    out.line()
    out.line(out.style(f"{counted(total, 'delivery', 'deliveries')} {state}", "bold"))
    for row in sorted(groups, key=lambda group: -group.count):
        out.line(f"  {row.count:4}  {row.route} → {row.actor}, {row.reason}")
    most = max(groups, key=lambda group: group.count)
    alike = f"--route {shlex.quote(most.route)} --reason {most.reason}"
    commands = [(f"orgloop {state} show {newest}", "why, its event, its prompt")]
    commands += [(f"orgloop {state} {verb} {alike}", words) for verb, words in _VERBS[state]]
    print_next(out, commands)


def _show(app: App, id: str, *, prompt: bool) -> None:
    """One delivery, whatever its state is by now."""
    from orgloop.cli.screen.delivery_view import document, show_delivery

    now = int(time.time() * 1000)
    with app.journal() as reader:
        row = find_delivery(reader, id)
        if app.out.json:
            app.out.data(document(app, reader, row, now))
        else:
            show_delivery(app, reader, row, now, prompt=prompt)
