"""What should have gone on by now: runs that are silent, work that is overdue."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orgloop import runner
from orgloop.core.text.units import HOUR, MINUTE, humanize
from orgloop.operations.status.item import Item, start_command
from orgloop.operations.views.waits import text
from orgloop.operations.views.words import age, counted, one_line, short_moment

if TYPE_CHECKING:
    from orgloop.journal.model import BacklogRow, RunRow
    from orgloop.operations.status.status import ActorStatus, Status

SILENT: Final = 15 * MINUTE
"""How long a run may say nothing."""

LONG: Final = 6 * HOUR
"""How long a run may take."""

WAKING: Final = 5 * MINUTE
"""How long a wake, or its transforms, may take."""

OVERDUE: Final = 5 * MINUTE
"""How long something may be due while nothing keeps it waiting."""

BUSY: Final = HOUR
"""How long something may be due while its actor is at work."""


PAUSE: Final = "pause"
"""The kind of an item that says what a person paused."""


def paused(seen: Status) -> Iterator[Item]:
    """Routes and actors that a person paused, with how much waits for them."""
    for wait in seen.paused:
        scope = wait.waiting.scope
        count = sum(
            row.count
            for row in seen.backlog
            if row.state in ("pending", "preparing")
            and scope.name == (row.route if scope.level == "route" else row.actor)
        )
        many = f" {counted(count, 'delivery waits', 'deliveries wait')}." if count else ""
        yield Item(
            kind=PAUSE,
            name=str(scope),
            text=f"{one_line(text(wait, lambda at: short_moment(at, seen.now)))}{many}",
            command=f"orgloop resume {shlex.quote(scope.name)}",
            since=wait.since,
            count=count,
        )


def runs(seen: Status) -> Iterator[Item]:
    """Runs that say nothing, take very long, or are gone."""
    for run in seen.open_runs:
        quiet = seen.now - last_sign(run)
        lasted = seen.now - run.started_at
        who = f"{run.actor} ({run.route})"
        if run.id in seen.gone:
            yield Item(
                kind="run",
                name=run.id,
                text=f"a run of {who} finished while no daemon ran. Start the daemon to record the result.",
                command=start_command(seen.root),
                since=run.started_at,
            )
        elif quiet >= SILENT:
            yield Item(
                kind="silent",
                name=run.id,
                text=f"{who} has written no output for {humanize(quiet)}",
                command=f"orgloop runs show {run.id}",
                since=seen.now - quiet,
            )
        elif lasted >= LONG:
            yield Item(
                kind="long",
                name=run.id,
                text=f"{who} has been active for {humanize(lasted)}",
                command=f"orgloop runs tail {run.id}",
                since=run.started_at,
            )


def last_sign(run: RunRow) -> int:
    """When a run that goes on last wrote anything, as far as its files or the journal know."""
    signs = [run.started_at, run.last_seen or 0]
    for name in (runner.STDOUT, runner.STDERR):
        try:
            found = (Path(run.run_dir) / name).stat()
        except OSError:
            continue
        if found.st_size:
            signs.append(int(found.st_mtime * 1000))
    return max(signs)


def waiting(seen: Status) -> Iterator[Item]:
    """Work that should have gone on by now. While no daemon runs, everything waits for it."""
    if seen.daemon is None:
        return
    actors = {actor.id: actor for actor in seen.actors}
    for row in seen.backlog:
        words = _waits(row, actors.get(row.actor), seen)
        if words:
            yield Item(
                kind="stuck",
                name=f"{row.route}:{row.actor}:{row.state}",
                text=words,
                command=f"orgloop deliveries --actor {shlex.quote(row.actor)} --state {row.state}",
                since=row.due if row.due is not None else row.since,
                count=row.count,
            )


def _waits(row: BacklogRow, actor: ActorStatus | None, seen: Status) -> str:
    which = f"{row.count} of {row.route} → {row.actor}"
    match row.state:
        case "running" if seen.now - row.since >= WAKING:
            if any(tree.actor == row.actor for tree in seen.new_trees):
                return f"{which}: a work tree has been made and set up for {age(row.since, seen.now)}"
            return f"{which}: being woken for {age(row.since, seen.now)}"
        case "preparing" if seen.now - row.since >= WAKING:
            return f"{which}: its transforms have taken {age(row.since, seen.now)}"
        case "pending" if row.due is not None and (actor is None or not (actor.pause or actor.waits)):
            if any(wait.waiting.scope.name == row.route for wait in seen.paused):
                return ""
            busy = bool(seen.open_runs)
            if seen.now - row.due < (BUSY if busy else OVERDUE):
                return ""
            behind = f", while {counted(len(seen.open_runs), 'run goes', 'runs go')} on" if busy else ""
            return f"{which}: due for {age(row.due, seen.now)}{behind}"
        case _:
            return ""
