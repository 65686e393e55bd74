"""`orgloop emit`: put a real event in."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import SOURCE
from orgloop.cli.output import WARN
from orgloop.cli.time_limit import no_limit
from orgloop.errors import DaemonError, Refused

_EXAMPLE: Final = "`orgloop test --generate webhook` prints a whole event"


@new_command(
    examples=[
        "orgloop emit event.json",
        'orgloop emit --source webhook --event deploy.finished --payload \'{"env": "prod"}\'',
        "orgloop test --generate github | orgloop emit -",
    ]
)
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--source", metavar="ID", type=SOURCE, help="The source or actor that it comes from.")
@click.option("--type", "kind", metavar="TYPE", help="Its canonical type, else resource.changed.")
@click.option("--event", metavar="NAME", help="Its provenance.platform_event.")
@click.option("--payload", metavar="JSON", help="Its payload.")
def command(
    app: App, file: str | None, source: str | None, kind: str | None, event: str | None, payload: str | None
) -> None:
    """Send an event, as if its source had sent it. It wakes actors.

    FILE holds an event as JSON; `-` reads standard input. Options fill in what it lacks. Without FILE
    the event is made of the options.
    """
    from orgloop.cli.screen.grid import print_next
    from orgloop.daemon.client import Client

    # An agent works on whatever it likes, also on a project: it is about the one that woke it.
    if not app.environ.get("ORGLOOP_RUN_ID"):
        app.require_this_project("emit")
    _require_type(kind, event)
    if file is None:
        document = _from_options(source, kind, event, payload)
    else:
        document = _completed(_from_file(file), file, source, kind, event, payload)
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
    from orgloop.core.deliveries.delivery import State
    from orgloop.journal.model import START, Query
    from orgloop.operations.views.words import one_line, state_words

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


def _completed(
    document: Any, file: str, source: str | None, kind: str | None, event: str | None, payload: str | None
) -> dict[str, Any]:
    """The event of a file, with what it leaves out from the options. Raises Refused for what is no event."""
    shown, id = "standard input" if file == "-" else file, source or "ID"
    given = "-" if file == "-" else shlex.quote(file)
    alone = f'if it is a payload: orgloop emit --source {id} --payload "$(cat {given})"'
    if not isinstance(document, Mapping):
        raise Refused(f"{shown} is not an event: it is not a JSON object", hint=f"{_EXAMPLE}\n{alone}")
    if not document.keys() & {"source", "provenance", "payload"}:
        raise Refused(
            f"{shown} is not an event: it has no `source`, `provenance` or `payload`",
            hint=f"{alone}\nif it is a request's body: orgloop test {given} --source {id} shows its event",
        )
    if payload is not None:
        raise Refused("--payload and FILE exclude each other", hint="write it into the file as `payload`")
    if source is None and document.get("source") in (None, ""):
        raise Refused(f"{shown} has no `source`", hint="name its source with --source")
    provenance = document.get("provenance", _provenance(event) if source is not None else None)
    options = {
        "--source": ("source", document.get("source"), source),
        "--type": ("type", document.get("type"), kind),
        "--event": (
            "provenance.platform_event",
            provenance.get("platform_event") if isinstance(provenance, Mapping) else None,
            event,
        ),
    }
    for option, (field, there, said) in options.items():
        if said is not None and there not in (None, "", said):
            raise Refused(
                f"{option} is {said}, but the `{field}` of {shown} is {there}", hint=f"leave out {option}"
            )
    completed = dict(document)
    if source is not None:
        completed["source"] = source
    if kind is not None:
        completed["type"] = kind
    if isinstance(provenance, Mapping):
        completed["provenance"] = {**provenance, **({"platform_event": event} if event is not None else {})}
    return completed


def _require_type(kind: str | None, event: str | None) -> None:
    """Raise Refused for a type that is none: it is often the event's name that is meant."""
    from orgloop.core.events.event import EventType
    from orgloop.core.text.suggest import nearest_name

    types = list(EventType)
    if kind is None or kind in types:
        return
    near = nearest_name(kind, types)
    hint = f"did you mean `{near}`?" if near else f"a type is one of {', '.join(types)}"
    if event is None and not near:
        hint += f"; if it is the event's name: --event {shlex.quote(kind)}"
    raise Refused(f"--type {kind} is no type of events", hint=hint)


def _provenance(event: str | None) -> dict[str, Any]:
    named = {"platform_event": event} if event is not None else {}
    return {"platform": "orgloop", "author_type": "team_member", **named}


def _from_options(
    source: str | None, kind: str | None, event: str | None, payload: str | None
) -> dict[str, Any]:
    if source is None:
        raise Refused("an event needs a source", hint="name it with --source, or give a FILE")
    body = _parsed(payload.encode(), "--payload") if payload is not None else {}
    return {
        "source": source,
        "type": kind or "resource.changed",
        "provenance": _provenance(event),
        "payload": body,
    }


def _parsed(content: bytes, where: str) -> Any:
    from orgloop.core.text.json_text import NotJson, load_json

    try:
        return load_json(content)
    except NotJson as exc:
        from orgloop.operations.event_file import json_hint

        raise Refused(f"{where} is not JSON: {exc}", hint=json_hint(content)) from exc
