"""One delivery in detail: why it is where it is, what happened to it, its event, its prompt, what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from orgloop.cli.app import App
from orgloop.cli.screen.delivery_list import failures
from orgloop.cli.screen.grid import Column, print_block, print_facts, print_grid, print_next
from orgloop.cli.screen.words import STATE_STYLES, author_of, event_name, from_home
from orgloop.core.deliveries.transition import HoldReason
from orgloop.core.records.from_journal import UNCOUNTED
from orgloop.operations.views.words import ago, counted, moment, one_line, state_words

if TYPE_CHECKING:
    from orgloop.journal.model import DeliveryRow, EventRow, StepRow
    from orgloop.journal.protocols import Reader
    from orgloop.operations.dry_run.prompt import Preview

MOST_STEPS: Final = 1_000

EVENT_LINES: Final = 40
"""Lines of the event that are shown without --verbose."""

PROMPT_LINES: Final = 12
"""Lines of the prompt that are shown without --prompt."""

WHAT_TO_DO: Final[Mapping[str, str]] = {
    HoldReason.HOPS: "agents woke each other too many times: look at the chain, then release or discard it",
    HoldReason.LOOP: "look at its chain; release it if the chain should go on, or discard it",
    HoldReason.OVERFLOW: "find out why its route is slow; release it if the work is still wanted",
    HoldReason.BUDGET: "raise the budget that it names and apply that, or release this delivery anyway",
    HoldReason.STALE: "it is too old to run without a decision: release it if it is still wanted",
    HoldReason.CRASHES: "the daemon died each time it handled this: look at its log before you release it",
    HoldReason.NO_SOP: "put the prompt file back, then release it",
    HoldReason.UNTRUSTED: "read the event below before you release it: its author is not trusted",
    HoldReason.TRANSFORM: "repair the transform, then release it: the transforms run again",
    HoldReason.REMOVED: "put its route and actor back and apply that: then it is released by itself",
    HoldReason.CONFIG: "change the route's configuration, apply that, then release it",
    "rejected": "its actor refused it permanently: change the route or the actor, or discard it",
    "attempts": "all attempts failed: retry it when its actor works again",
}
"""What a person can do, by the reason why it waits."""


def show_delivery(app: App, reader: Reader, row: DeliveryRow, now: int, *, prompt: bool = False) -> None:
    """Print all of it."""
    from orgloop.operations.dry_run.prompt import preview

    out = app.out
    event = reader.event(row.event_id)
    state = out.style(state_words(row.state, row.reason), STATE_STYLES[row.state])
    out.line(f"{out.style(row.id, 'bold')}  {state} since {moment(row.changed_at, now)}")
    failed = failures(reader, [row]).get(row.id, "")
    if failed or row.detail:
        line = ": ".join(filter(None, (failed, one_line(row.detail))))
        out.fold(f"  {out.style(line, 'red') if failed else line}", 4)
    if row.state in ("held", "dead") and row.reason in WHAT_TO_DO:
        out.line(out.style(f"  {WHAT_TO_DO[row.reason]}", "yellow"))
    steps = _steps(reader, row)
    print_facts(out, _facts(row, event, app.waits(reader, now).why(row), now, steps))
    _show_steps(app, row, steps, now)
    _show_event(app, row, event)
    if row.state not in ("delivered", "dropped", "discarded"):
        _show_prompt(app, preview(app.load, reader, row), whole=prompt)
    print_next(out, list(next_commands(row)))


def document(app: App, reader: Reader, row: DeliveryRow, now: int) -> dict[str, Any]:
    """All of it, for programs."""
    from orgloop.operations.dry_run.prompt import preview
    from orgloop.operations.views import json_rows

    event = reader.event(row.event_id)
    seen = preview(app.load, reader, row)
    return json_rows.delivery(row) | {
        "waits": app.waits(reader, now).why(row),
        "transforms": list(row.steps),
        "steps": [json_rows.step(one) for one in _steps(reader, row)],
        "event": row.document or (event.document if event is not None else None),
        "changed_by_transforms": row.document is not None,
        "prompt": {"text": seen.text, "file": seen.file, "fault": seen.fault},
        "next": [command for command, _ in next_commands(row)],
    }


def next_commands(row: DeliveryRow) -> Iterator[tuple[str, str]]:
    """What a person may type about it, and what that does."""
    match row.state:
        case "held":
            again = f"; the guard `{row.reason}` lets it pass" if row.reason in _WAIVED else ""
            yield f"orgloop held release {row.id}", f"release it, behind other work with the same key{again}"
            yield f"orgloop held discard {row.id}", "it is no longer needed"
        case "dead":
            yield f"orgloop dead retry {row.id}", "try it again, with all its attempts"
            yield f"orgloop dead discard {row.id}", "it is no longer needed"
        case _:
            pass
    if row.run_id is not None:
        yield f"orgloop runs show {row.run_id}", "its run"
    yield f"orgloop trace {row.id}", "its whole chain"


_WAIVED: Final = frozenset({HoldReason.HOPS, HoldReason.BUDGET})


def _steps(reader: Reader, row: DeliveryRow) -> Sequence[StepRow]:
    from orgloop.journal.model import START, Query

    return reader.steps(Query(delivery_id=row.id, event_id=row.event_id, after=START, limit=MOST_STEPS))


_STEP_WORDS: Final[Mapping[str, str]] = {"started": "woken", "begun": "run began", "run_ended": "run ended"}


def _attempts(row: DeliveryRow, steps: Sequence[StepRow]) -> str:
    """How many tries counted, and how many did not: those that found no actor."""
    counted_ones = f"{row.attempts}, {row.failures} failed" if row.attempts else ""
    others = sum(1 for step in steps if not UNCOUNTED.isdisjoint({step.transition, step.reason}))
    if not others:
        return counted_ones
    return f"{counted_ones or '0'}; {counted(others, 'try', 'tries')} not counted, because nothing began"


def _facts(
    row: DeliveryRow, event: EventRow | None, waits: str, now: int, steps: Sequence[StepRow]
) -> Iterator[tuple[str, str]]:
    yield "route", f"{row.route} → {row.actor}"
    if event is not None:
        by = f" by {one_line(author_of(event))}" if author_of(event) else ""
        yield "event", f"{event.id}: {event.source} {one_line(event_name(event))}{by}"
    yield "came", f"{moment(row.accepted_at, now)}, {ago(row.accepted_at, now)}"
    yield "waits", waits
    yield "key", row.key or ""
    yield "cancelled for", row.cancelled_by or ""
    yield "batch", f"open until {moment(row.batch_until, now)}" if row.batch_until is not None else ""
    yield "woken with", ", ".join(id for id in row.members if id != row.id)
    yield "attempts", _attempts(row, steps)
    yield "crashes", str(row.crashes) if row.crashes else ""
    yield "trace", row.trace_id


def _show_steps(app: App, row: DeliveryRow, steps: Sequence[StepRow], now: int) -> None:
    app.out.line()
    app.out.line(app.out.style("What happened", "bold"))
    columns = [Column(name=""), Column(name=""), Column(name="", flexible=True)]
    rows = [[moment(row.accepted_at, now), "accepted", ""]]
    for entry in row.steps:
        at = entry.get("at", row.accepted_at)
        result = entry["result"].replace("_", " ")
        rows.append([moment(at, now), f"{entry['name']}: {result}", one_line(str(entry.get("reason", "")))])
    for (words, line), alike in groupby(steps, _step_words):
        first, *others = alike
        times = f" ({1 + len(others)} times until {moment(others[-1].at, now)})" if others else ""
        rows.append([moment(first.at, now), f"{words}{times}", line])
    print_grid(app.out, columns, rows, indent=2)


def _step_words(step: StepRow) -> tuple[str, str]:
    """What happened, and why. Those in a row that say the same are shown as one."""
    words = _STEP_WORDS.get(step.transition, step.transition.replace("_", " "))
    return words, ": ".join(filter(None, [step.reason, one_line(step.detail)]))


def _show_event(app: App, row: DeliveryRow, event: EventRow | None) -> None:
    from orgloop.core.text.json_text import dump_json

    shown = row.document or (event.document if event is not None else None)
    if shown is None:
        return
    out = app.out
    changed = "after its transforms" if row.document is not None else ""
    out.line()
    out.line(f"{out.style('Event', 'bold')}  {out.style(changed, 'dim')}".rstrip())
    lines = dump_json(shown, indent=True).decode().splitlines()
    _show_lines(app, lines, EVENT_LINES, whole=out.verbose, option="--verbose")


def _show_prompt(app: App, seen: Preview, *, whole: bool) -> None:
    if not (seen.text or seen.fault):
        return
    out = app.out
    file = from_home(seen.file)
    out.line()
    out.line(f"{out.style('Prompt that it would get', 'bold')}  {out.style(file, 'dim')}".rstrip())
    if seen.fault:
        out.line(out.style(f"  none: {seen.fault}", "red"))
    else:
        _show_lines(app, seen.text.splitlines(), PROMPT_LINES, whole=whole, option="--prompt")


def _show_lines(app: App, lines: Sequence[str], most: int, *, whole: bool, option: str) -> None:
    shown = lines if whole or len(lines) <= most else lines[:most]
    print_block(app.out, "\n".join(shown))
    if len(shown) < len(lines):
        app.out.line(app.out.style(f"    {len(lines) - len(shown)} more lines: {option} shows them", "dim"))
