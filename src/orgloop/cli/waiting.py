"""Lists and views of work that waits for a person, the same for held and for dead."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from orgloop.cli.command import Cli
from orgloop.cli.deliveries import older, print_deliveries
from orgloop.cli.grid import print_next
from orgloop.cli.listing import counted
from orgloop.cli.verdicts import find_delivery

if TYPE_CHECKING:
    from orgloop.journal.model import BacklogRow, Query

_VERBS: Final = {
    "held": (("release", "let all of these go on"), ("discard", "end them")),
    "dead": (("retry", "try all of these again"), ("discard", "end them")),
}


def list_waiting(cli: Cli, state: str, *, limit: int, **filters: Any) -> None:
    """The newest of it, and how much there is by route and reason."""
    from orgloop.cli.query import asked, nothing_found

    query = asked(limit=limit, states=[state], **filters)
    with cli.journal() as reader:
        found = reader.deliveries(query)
        words = "" if found else nothing_found(reader, query, f"nothing is {state}").removesuffix(" yet")
        groups = [row for row in reader.backlog() if row.state == state and _fits(row, query)]
    if cli.out.json:
        from orgloop.web import shapes

        cli.out.data([shapes.delivery(row) | {"transforms": list(row.steps)} for row in found])
    elif not found:
        cli.out.ok(words)
    else:
        print_deliveries(cli, found)
        older(cli, len(found), limit)
        if query.since is None:
            _show_groups(cli, state, groups, found[0].id)


def _fits(row: BacklogRow, query: Query) -> bool:
    """Whether a list shows these. How many of them came since some time, a group cannot tell."""
    return all(
        wanted in ("", found)
        for wanted, found in ((query.route, row.route), (query.actor, row.actor), (query.reason, row.reason))
    )


def _show_groups(cli: Cli, state: str, groups: Sequence[BacklogRow], newest: str) -> None:
    import shlex

    out = cli.out
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


def show_waiting(cli: Cli, id: str, *, prompt: bool) -> None:
    """One delivery, whatever its state is by now."""
    from orgloop.cli.delivery_view import document, show_delivery

    now = int(time.time() * 1000)
    with cli.journal() as reader:
        row = find_delivery(reader, id)
        if cli.out.json:
            cli.out.data(document(cli, reader, row, now))
        else:
            show_delivery(cli, reader, row, now, prompt=prompt)
