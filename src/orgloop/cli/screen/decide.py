"""What a person decides about work that waits: one delivery by id, or many alike, seen before they move."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.app import App
from orgloop.cli.completion import ACTOR, ROUTE, Named
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Conflict, NotFound, OrgLoopError, Refused
from orgloop.operations.views.words import counted

if TYPE_CHECKING:
    from orgloop.core.deliveries.transition import Discarded, Released, Retried
    from orgloop.journal.model import DeliveryRow
    from orgloop.journal.protocols import Reader

PREVIEWED: Final = 10
"""Deliveries that are shown before they move."""

PAGE: Final = 500

DONE: Final = {"release": "released", "retry": "queued again", "discard": "discarded"}
"""What each verb has done."""

Move = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which deliveries are meant: by id, or all in `state` that fit."""

    state: str
    ids: Sequence[str]
    everything: bool
    route: str
    actor: str
    reason: str
    since: str | None

    @property
    def is_filtered(self) -> bool:
        """Whether anything but ids says which."""
        return bool(self.everything or self.route or self.actor or self.reason or self.since)


def choosing(state: str) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """The options with which a command's deliveries are chosen."""
    options = [
        click.argument("ids", metavar="[ID]...", type=Named(state), nargs=-1),
        click.option("--all", "everything", is_flag=True, help=f"Everything that is {state}."),
        click.option("--route", metavar="NAME", type=ROUTE, default="", help="All of this route."),
        click.option("--actor", metavar="ID", type=ACTOR, default="", help="All for this actor."),
        click.option("--reason", metavar="WORD", default="", help="All with this reason."),
        click.option("--since", metavar="DURATION", help="All since then: 2h, 3d, or a date."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    ]

    def decorate(function: Callable[..., int | None]) -> Callable[..., int | None]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def decide(
    app: App, verb: str, choice: Selection, *, yes: bool, note: str = "", skip: bool = False
) -> int | None:
    """Move what is meant, after a look at it. Returns the exit code: 1 if any could not be moved.

    `note` is why something is discarded; `skip` releases without running the transforms again.
    """
    app.require_this_project(f"{choice.state} {verb}")
    rows = _chosen(app, choice)
    if not rows:
        if app.out.json:
            app.out.data({"moved": [], "dropped": [], "failed": []})
        app.out.line(f"no {choice.state} delivery matches")
        return None
    rivals = _rivals(app, rows) if verb != "discard" else {}
    for id, rival in rivals.items():
        app.out.warn(f"{rival} has passed with the same dedup key: {id} will be dropped as a duplicate")
    no_limit()
    if (choice.is_filtered or rivals) and not yes:
        _confirm(app, verb, choice, rows)
    by = _moved_by(rows, rivals) if verb != "discard" else {row.id: row.id for row in rows}
    refused = _carry_out(app, verb, list(dict.fromkeys(by.values())), note, skip=skip)
    failed = {id: refused[one] for id, one in by.items() if one in refused}
    done = [row for row in rows if row.id not in failed]
    became = _became(app, done) if verb != "discard" else {}
    failed |= {row.id: _as_error(row, DONE[verb]) for row in became.values() if row.state == choice.state}
    moved = [row.id for row in done if row.id not in failed]
    dropped = _dropped(app, moved) if verb != "discard" else {}
    if app.out.json:
        failures = [{"id": id, "error": exc.message, "hint": exc.hint} for id, exc in failed.items()]
        lost = [{"id": id, "reason": row.reason, "detail": row.detail} for id, row in dropped.items()]
        app.out.data({"moved": moved, "dropped": lost, "failed": failures})
    _tell_moved(app, DONE[verb], [id for id in moved if id not in dropped], dropped)
    waiting = sum(row.state in ("preparing", "pending") for row in became.values())
    if waiting:
        words = "it waits" if len(became) == 1 else f"{waiting} wait"
        app.out.line(f"  {words}: `orgloop deliveries` says why")
    for exc in failed.values():
        app.out.fail(exc.message, exc.hint)
    return 1 if failed else None


def _chosen(app: App, choice: Selection) -> list[DeliveryRow]:
    """The deliveries that are meant, oldest first: that is the order in which they go on."""
    if choice.ids and choice.is_filtered:
        raise Refused("ids and filters exclude each other", hint="name ids, or filters, or --all")
    if not choice.ids and not choice.is_filtered:
        raise Refused(
            f"no {choice.state} delivery is chosen",
            hint=f"name ids from `orgloop {choice.state} list`, or use --route, --actor, --reason, --since "
            "or --all",
        )
    with app.journal() as reader:
        if choice.ids:
            return [find_delivery(reader, id) for id in dict.fromkeys(choice.ids)]
        return list(_fitting(reader, choice))


def find_delivery(reader: Reader, id: str) -> DeliveryRow:
    """The delivery with this id. Raises NotFound."""
    found = reader.delivery(id)
    if found is None:
        raise NotFound(
            f"there is no delivery {id}", hint="ids begin with dlv_: `orgloop deliveries` lists them"
        )
    return found


def _rivals(app: App, rows: Sequence[DeliveryRow]) -> dict[str, str]:
    """By delivery the one that owns its dedup key by now."""
    with app.journal() as reader:
        return {row.id: rival for row in rows if (rival := reader.rival(row.id))}


def _moved_by(rows: Sequence[DeliveryRow], rivals: Mapping[str, str]) -> Mapping[str, str]:
    """By delivery the one that it goes on with: what is woken for together goes on with the first of it."""
    by: dict[str, str] = {}
    chosen = {row.id for row in rows}
    for row in rows:
        by.setdefault(row.id, row.id)
        # What will be dropped lets nothing else go on.
        if by[row.id] == row.id and row.id not in rivals:
            by.update((id, row.id) for id in row.members if id in chosen and id not in by)
    return by


def _dropped(app: App, ids: Sequence[str]) -> dict[str, DeliveryRow]:
    """Those that are dropped by now: as duplicates, or by their transforms, which ran again."""
    with app.journal() as reader:
        rows = {id: row for id in ids if (row := reader.delivery(id)) is not None}
    return {id: row for id, row in rows.items() if row.state == "dropped"}


def _tell_moved(app: App, done: str, ids: Sequence[str], dropped: Mapping[str, DeliveryRow]) -> None:
    """What goes on, what is dropped as a duplicate, and what is dropped for another reason."""
    from orgloop.operations.views.words import one_line

    if ids:
        app.out.ok(f"{_which(ids)} {done}")
    alike: dict[tuple[str, str], list[str]] = {}
    for id, row in dropped.items():
        alike.setdefault((row.reason, "" if row.reason == "duplicate" else row.detail), []).append(id)
    for (reason, detail), lost in alike.items():
        if reason == "duplicate":
            app.out.ok(f"{_which(lost)} dropped as {'a duplicate' if len(lost) == 1 else 'duplicates'}")
        else:
            why = ": ".join(filter(None, (reason, one_line(detail))))
            app.out.warn(f"{_which(lost)} {done}, and then dropped: {why}", "`orgloop trace ID` shows why")


def _which(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else counted(len(ids), "delivery", "deliveries")


def _fitting(reader: Reader, choice: Selection) -> Iterator[DeliveryRow]:
    from dataclasses import replace

    from orgloop.journal.model import START
    from orgloop.operations.views.query import asked, nothing_found

    query = replace(
        asked(
            limit=PAGE,
            since=choice.since,
            states=[choice.state],
            route=choice.route,
            actor=choice.actor,
            reason=choice.reason,
        ),
        after=START,
    )
    page = reader.deliveries(query)
    if not page:
        nothing_found(reader, query, "")
    while page:
        yield from page
        page = reader.deliveries(replace(query, after=page[-1].cursor))


def _confirm(app: App, verb: str, choice: Selection, rows: Sequence[DeliveryRow]) -> None:
    """Show what would move, and ask. Raises Refused unless the answer is yes."""
    from orgloop.cli.screen.delivery_list import print_deliveries

    if not app.out.json:
        print_deliveries(app, rows[:PREVIEWED])
        if len(rows) > PREVIEWED:
            app.out.line(app.out.style(f"and {len(rows) - PREVIEWED} more", "dim"))
        app.out.line()
        for line in _groups(rows):
            app.out.line(f"  {line}")
        app.out.line()
    many = counted(len(rows), "delivery", "deliveries")
    if app.out.json or app.out.quiet or not sys.stdin.isatty():
        raise Refused(f"{many} would be {DONE[verb]}; nothing was", hint="add --yes to do it")
    if not click.confirm(f"{verb.capitalize()} {'it' if len(rows) == 1 else f'these {len(rows)}'}?"):
        raise Refused("nothing was done", hint=f"`orgloop {choice.state} show ID` shows one of them")


def _groups(rows: Sequence[DeliveryRow]) -> Iterator[str]:
    groups = Counter((row.route, row.actor, row.reason) for row in rows)
    for (route, actor, reason), count in groups.most_common():
        yield f"{count} of {route} → {actor}, {reason}"


def _carry_out(app: App, verb: str, ids: Sequence[str], note: str, *, skip: bool) -> dict[str, OrgLoopError]:
    """Move them one after the other; returns why some could not be, by id."""
    from orgloop.daemon.client import Client

    client = Client.of_home(app.home)
    if client is None:
        return asyncio.run(_offline(app, _transition(verb, operator(app), note, skip=skip), verb, ids))
    failed: dict[str, OrgLoopError] = {}
    by = operator(app)
    for id in ids:
        try:
            client.operate(id, verb, by=by, note=note, skip=skip)
        except (NotFound, Conflict) as exc:
            failed[id] = exc
    return failed


def _became(app: App, rows: Sequence[DeliveryRow]) -> Mapping[str, DeliveryRow]:
    """What became of these since they were let go on: nothing is known of that without a daemon."""
    from orgloop.daemon.client import Client
    from orgloop.operations.decision_result import what_became

    if not rows or Client.of_home(app.home) is None:
        return {}
    with app.journal() as reader:
        return what_became(
            reader,
            [row.id for row in rows],
            lambda row: app.waits(reader, int(time.time() * 1000)).why(row),
        )


def _as_error(row: DeliveryRow, done: str) -> OrgLoopError:
    from orgloop.cli.screen.delivery_view import WHAT_TO_DO
    from orgloop.operations.views.words import one_line, state_words

    state = state_words(row.state, row.reason)
    text = f"{row.id} was {done}, and is {state} again: {one_line(row.detail)}".rstrip(": ")
    return Conflict(text, hint=WHAT_TO_DO.get(row.reason, ""))


async def _offline(
    app: App, transition: Released | Retried | Discarded, verb: str, ids: Sequence[str]
) -> dict[str, OrgLoopError]:
    """Without a daemon: under the journal's own lock, which keeps one from starting meanwhile."""
    from orgloop.journal.backend import open_journal
    from orgloop.runtime.support.clock import SystemClock

    clock = SystemClock()
    with app.journal() as reader:
        applied = reader.applied()
    failed: dict[str, OrgLoopError] = {}
    journal = await open_journal(
        app.home.path,
        project=applied.project if applied is not None else "",
        clock=clock.now,
        holder=f"orgloop {verb}",
    )
    try:
        for id in ids:
            try:
                await journal.operate(id, transition, clock.now())
            except (NotFound, Conflict) as exc:
                failed[id] = exc
    finally:
        await journal.close()
    if len(failed) < len(ids) and verb != "discard":
        app.out.note("no daemon runs: the deliveries continue after `orgloop start`")
    return failed


def _transition(verb: str, by: str, note: str, *, skip: bool) -> Released | Retried | Discarded:
    from orgloop.core.deliveries import transition

    match verb:
        case "release":
            return transition.Released(by=by, skip=skip)
        case "retry":
            return transition.Retried(by=by)
        case "discard":
            return transition.Discarded(by=by, detail=note)
        case _:
            raise OrgLoopError(f"a delivery has no action {verb!r}")


def operator(app: App) -> str:
    """Who decides, as the journal keeps it."""
    return app.environ.get("USER") or app.environ.get("LOGNAME") or "operator"
