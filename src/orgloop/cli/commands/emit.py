"""`orgloop emit`: put a real event in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import SOURCE
from orgloop.cli.output import WARN
from orgloop.cli.time_limit import no_limit
from orgloop.errors import DaemonError, Refused


@new_command(
    examples=[
        "orgloop emit event.json",
        'orgloop emit --source webhook --event deploy.finished --payload \'{"env": "prod"}\'',
        "orgloop test --generate github | orgloop emit -",
    ]
)
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--source", metavar="ID", type=SOURCE, help="The source or actor that it comes from.")
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    default="resource.changed",
    show_default=True,
    help="Its canonical type.",
)
@click.option("--event", metavar="NAME", help="Its provenance.platform_event.")
@click.option("--payload", metavar="JSON", help="Its payload.")
def command(
    app: App, file: str | None, source: str | None, kind: str, event: str | None, payload: str | None
) -> None:
    """Put an event in, as if its source had sent it. It is routed for real.

    FILE holds a whole event as JSON; `-` reads standard input. Without FILE it is made of the options.
    """
    from orgloop.cli.screen.grid import print_next
    from orgloop.daemon.client import Client

    # An agent works on whatever it likes, also on a project: it is about the one that woke it.
    if not app.environ.get("ORGLOOP_RUN_ID"):
        app.require_this_project("emit")
    document = _from_file(file) if file is not None else _from_options(source, kind, event, payload)
    client = Client.of_home(app.home)
    if client is None:
        raise DaemonError(
            "no daemon runs in this home, so the event cannot be sent", hint="type `orgloop start` first"
        )
    answer = client.emit(document)
    if app.out.json:
        app.out.data(answer)
        return
    id = answer["event_id"]
    if answer["duplicate"]:
        app.out.line(f"{app.out.style(WARN, 'yellow')} {id} is already known; nothing was sent")
        app.out.line("  remove its `id` to send it as a new event")
        return
    app.out.ok(f"{id} is accepted")
    routes = _routes_of(app, id)
    for words in routes:
        app.out.fold(f"  {words}", 4)
    if routes:
        print_next(app.out, [(f"orgloop trace {id}", "what follows")])
    else:
        app.out.line("  no route matches it")
        print_next(app.out, [(f"orgloop test {id}", "why not")])


def _routes_of(app: App, event_id: str) -> list[str]:
    """Which routes an event matched, each with whom it wakes, or why it does not."""
    from orgloop.core.delivery import State
    from orgloop.journal.model import START, Query
    from orgloop.operations.words import one_line, state_words

    found = []
    with app.journal() as reader:
        for row in reader.deliveries(Query(event_id=event_id, after=START)):
            words = f"it is for {row.actor} ({row.route})"
            if row.state in (State.HELD, State.DROPPED, State.DEAD):
                why = one_line(row.detail)
                words += f": {state_words(row.state, row.reason)}" + (f": {why}" if why else "")
            found.append(words)
    return found


def _from_file(file: str) -> Any:
    no_limit()
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as exc:
        raise Refused(
            f"{file} cannot be read: {exc.strerror or exc}", hint="name a file, or - for standard input"
        ) from exc
    from orgloop.operations.event_file import load_event

    return load_event(content, "standard input" if file == "-" else file)


def _from_options(source: str | None, kind: str, event: str | None, payload: str | None) -> dict[str, Any]:
    if source is None:
        raise Refused("an event needs a source", hint="name it with --source, or give a FILE")
    provenance: dict[str, Any] = {"platform": "orgloop", "author_type": "team_member"}
    if event is not None:
        provenance["platform_event"] = event
    body = _parsed(payload.encode(), "--payload") if payload is not None else {}
    return {"source": source, "type": kind, "provenance": provenance, "payload": body}


def _parsed(content: bytes, where: str) -> Any:
    from orgloop.core.json_text import NotJson, load_json

    try:
        return load_json(content)
    except NotJson as exc:
        raise Refused(
            f"{where} is not JSON: {exc}", hint="`orgloop test --generate webhook` prints a whole event"
        ) from exc
