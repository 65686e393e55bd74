"""`orgloop test`: what an event would do, without doing it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import ROUTE, SOURCE
from orgloop.cli.output import FAIL, OK, WARN, Output
from orgloop.cli.screen.grid import print_block
from orgloop.cli.time_limit import no_limit
from orgloop.core.deliveries.prepare_steps import BATCH_KEY, SESSION_KEY
from orgloop.core.events.document import EVENT_ID
from orgloop.errors import ConfigError, NotFound, Refused
from orgloop.operations.views.words import counted

if TYPE_CHECKING:
    from orgloop.config.model import Organization
    from orgloop.operations.dry_run.event import Line, RouteTrial, Trial

_ENDS: Final = {"wake": (OK, "green"), "drop": (FAIL, "yellow"), "hold": (WARN, "yellow")}
_RESULTS: Final = {
    "pass": (OK, "passes it"),
    "change": (OK, "changes it"),
    "once": (WARN, "passes it, unless it repeats another event"),
    "no_key": (WARN, "has no key, so no event counts as its duplicate"),
    "drop": (FAIL, "drops it"),
    "hold": (WARN, "holds it"),
    "error": (WARN, "fails"),
}
_NO_KEY: Final = {
    SESSION_KEY: "has no value, so the wake gets a session of its own",
    BATCH_KEY: "has no value, so the event is not collected with others",
}
_LONG: Final = 60
FEW: Final = 3
"""Routes for other events that are shown one by one."""

MOST_OTHERS: Final = 10
"""Routes that do not match and are shown with the reason."""

MOST_NAMES: Final = 8
"""Routes for other events that are named."""

_HEADER_HELP: Final = "A header of that request. Repeatable."


@new_command(
    examples=[
        "orgloop test --generate github > event.json",
        "orgloop test event.json --route pr-review --prompt",
        "orgloop test evt_19b5a1c2d3e4f506",
        """echo '{"type": "test"}' | orgloop test - --source webhook""",
        "orgloop test body.json --source github -H 'X-GitHub-Event: pull_request' -H 'X-GitHub-Delivery: 1'",
    ]
)
@click.argument("file", required=False, metavar="[FILE|ID|-]")
@click.option("--source", metavar="ID", type=SOURCE, help="FILE is the body of a request to this source.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help=_HEADER_HELP)
@click.option("--generate", metavar="CONNECTOR", help="Print an example event of this connector instead.")
@click.option("--route", metavar="NAME", type=ROUTE, help="Look at this route only.")
@click.option("--prompt", is_flag=True, help="Show the whole prompt that an agent would read.")
def command(
    app: App,
    file: str | None,
    source: str | None,
    headers: tuple[str, ...],
    generate: str | None,
    route: str | None,
    prompt: bool,
) -> None:
    """Show what an event would do: which routes it wakes, and why, or why not.

    FILE holds an event as JSON; `-` reads standard input. A missing id, timestamp or trace_id is filled
    in. An ID names an event of this home's journal. With --source, FILE is what a sender posts to that
    source, which translates it as in the daemon; its own secret signs it.

    Filters and transforms are evaluated for real, scripts are run, and the prompt is written; nothing
    enters the journal, and no actor is woken. Whether an event is a repetition that `dedup` would
    drop only the journal knows.
    """
    if generate is not None:
        app.out.data(_example(app, generate))
        return
    if headers and source is None:
        raise Refused("headers belong to a request", hint="name the source that gets it with --source")
    organization = app.organization
    names = [one.name for one in organization.routes]
    if route is not None and route not in names:
        from orgloop.config.findings import nearest

        raise NotFound(f"there is no route {route!r}", hint=nearest(route, names, what="there are"))
    if source is None:
        documents, answer = [_document(app, file)], None
    else:
        from orgloop.operations.dry_run.request import translate

        documents, answer = asyncio.run(translate(organization, source, _read(file), _parted(headers)))
    _try(app, organization, documents, answer, route=route, prompt=prompt)


def _try(
    app: App,
    organization: Organization,
    documents: Sequence[Any],
    answer: Mapping[str, Any] | None,
    *,
    route: str | None,
    prompt: bool,
) -> None:
    from orgloop.operations.dry_run.event import event_of, try_event
    from orgloop.runtime.support.clock import SystemClock

    clock = SystemClock()
    trials = []
    for document in documents:
        parsed = event_of(document, organization, clock)
        trials.append(
            asyncio.run(try_event(organization, parsed.event, clock, filled=parsed.filled, only=route))
        )
    if app.out.json:
        results = [one.as_json() for one in trials]
        app.out.data(results[0] if len(results) == 1 else results)
        return
    if not trials:
        from orgloop.core.text.json_text import text_of

        message = f"; it answers {text_of(answer)}" if answer is not None else ""
        app.out.warn(f"the request creates no event{message}")
    for number, trial in enumerate(trials):
        if number:
            app.out.line()
        _show(app, trial, prompt=prompt)


def _example(app: App, name: str) -> dict[str, Any]:
    from orgloop.operations.dry_run.examples import example_of

    try:
        organization = app.loaded.sound
    except ConfigError:
        organization = None
    return example_of(app.registry, app.connector(name), organization)


def _document(app: App, file: str | None) -> Any:
    """The event that a file, standard input or the journal has."""
    if file is not None and EVENT_ID.fullmatch(file) and not Path(file).exists():
        with app.journal() as reader:
            row = reader.event(file)
        if row is None:
            raise NotFound(f"there is no event {file}", hint="`orgloop events` lists the events")
        return row.document
    from orgloop.operations.event_file import load_event

    return load_event(_read(file), "standard input" if file in (None, "-") else str(file))


def _read(file: str | None) -> bytes:
    if file is None and sys.stdin.isatty():
        raise Refused(
            "there is no event to test",
            hint="name a file, or try an example: orgloop test --generate webhook | orgloop test -",
        )
    no_limit()
    try:
        return sys.stdin.buffer.read() if file in (None, "-") else Path(file).expanduser().read_bytes()
    except OSError as exc:
        raise NotFound(
            f"{file} cannot be read: {exc.strerror or exc}",
            hint="name a file, an event's id, or - for standard input",
        ) from exc


def _parted(headers: Sequence[str]) -> dict[str, str]:
    """Names and values. Raises Refused for what is not a header."""
    found = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not (colon and name.strip()):
            raise Refused(f"{header!r} is not a header", hint="write it as 'X-GitHub-Event: pull_request'")
        found[name.strip()] = value.strip()
    return found


def _show(app: App, trial: Trial, *, prompt: bool) -> None:
    out, event = app.out, trial.event
    names = ", ".join(trial.names)
    out.fold(f"{out.style(event.id, 'bold')} from {out.style(event.source, 'bold')}: {names}", 4)
    if event.source not in {*app.organization.sources, *app.organization.actors}:
        out.warn(f"{event.source} is neither a source nor an actor here: `orgloop emit` would refuse this")
    if trial.filled:
        out.line(out.style(f"filled in: {', '.join(trial.filled)}", "dim"))
    matched = [one for one in trial.routes if one.matched]
    elsewhere = [one for one in trial.routes if not one.lines[0].holds]
    for one in matched:
        out.line()
        _show_matched(app, one, prompt=prompt)
    others = [
        one
        for one in trial.routes
        if one not in matched and (one not in elsewhere or out.verbose or len(trial.routes) == 1)
    ]
    if out.verbose or len(trial.routes) == 1:
        for one in others:
            out.line()
            _show_other(app, one)
    elif others:
        out.line()
        _show_others(app, others)
    for route, key in trial.needless:
        out.line()
        mark, color = _ENDS["drop"]
        drops = f"{out.style(route, 'bold')} drops waiting deliveries with the key {key}"
        out.fold(f"{out.style(mark, color)} {drops}", 4)
    if elsewhere and not out.verbose and len(trial.routes) > 1:
        out.line()
        many = "1 route listens" if len(elsewhere) == 1 else f"{len(elsewhere)} routes listen"
        out.line(out.style(f"{many} to other sources; --verbose lists them", "dim"))
    out.line()
    if not matched:
        out.warn("no route matches this event")
    else:
        woken = sum(one.end == "wake" for one in matched)
        matches = "1 route matches" if len(matched) == 1 else f"{len(matched)} routes match"
        out.line(f"{matches}, {woken} would wake an actor. Nothing was done.")


def _show_matched(app: App, one: RouteTrial, *, prompt: bool) -> None:
    from orgloop.core.text.units import humanize

    out = app.out
    mark, color = _ENDS[one.end or "wake"]
    message = {
        "wake": f"wakes {out.style(one.actor, 'bold')}",
        "drop": "drops it",
        "hold": "holds it for a person",
    }
    out.line(f"{out.style(mark, color)} {out.style(one.route, 'bold')} {message[one.end or 'wake']}")
    if one.end == "hold":
        out.fold(f"    {out.style(one.reason, 'yellow')}", 4)
    for line in one.lines:
        out.fold(f"    {out.style(OK, 'green')} {_holds(out, line)}", 6)
    for step in one.steps:
        symbol, does = _RESULTS.get(step["result"], (WARN, step["result"]))
        if step["result"] == "no_key":
            does = _NO_KEY.get(step["name"], does)
        reason = f": {step['reason']}" if step.get("reason") else ""
        then = f" (on_error: {step['on_error']})" if step.get("on_error") else ""
        colored = out.style(symbol, "green" if symbol == OK else "yellow")
        out.fold(f"    {colored} {step['name']} {does}{reason}{then}", 6)
    for window in one.once:
        out.line(
            f"    {out.style(WARN, 'yellow')} only if it is the first with its key in {humanize(window)}"
        )
    if one.end == "wake":
        _show_wake(app, one, prompt=prompt)


def _show_wake(app: App, one: RouteTrial, *, prompt: bool) -> None:
    from orgloop.core.text.units import humanize

    out = app.out
    if one.key is not None:
        out.fold(f"    key     {one.key}", 12)
    if one.batch is not None:
        policy = one.batch.policy
        most = f"{humanize(policy.max_wait_ms)} after the first, or with {policy.max_events}"
        out.fold(f"    batch   {humanize(policy.window_ms)} after the last event, at most {most}", 12)
    if one.on_busy != "queue":
        out.fold(f"    busy    {one.on_busy}", 12)
    for name, value in one.config.items():
        if name != "session_key":
            out.fold(f"    config  {name}: {_value(out, value)}", 12)
    if one.sop_file:
        out.line(f"    sop     {out.path(one.sop_file)}")
    if one.prompt:
        hint = "" if prompt else "; --prompt shows it"
        out.line(f"    prompt  {len(one.prompt)} characters{hint}")
    if prompt and one.prompt:
        out.line()
        print_block(out, one.prompt, indent=4)
    if out.verbose and one.changed is not None:
        from orgloop.core.text.json_text import text_of

        out.line("    event after the transforms")
        print_block(out, text_of(one.changed, indent=True), indent=4)


def _show_other(app: App, one: RouteTrial) -> None:
    out = app.out
    out.line(f"{out.style(FAIL, 'red')} {one.route} does not match")
    for line in one.lines:
        if line.holds:
            if out.verbose:
                out.fold(f"    {out.style(OK, 'green')} {_holds(out, line)}", 6)
        else:
            out.fold(f"    {out.style(FAIL, 'red')} {_fails(out, line)}", 6)


def _show_others(app: App, others: Sequence[RouteTrial]) -> None:
    """One line for each route that does not match. Many that listen to other events are one line."""
    out = app.out
    failing = [(one.route, next(line for line in one.lines if not line.holds)) for one in others]
    elsewhere = [route for route, line in failing if line.what == "events"]
    many = len(elsewhere) > FEW
    shown = [(route, line) for route, line in failing if not (many and line.what == "events")]
    for route, line in shown[:MOST_OTHERS]:
        out.fold(f"{out.style(FAIL, 'red')} {route} does not match: {_fails(out, line)}", 4)
    if len(shown) > MOST_OTHERS:
        more = counted(len(shown) - MOST_OTHERS, "more route does", "more routes do")
        out.line(out.style(f"{more} not match; --verbose shows why", "dim"))
    if many:
        rest = len(elsewhere) - MOST_NAMES
        names = ", ".join(elsewhere[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
        out.fold(out.style(f"{names} listen to other events; --verbose shows which", "dim"), 4)


def _holds(out: Output, line: Line) -> str:
    if line.what == "events":
        return f"events: {', '.join(line.expected)}"
    return f"{line.what} is {_value(out, line.found)}"


def _fails(out: Output, line: Line) -> str:
    if line.what == "events":
        names = "the name of this event is" if len(line.found) == 1 else "the names of this event are"
        return f"it listens to {' or '.join(line.expected)}; {names} {' and '.join(line.found)}"
    expected = line.expected if isinstance(line.expected, list) else [line.expected]
    wanted = " or ".join(_value(out, one) for one in expected)
    if line.is_missing:
        return f"{line.what} is missing; the filter wants {wanted}"
    return f"{line.what} is {_value(out, line.found)}; the filter wants {wanted}"


def _value(out: Output, value: Any) -> str:
    from orgloop.core.text.json_text import text_of

    return out.cut(text_of(value), _LONG)
