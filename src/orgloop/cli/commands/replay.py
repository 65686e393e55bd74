"""`orgloop replay`: process accepted events again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import CHAIN, ROUTE, SOURCE
from orgloop.cli.time_limit import no_limit
from orgloop.errors import DaemonError, NotFound, Refused
from orgloop.operations.views.words import counted

if TYPE_CHECKING:
    from orgloop.daemon.client import Client
    from orgloop.journal.model import EventRow
    from orgloop.journal.protocols import Reader

PAGE: Final = 500


@new_command(
    examples=[
        "orgloop replay evt_19b5a1c2d3e4f506",
        "orgloop replay evt_19b5a1c2d3e4f506 --route pr-review --dry-run",
        "orgloop replay --since 2h --route pr-review",
    ]
)
@click.argument("ids", metavar="[EVENT]...", type=CHAIN, nargs=-1)
@click.option("--since", metavar="DURATION", help="All events since then: 2h, 3d, or a date.")
@click.option(
    "--source", metavar="ID", type=SOURCE, default="", help="With --since: only events from this source."
)
@click.option("--route", metavar="NAME", type=ROUTE, default="", help="Only for this route.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(
    app: App, ids: Sequence[str], since: str | None, source: str, route: str, dry_run: bool, yes: bool
) -> int | None:
    """Process accepted events again, for the routes that match them now.

    A replay is a new event with the content, author, time and hops of the first one. No dedup key
    keeps it out. Its runs count in all budgets and limits. Events that a chosen event caused are not
    replayed beside it.
    """
    app.require_this_project("replay")
    if bool(ids) == bool(since):
        raise Refused(
            "no event is chosen" if not ids else "ids and --since exclude each other",
            hint="name ids from `orgloop events`, or use --since, with --route or --source",
        )
    if ids and source:
        raise Refused("ids and --source exclude each other", hint="leave out --source")
    client = _client(app)
    no_limit()
    with app.journal() as reader:
        chosen = _named(reader, ids) if ids else _since(reader, since or "", source)
        would = [client.replay(id, route=route, dry_run=True) for id in chosen]
        if since:
            would = _without_follow_ups(reader, would)
    wakes = [one for one in would if one["deliveries"]]
    if dry_run or not wakes:
        return _show(app, would, dry_run=dry_run)
    _ask(app, wakes, asks=bool(since) and not yes)
    done = [client.replay(one["replay_of"], route=route) for one in wakes]
    return _show(app, [*done, *(one for one in would if not one["deliveries"])], dry_run=False)


def _client(app: App) -> Client:
    from orgloop.daemon.client import Client

    client = Client.of_home(app.home)
    if client is None:
        raise DaemonError(
            "no daemon runs in this home, so no event can be replayed", hint="type `orgloop start` first"
        )
    return client


def _named(reader: Reader, ids: Sequence[str]) -> list[str]:
    for id in ids:
        if reader.event(id) is None:
            raise NotFound(f"there is no event {id}", hint="`orgloop events` lists the events")
    return list(dict.fromkeys(ids))


def _since(reader: Reader, since: str, source: str) -> Iterator[str]:
    """Events since then, oldest first, without replays. What comes meanwhile is not among them."""
    from dataclasses import replace

    from orgloop.core.events.event import REPLAY_OF
    from orgloop.journal.model import START
    from orgloop.operations.views.query import asked, nothing_found

    query = replace(asked(limit=PAGE, since=since, source=source), after=START)
    page = reader.events(query)
    if not page:
        nothing_found(reader, query, "")
    newest = reader.events(replace(query, after=None, limit=1))
    while page:
        for row in page:
            if not row.document.get(REPLAY_OF):
                yield row.id
            if newest and row.id == newest[0].id:
                return
        page = reader.events(replace(query, after=page[-1].cursor))


def _without_follow_ups(reader: Reader, would: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without those that an event which is replayed, too, caused: its replay causes them anew."""
    covered: set[str] = set()
    kept = []
    for one in would:
        row = reader.event(one["replay_of"])
        follows = row is not None and not covered.isdisjoint(_parents(row))
        if follows or one["deliveries"]:
            covered.add(one["replay_of"])
        if not follows and one["deliveries"]:
            kept.append(one)
    return kept


def _parents(row: EventRow) -> Sequence[str]:
    return [str(one) for one in row.document.get("parents") or ()]


def _ask(app: App, wakes: Sequence[Mapping[str, Any]], *, asks: bool) -> None:
    """Say what begins, and ask if many are meant. Raises Refused unless the answer is yes."""
    deliveries = [one for event in wakes for one in event["deliveries"]]
    runs = sum(one["runs"] and one["state"] in ("pending", "preparing") for one in deliveries)
    many = counted(len(wakes), "event")
    counts = "; its run counts" if runs == 1 else f"; their {runs} runs count" if runs else ""
    where = " in the budgets and limits like any other" if counts else ""
    if asks:
        _groups(app, deliveries)
    app.out.note(f"{many} will be replayed{counts}{where}")
    if not asks:
        return
    if app.out.json or app.out.quiet or not sys.stdin.isatty():
        raise Refused(f"{many} would be replayed; nothing was", hint="add --yes to do it")
    if not click.confirm(f"Replay {'it' if len(wakes) == 1 else f'these {len(wakes)}'}?"):
        raise Refused("nothing was done", hint="`--dry-run` shows each event")


def _groups(app: App, deliveries: Sequence[Mapping[str, Any]]) -> None:
    groups = Counter((one["route"], one["actor"], one["reason"] or one["state"]) for one in deliveries)
    for (route, actor, state), count in groups.most_common():
        app.out.line(f"  {count:4}  {route} → {actor}, {state}")


def _show(app: App, replays: Sequence[Mapping[str, Any]], *, dry_run: bool) -> int | None:
    """Each event, what was made of it, and for whom that is. 1 if there is none that wakes an actor."""
    woke = any(one["deliveries"] for one in replays)
    if app.out.json:
        app.out.data([{key: value for key, value in one.items() if key != "ok"} for one in replays])
        return None if woke or not replays else 1
    if not replays:
        app.out.line("no event matches")
        return None
    for one in replays:
        if not one["deliveries"]:
            app.out.warn(
                f"no route matches {one['replay_of']}: it is not replayed",
                f"`orgloop test {one['replay_of']}` shows why",
            )
            continue
        if dry_run:
            app.out.line(f"{one['replay_of']} would be replayed")
        else:
            app.out.ok(f"{one['event_id']} is the replay of {one['replay_of']}")
        for made in one["deliveries"]:
            app.out.line(f"  it is for {made['actor']} ({made['route']}){_state(made)}")
    if woke and not dry_run:
        from orgloop.cli.screen.grid import print_next

        last = next(one["event_id"] for one in reversed(replays) if one["event_id"])
        print_next(app.out, [(f"orgloop trace {last}", "what follows")])
    return None if woke else 1


def _state(made: Mapping[str, Any]) -> str:
    return "" if made["state"] in ("pending", "preparing") else f": {made['state']} ({made['reason']})"
