"""`orgloop logs`: what happened, line by line, live or from the past, with or without a daemon."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import ACTOR, CHAIN, ROUTE, SOURCE
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Refused

if TYPE_CHECKING:
    from orgloop.core.records.record import Record
    from orgloop.journal.follow import Follower
    from orgloop.journal.protocols import Reader

LOOK: Final = 0.2
"""Seconds between two looks at the journal while following."""

FARTHER: Final = 8
"""How many times as many events are read where so many had too few records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """What a record must be to be shown; empty means anything."""

    source: str | None
    route: str | None
    actor: str | None
    id: str | None
    trace: str | None
    result: str | None
    event: str | None
    everything: bool
    """Also what is too much for every day."""

    def shows(self, record: Record) -> bool:
        """Whether this one is shown."""
        ids = (record.event_id, record.trace_id, record.delivery_id, record.run_id)
        return (
            (self.everything or record.level != "debug")
            and _is(self.source, record.source)
            and _is(self.route, record.route)
            and _is(self.actor, record.target)
            and (self.id is None or self.id in ids)
            and _is(self.trace, record.trace_id)
            and (self.event is None or self.event in (record.event_type, record.event_name))
            and (
                self.result is None
                or self.result in (record.result, record.phase, record.phase.rpartition(".")[2])
            )
        )


def _is(wanted: str | None, found: str) -> bool:
    return wanted is None or wanted == found


@new_command(
    examples=[
        "orgloop logs",
        "orgloop logs --route pr-review --since 2h",
        "orgloop logs --result drop --no-follow",
    ],
    read_only=True,
)
@click.option("--source", metavar="ID", type=SOURCE, help="Only records of this source.")
@click.option("--route", metavar="NAME", type=ROUTE, help="Only this route.")
@click.option("--actor", metavar="ID", type=ACTOR, help="Only this actor.")
@click.option(
    "--event",
    "id",
    metavar="ID",
    help="Only this event (a delivery's, run's or trace's id works, too). Does not follow.",
)
@click.option("--trace", metavar="ID", type=CHAIN, help="Only this trace.")
@click.option("--event-type", metavar="TYPE", help="Only events of this type or name.")
@click.option("--result", metavar="WORD", help="Only this result: delivered, drop, retry, held, dead, ...")
@click.option("--since", metavar="DURATION", help="Since then: 30m, 2d, or a date.")
@click.option(
    "-n",
    "--last",
    "count",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Without --since: the number of lines to show.",
)
@click.option(
    "-f",
    "-F",
    "--follow/--no-follow",
    default=None,
    help="Follow new records; the default on a terminal.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["human", "json"]),
    default="human",
    help="json: one document per line.",
)
def command(
    app: App,
    source: str | None,
    route: str | None,
    actor: str | None,
    id: str | None,
    trace: str | None,
    event_type: str | None,
    result: str | None,
    since: str | None,
    count: int,
    follow: bool | None,
    layout: str,
) -> None:
    """Show what happened, line by line.

    The log is read from the journal, so no daemon is needed. On a terminal, new records follow until
    Ctrl-C. With --json it is one list; with --json --follow, one document per line.
    """
    import sys

    from orgloop.operations.views.query import require_known

    is_json = app.out.json or layout == "json"
    chosen = Filter(
        source=source,
        route=route,
        actor=actor,
        id=id,
        trace=trace,
        result=result,
        event=event_type,
        everything=is_json or bool(trace or id or result) or app.out.verbose,
    )
    follows = follow if follow is not None else sys.stdout.isatty() and id is None and not app.out.json
    if follows:
        no_limit()
    with app.journal() as reader:
        require_known(reader, source=source or "", route=route or "", actor=actor or "")
        _require_result(result)
        pages = _pages(reader, chosen, since=since, id=trace or id, count=count, follows=follows)
        if app.out.json and not follows:
            app.out.data([record.document() for page in pages for record in page])
            return
        show, empty = _printer(app, layout), True
        for page in pages:
            show(page)
            empty = empty and not page
        if empty and not is_json:
            app.out.warn(_nothing(event_type))


def _nothing(event: str | None) -> str:
    """The sentence for an empty log, with the name of events that is meant, if one nearly is."""
    from orgloop.core.events.event import EventType
    from orgloop.core.events.session_lifecycle import Phase, platform_event
    from orgloop.core.text.suggest import nearest_name

    known = [*EventType, *map(platform_event, Phase)]
    near = nearest_name(event, known) if event is not None and event not in known else None
    if near is not None:
        return f"there is no record that fits; did you mean `--event-type {near}`?"
    more = "; `orgloop events` lists the events with their names" if event is not None else ""
    return f"there is no record that fits{more}"


def _require_result(word: str | None) -> None:
    """Raise Refused for a result that no record can have."""
    from orgloop.core.records.from_journal import RESULTS
    from orgloop.core.records.record import RecordPhase

    phases = {*RecordPhase, *(phase.rpartition(".")[2] for phase in RecordPhase)}
    if word is not None and word not in RESULTS | phases:
        raise Refused(f"no record has the result {word!r}", hint=f"there are: {', '.join(sorted(RESULTS))}")


def _pages(
    reader: Reader, chosen: Filter, *, since: str | None, id: str | None, count: int, follows: bool
) -> Iterator[list[Record]]:
    """What is chosen, page by page; without `since` and `id` the last `count` lines of what is there by now.

    Raises NotFound if there is no `id`, Refused if `since` is no time.
    """
    if since is None and id is None:
        follower, kept = _last(reader, chosen, count)
        yield kept
    else:
        follower = _follower(reader, since, id)
    while records := follower.next():
        yield list(filter(chosen.shows, records))
    while follows:
        time.sleep(LOOK)
        while records := follower.next():
            yield list(filter(chosen.shows, records))


def _last(reader: Reader, chosen: Filter, count: int) -> tuple[Follower, list[Record]]:
    """The last `count` records that are chosen, and what comes behind them.

    Only the journal's own filters are known before it is read. Where the others leave too few, it is read
    from farther back, in steps so long that all of them together cost little more than the last one.
    """
    from orgloop.journal.follow import Follower

    where = {"source": chosen.source or "", "route": chosen.route or "", "actor": chosen.actor or ""}
    events = count
    while True:
        follower = Follower.last(reader, events, **where)
        kept: deque[Record] = deque(maxlen=count)
        while records := follower.next():
            kept.extend(filter(chosen.shows, records))
        if len(kept) == count or follower.is_whole:
            return follower, list(kept)
        events *= FARTHER


def _follower(reader: Reader, since: str | None, id: str | None) -> Follower:
    """From the beginning of a chain, or from a time on."""
    from orgloop.journal.follow import Follower
    from orgloop.operations.views.chain import trace_of
    from orgloop.operations.views.words import since_of

    if id is not None:
        return Follower.of_trace(reader, trace_of(reader, id))
    return Follower.since(reader, since_of(since or "", int(time.time() * 1000)))


def _printer(app: App, layout: str) -> Callable[[list[Record]], None]:
    """Writes records on standard output: JSON lines, or as the console logger does."""
    import sys

    if app.out.json or layout == "json":
        from orgloop.core.text.json_text import dump_json

        def show(records: list[Record]) -> None:
            for record in records:
                sys.stdout.write(dump_json(record.document(), default=str).decode() + "\n")
            sys.stdout.flush()

        return show
    from orgloop.core.records.record import Level
    from orgloop.loggers.console import ConsoleLogger, ConsoleSettings

    settings = ConsoleSettings(level=Level.DEBUG)
    colored, folds = app.out.is_colored, sys.stdout.isatty()
    return ConsoleLogger(settings, sys.stdout, colored=colored, folds=folds, dated=True).write
