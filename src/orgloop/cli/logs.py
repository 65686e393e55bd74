"""`orgloop logs`: what happened, line by line, live or from the past, with or without a daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command

if TYPE_CHECKING:
    from orgloop.core.record import Record
    from orgloop.journal.follow import Follower
    from orgloop.journal.protocols import Reader

LOOK: Final = 0.2
"""Seconds between two looks at the journal while following."""


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

    def shows(self, record: Record) -> bool:
        """Whether this one is shown."""
        ids = (record.event_id, record.trace_id, record.delivery_id, record.run_id)
        return (
            _is(self.source, record.source)
            and _is(self.route, record.route)
            and _is(self.actor, record.target)
            and (self.id is None or self.id in ids)
            and _is(self.trace, record.trace_id)
            and _is(self.event, record.event_type)
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
    ]
)
@click.option("--source", metavar="ID", help="Only what comes from this source.")
@click.option("--route", metavar="NAME", help="Only this route.")
@click.option("--actor", metavar="ID", help="Only this actor.")
@click.option(
    "--event",
    "id",
    metavar="ID",
    help="Only this event (a delivery's, run's or trace's id works, too). Does not follow.",
)
@click.option("--trace", metavar="ID", help="Only this trace.")
@click.option("--event-type", metavar="TYPE", help="Only events of this canonical type.")
@click.option("--result", metavar="WORD", help="Only this result: delivered, drop, retry, held, dead, ...")
@click.option("--since", metavar="DURATION", help="From so long ago on, such as 30m or 2d.")
@click.option(
    "-n",
    "--last",
    "count",
    default=50,
    show_default=True,
    help="Without --since: from the last so many events on.",
)
@click.option(
    "-f/-F",
    "--follow/--no-follow",
    default=None,
    help="Go on with what happens. Without either: on a terminal.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["human", "json"]),
    default="human",
    help="json: one document a line.",
)
def command(
    cli: Cli,
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

    Read from the journal: a daemon need not run. On a terminal it goes on with what happens until
    Ctrl-C.
    """
    import sys

    chosen = Filter(
        source=source, route=route, actor=actor, id=id, trace=trace, result=result, event=event_type
    )
    follows = follow if follow is not None else sys.stdout.isatty() and id is None and not cli.out.json
    with cli.journal() as reader:
        follower = _from(reader, since, count, whole=bool(id or trace))
        show = _printer(cli, layout)
        for records in _pages(follower, follows=follows):
            show([record for record in records if chosen.shows(record)])


def _from(reader: Reader, since: str | None, count: int, *, whole: bool) -> Follower:
    from orgloop.core.units import UnitError, parse_duration
    from orgloop.errors import OrgLoopError
    from orgloop.journal.follow import Follower

    if since is not None:
        try:
            at = int(time.time() * 1000) - parse_duration(since)
        except UnitError as exc:
            raise OrgLoopError(f"--since {since}: {exc}", hint="for example --since 30m") from exc
        return Follower.since(reader, at)
    return Follower.since(reader, 0) if whole else Follower.last(reader, count)


def _pages(follower: Follower, *, follows: bool) -> Iterator[list[Record]]:
    while True:
        while records := follower.next():
            yield records
        if not follows:
            return
        time.sleep(LOOK)


def _printer(cli: Cli, layout: str) -> Callable[[list[Record]], None]:
    """Writes records on standard output: JSON lines, or as the console logger does."""
    import sys

    if cli.out.json or layout == "json":
        import orjson

        def show(records: list[Record]) -> None:
            for record in records:
                sys.stdout.write(orjson.dumps(record.document(), default=str).decode() + "\n")
            sys.stdout.flush()

        return show
    from orgloop.core.record import Level
    from orgloop.loggers.console import ConsoleLogger, ConsoleSettings

    settings = ConsoleSettings(level=Level.DEBUG if cli.out.verbose else Level.INFO)
    return ConsoleLogger(settings, sys.stdout, colored=cli.out.is_colored).write
