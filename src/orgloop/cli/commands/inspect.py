"""`orgloop inspect`: one thing in detail, whatever it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import PartOrId
from orgloop.errors import Conflict, NotFound, Refused

if TYPE_CHECKING:
    from orgloop.journal.protocols import Reader
    from orgloop.operations.views.inspector import Part

_ROWS: Final[Mapping[str, str]] = {"evt": "event", "dlv": "delivery", "run": "run"}
_PARTS: Final = ("source", "actor", "route", "transform", "logger")


@new_command(
    examples=[
        "orgloop inspect pr-review",
        "orgloop inspect actor engineer",
        "orgloop inspect evt_19b5a1c2d3e4f506 --json",
    ],
    read_only=True,
)
@click.argument("words", metavar="[KIND] [NAME]", type=PartOrId(), nargs=-1)
@click.option("--prompt", is_flag=True, help="Of a delivery: show the whole prompt.")
def command(app: App, words: tuple[str, ...], prompt: bool) -> None:
    """Show one thing in detail: its configuration, its statistics, its last work.

    NAME is the name of a source, actor, route, transform or logger, or the id of an event, delivery or
    run. If several things have that name, KIND chooses one: `actor`, `route`, and so on. Configuration
    is shown as it is written in the files, with *** for every secret. The default is the last event.
    """
    with app.reading() as reader:
        now = int(time.time() * 1000)
        kind, name = _asked(words) if words else ("event", _last(reader))
        if kind in _ROWS.values():
            _show_row(app, reader, kind or "", name, now, prompt=prompt)
            return
        part = _part(app, reader, kind, name, now)
        if app.out.json:
            app.out.data(part.as_json())
        else:
            _show_part(app, reader, part, now)


def _last(reader: Reader | None) -> str:
    """The last event's id."""
    from orgloop.operations.views.chain import last_event

    if reader is None:
        raise NotFound("nothing has run in this home yet", hint="type `orgloop start` first")
    return last_event(reader)


def _asked(words: tuple[str, ...]) -> tuple[str | None, str]:
    """The kind, if it is clear, and the name. Raises Refused."""
    kinds = (*_PARTS, *_ROWS.values())
    if len(words) > 2 or (len(words) == 2 and words[0] not in kinds):
        raise Refused(
            f"{' '.join(words)!r} is neither a name nor a kind and a name", hint=f"kinds: {', '.join(kinds)}"
        )
    if len(words) == 2:
        return words[0], words[1]
    return _ROWS.get(words[0].partition("_")[0]) if "_" in words[0] else None, words[0]


# --- events, deliveries, runs ---------------------------------------------------------------------


def _show_row(app: App, reader: Reader | None, kind: str, name: str, now: int, *, prompt: bool) -> None:
    if reader is None:
        raise NotFound(f"there is no {kind} {name}", hint="nothing has run in this home yet")
    match kind:
        case "event":
            _show_event(app, reader, name, now)
        case "delivery":
            from orgloop.cli.screen import delivery_view
            from orgloop.cli.screen.decide import find_delivery

            row = find_delivery(reader, name)
            if app.out.json:
                app.out.data(delivery_view.document(app, reader, row, now))
            else:
                delivery_view.show_delivery(app, reader, row, now, prompt=prompt)
        case _:
            from orgloop.cli.commands.runs import find_run
            from orgloop.cli.screen import run_view

            run = find_run(reader, name)
            if app.out.json:
                app.out.data(run_view.document(reader, run))
            else:
                run_view.show_run(app, reader, run, now)


def _show_event(app: App, reader: Reader, id: str, now: int) -> None:
    from orgloop.cli.screen.delivery_list import failures, print_deliveries
    from orgloop.cli.screen.grid import print_block, print_facts, print_next
    from orgloop.cli.screen.words import author_of, event_name
    from orgloop.core.events.event import REPLAY_OF
    from orgloop.core.text.json_text import dump_json
    from orgloop.journal.model import START, Query
    from orgloop.operations.views.words import ago, moment, one_line

    row = reader.event(id)
    if row is None:
        raise NotFound(f"there is no event {id}", hint="`orgloop events` lists the events")
    query = Query(event_id=id, after=START, limit=1000)
    deliveries, steps = reader.deliveries(query), reader.steps(query)
    if app.out.json:
        from orgloop.operations.views import json_rows
        from orgloop.operations.views.query import organization_of

        app.out.data(
            json_rows.event(row, deliveries, steps, organization_of(reader))
            | {"event": row.document, "deliveries": [json_rows.delivery(one) for one in deliveries]}
        )
        return
    out = app.out
    out.line(f"{out.style(row.id, 'bold')}  {row.source} {one_line(event_name(row))}")
    facts = [
        ("type", row.type),
        ("by", one_line(author_of(row))),
        ("came", f"{moment(row.at, now)}, {ago(row.at, now)}"),
        ("replay of", one_line(str(row.document.get(REPLAY_OF, "")))),
        ("trace", row.trace_id),
        ("hops", str(row.hops) if row.hops else ""),
    ]
    print_facts(out, facts)
    out.line()
    if deliveries:
        print_deliveries(app, deliveries, failures(reader, deliveries), indent=2)
    else:
        out.line("  it woke no actor: `orgloop routes` shows the routes")
    out.line()
    print_block(out, dump_json(row.document, indent=True).decode())
    print_next(
        out,
        [
            (f"orgloop trace {row.id}", "what followed from it"),
            (f"orgloop replay {row.id}", "process it again"),
            (f"orgloop test {row.id}", "the effect of this event with the current files"),
        ],
    )


# --- parts of the project -------------------------------------------------------------------------


def _part(app: App, reader: Reader | None, kind: str | None, name: str, now: int) -> Part:
    """The part of this name: as it is applied, else as the files have it. Raises NotFound or Conflict."""
    from orgloop.config.findings import nearest
    from orgloop.operations.views.inspector import Inspector, kinds_of, names_of

    known: list[str] = []
    for project, snapshot, applied in _snapshots(app, reader):
        found = [one for one in kinds_of(snapshot, name) if kind in (None, one)]
        if len(found) > 1:
            raise Conflict(
                f"{name!r} is the name of more than one thing: {', '.join(found)}",
                hint=f"say which: orgloop inspect {found[0]} {name}",
            )
        if found:
            return Inspector(reader, project, snapshot, now, applied=applied).part(found[0], name)
        known += names_of(snapshot, kind)
    raise NotFound(
        f"there is no {kind or 'part'} called {name!r}", hint=nearest(name, known, what="there are")
    )


def _snapshots(app: App, reader: Reader | None) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """What was applied here, then what the files say, where there are any."""
    from orgloop.errors import ConfigError

    applied = reader.applied() if reader is not None else None
    if applied is not None:
        yield applied.project, applied.snapshot, True
    try:
        sound = app.loaded.sound
    except ConfigError:
        if applied is None:
            raise
        return
    if sound is not None:
        yield sound.name, sound.snapshot, False


def _show_part(app: App, reader: Reader | None, part: Part, now: int) -> None:
    from orgloop.cli.screen.delivery_list import failures, print_deliveries
    from orgloop.cli.screen.grid import print_facts, print_next
    from orgloop.cli.screen.words import event_name
    from orgloop.operations.views.inspector import is_replay
    from orgloop.operations.views.words import one_line, short_moment

    out = app.out
    state = "" if part.applied else out.style("  not applied yet: type `orgloop start`", "yellow")
    out.line(f"{out.style(part.name, 'bold')}  {part.kind}{state}")
    print_facts(out, [*part.facts, ("routes", ", ".join(part.routes))])
    out.line()
    out.line(out.style("Configuration", "bold"))
    print_facts(out, list(_lines(part.config)))
    if part.events:
        out.line()
        out.line(out.style("Last events", "bold"))
        for row in part.events:
            replay = out.style("  replay", "dim") if is_replay(row) else ""
            out.line(f"  {short_moment(row.at, now)}  {row.id}  {one_line(event_name(row))}{replay}")
    if part.deliveries and reader is not None:
        out.line()
        out.line(out.style("Last deliveries", "bold"))
        print_deliveries(app, part.deliveries, failures(reader, part.deliveries), indent=2)
    commands = {
        "source": [(f"orgloop events --source {part.name}", "all of its events")],
        "actor": [(f"orgloop deliveries --actor {part.name}", "all of its work")],
        "route": [(f"orgloop deliveries --route {part.name}", "all of its work")],
    }.get(part.kind, [])
    if commands:
        print_next(out, commands)


def _lines(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A config's values by their dot paths."""
    import json

    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _lines(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, str):
        yield path, tree
    else:
        yield path, json.dumps(tree, ensure_ascii=False)
