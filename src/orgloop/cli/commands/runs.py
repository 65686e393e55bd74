"""`orgloop runs`: the agents at work, and those that were."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.completion import ACTOR, OPEN_RUN, ROUTE, RUN
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Conflict, DaemonError, NotFound

if TYPE_CHECKING:
    from orgloop.journal.model import EventRow, Query, RunRow
    from orgloop.journal.protocols import Reader

ENDS_WITHIN: Final = 15.0
"""Seconds that a run gets to end after it is told to, before the command ends without knowing."""

LOOK: Final = 0.05
"""Seconds between two looks at whether it has."""

command = new_group(
    """Active runs: actor, cause, start time and latest output.

    Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop runs", "orgloop runs --all --since 1d", "orgloop runs tail run_19b5a1c2d3e4f506"],
)


@command.subcommand(
    "list",
    read_only=True,
    examples=["orgloop runs", "orgloop runs --all --since 1d", "orgloop runs list --actor engineer"],
)
@click.option("--all", "ended", is_flag=True, help="Include ended runs.")
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="Only of this actor.")
@click.option("--route", metavar="NAME", type=ROUTE, default="", help="Only those that this route started.")
@click.option("--since", metavar="DURATION", help="Only runs started since then: 2h, 3d, or a date.")
@click.option("-n", "--limit", default=20, show_default=True, help="At most this many, the newest first.")
def list_runs(app: App, ended: bool, actor: str, route: str, since: str | None, limit: int) -> None:
    """List active runs, or with --all every run, the newest first."""
    from orgloop.operations.views.query import asked, nothing_found

    query = asked(limit=limit, since=since, actor=actor, route=route)
    with app.journal() as reader:
        found: Sequence[RunRow]
        times: Mapping[str, int] = {}
        if ended and not app.out.json:
            found, times = _folded_up(reader, query)
        else:
            found = reader.runs(query, open_only=not ended)
        what = "there are no runs yet" if ended else "there are no active runs"
        words = "" if found else nothing_found(reader, query, what)
        events = {run.event_id: reader.event(run.event_id) for run in found}
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data([json_rows.run(run) for run in found])
    elif found:
        _show(app, found, events, times)
        if len(found) == limit:
            from orgloop.cli.screen.delivery_list import older

            older(app, len(found), limit)
    else:
        app.out.line(words if ended else words.removesuffix(" yet") + " now")
        if not ended:
            app.out.line(app.out.style("  `orgloop runs --all` lists ended runs", "dim"))


@command.subcommand("show", read_only=True, examples=["orgloop runs show run_19b5a1c2d3e4f506"])
@click.argument("id", metavar="[ID]", type=RUN, required=False)
def show(app: App, id: str | None) -> None:
    """Show one run: its cause, its latest output and its result."""
    from orgloop.cli.screen.run_view import document, show_run

    with app.journal() as reader:
        run = _last_or(reader, id)
        if app.out.json:
            app.out.data(document(reader, run))
        else:
            show_run(app, reader, run, int(time.time() * 1000))


@command.subcommand(
    "tail",
    read_only=True,
    examples=["orgloop runs tail run_19b5a1c2d3e4f506", "orgloop runs tail run_19b5a1c2d3e4f506 --raw"],
)
@click.argument("id", metavar="[ID]", type=RUN, required=False)
@click.option("--raw", is_flag=True, help="The unparsed output.")
@click.option(
    "-f", "-F", "--follow/--no-follow", default=True, help="Until the run ends, or only the output so far."
)
def tail(app: App, id: str | None, raw: bool, follow: bool) -> None:
    """Watch a run's output until it ends, as its actor understands it.

    With --json each line is one document: {text, session_id, cost_usd}. Needs no daemon.
    """
    from orgloop.cli.screen.run_tail import follow_run

    if follow:
        no_limit()
    with app.journal() as reader:
        follow_run(app, reader, _last_or(reader, id), raw=raw, follow=follow)


@command.subcommand("stop", examples=["orgloop runs stop run_19b5a1c2d3e4f506"])
@click.argument("id", metavar="ID", type=OPEN_RUN)
def stop(app: App, id: str) -> None:
    """Stop a run. Its program is asked to end, and killed if it has not ended some seconds later.

    The state of its delivery becomes `delivered`, with the outcome `cancelled`. No daemon is needed to stop
    a local run; the next start records its end. A run in another system can be stopped only while the
    daemon runs.
    """
    from orgloop.daemon.client import Client

    app.require_this_project("runs stop")
    with app.journal() as reader:
        run = find_run(reader, id)
    if run.ended_at is not None:
        raise Conflict(
            f"run {id} has ended already: {run.outcome or run.reason}", hint=f"orgloop runs show {id}"
        )
    client = Client.of_home(app.home)
    if client is not None:
        client.stop_run(id)
    elif run.is_remote:
        raise DaemonError(
            f"run {id} is active in another system, and only a daemon can stop it there",
            hint="type `orgloop start`, then this again",
        )
    else:
        from orgloop.runtime.runs.local.local_runner import request_stop

        request_stop(Path(run.run_dir))
    outcome = _end_of(app, id) if client is not None else None
    how = f": {outcome}" if outcome else ""
    if app.out.json:
        app.out.data({"ok": True, "id": id, "daemon": client is not None, "ended": outcome is not None})
    app.out.ok(f"{id} ({run.actor}) {'has ended' if outcome is not None else 'is told to end'}{how}")
    if client is None:
        app.out.line("  no daemon runs: the next `orgloop start` records its end")
    elif outcome is None:
        app.out.line(f"  it has not ended yet: `orgloop runs show {id}` says when it has")


def _last_or(reader: Reader, id: str | None) -> RunRow:
    """The run with this id, or without one the last that began. Raises NotFound."""
    from orgloop.journal.model import Query

    if id is not None:
        return find_run(reader, id)
    found = reader.runs(Query(limit=1))
    if not found:
        raise NotFound("there is no run yet", hint="`orgloop events` lists the events")
    return found[0]


def _end_of(app: App, id: str) -> str | None:
    """How the run ended, once it has; None if that takes longer than a program gets to end."""
    import time

    deadline = time.monotonic() + ENDS_WITHIN
    with app.journal() as reader:
        while time.monotonic() < deadline:
            run = reader.run(id)
            if run is None or run.ended_at is not None:
                return run.outcome if run is not None else ""
            time.sleep(LOOK)
    return None


def find_run(reader: Reader, id: str) -> RunRow:
    """The run with this id. Raises NotFound."""
    found = reader.run(id)
    if found is None:
        raise NotFound(f"there is no run {id}", hint="`orgloop runs --all` lists them")
    return found


def _folded_up(reader: Reader, query: Query) -> tuple[Sequence[RunRow], Mapping[str, int]]:
    """As many runs as are asked for, those of one delivery that did not start as one: the newest of them.

    Also how many each stands for, by its id.
    """
    from dataclasses import replace

    from orgloop.operations.views.query import MOST

    limit = query.limit
    while True:
        rows = reader.runs(query)
        shown: dict[str, RunRow] = {}
        for row in rows:
            shown.setdefault(row.delivery_id if row.reason == "not_started" else row.id, row)
        if len(shown) >= limit or len(rows) < query.limit or query.limit == MOST:
            break
        query = replace(query, limit=min(MOST, query.limit * 4))
    first = list(shown.values())[:limit]
    return first, {run.id: _not_started(reader, run) for run in first if run.reason == "not_started"}


def _not_started(reader: Reader, run: RunRow) -> int:
    """How many runs of its delivery did not start."""
    from orgloop.journal.model import Query
    from orgloop.operations.views.query import MOST

    alike = reader.runs(Query(event_id=run.event_id, reason=run.reason, limit=MOST, payloads=False))
    return sum(one.delivery_id == run.delivery_id for one in alike)


def _show(
    app: App, runs: Sequence[RunRow], events: Mapping[str, EventRow | None], times: Mapping[str, int]
) -> None:
    from rich.text import Text

    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.cli.screen.run_view import age_of, is_gone, says
    from orgloop.cli.screen.words import OUTCOME_STYLES, event_name, outcome_mark, outcome_word
    from orgloop.operations.views.words import dollars, one_line, short_moment

    now = int(time.time() * 1000)
    gone = {run.id for run in runs if is_gone(app, run)}

    def why(run: RunRow) -> str:
        event = events.get(run.event_id)
        return f"{event.source} {one_line(event_name(event))}" if event is not None else ""

    def outcome_text(run: RunRow) -> str:
        many = times.get(run.id, 1)
        return f"{many} times: {says(run)}" if many > 1 else says(run)

    columns = [
        Column(name=""),
        Column(name="started"),
        Column(name="run"),
        Column(name="actor", is_name=True),
        Column(name="route", is_name=True),
        Column(name="why", flexible=True, from_width=120),
        Column(name="outcome", from_width=100),
        Column(name="took", right=True),
        Column(name="cost", right=True),
        Column(name="output", flexible=True),
    ]
    print_grid(
        app.out,
        columns,
        [
            [
                Text(outcome_mark(run, gone=run.id in gone), OUTCOME_STYLES.get(run.outcome, "yellow")),
                short_moment(run.started_at, now),
                Text(run.id, OUTCOME_STYLES.get(run.outcome, "yellow")),
                run.actor,
                run.route,
                why(run),
                Text(outcome_word(run, gone=run.id in gone), OUTCOME_STYLES.get(run.outcome, "yellow")),
                age_of(run, now, gone=run.id in gone),
                dollars(run.cost_usd),
                outcome_text(run),
            ]
            for run in runs
        ],
    )
