"""What needs a person, and the exact command to type next: the rules behind `orgloop status`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop import runner
from orgloop.cli.listing import counted
from orgloop.cli.times import age, ago, short_moment
from orgloop.cli.words import one_line
from orgloop.core.units import HOUR, MINUTE, SECOND, humanize

if TYPE_CHECKING:
    from orgloop.cli.picture import Actor, Picture
    from orgloop.journal.model import BacklogRow, DaemonRow, RunRow

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

PAUSED: Final = 2 * MINUTE
"""How long an actor may be unreachable."""

SHORTEST_GAP: Final = 10 * SECOND
"""A planned restart that took less is no gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing. `urgent`: something is broken, not only doubtful. `since` is in ms since 1970."""

    kind: str
    text: str
    command: str
    urgent: bool = False
    since: int | None = None
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        from orgloop.core.record import timestamp

        return {
            "kind": self.kind,
            "message": self.text,
            "command": self.command,
            "urgent": self.urgent,
            "since": timestamp(self.since) if self.since is not None else None,
            "count": self.count,
        }


def attention(picture: Picture) -> list[Item]:
    """Everything that the journal and the daemon know of, what is broken first."""
    if picture.applied is None and picture.daemon is None:
        return []
    found = [
        *_daemon(picture),
        *_sources(picture),
        *_actors(picture),
        *_decisions(picture),
        *_runs(picture),
        *_waiting(picture),
        *_gaps(picture),
        *_loggers(picture),
    ]
    return sorted(found, key=lambda item: not item.urgent)


def _daemon(picture: Picture) -> Iterator[Item]:
    if picture.daemon is not None:
        if picture.said is None:
            yield Item(
                kind="daemon",
                text=picture.fault or "the daemon does not answer",
                command="orgloop stop --force",
                urgent=True,
            )
        return
    if picture.holder:
        return
    last = picture.lives[0] if picture.lives else None
    waiting = picture.count("pending", "preparing", "running")
    behind = f"; {counted(waiting, 'delivery waits', 'deliveries wait')} for it" if waiting else ""
    how = f", it {_ending(last)} {ago(_end(last), picture.now)}" if last is not None else ""
    yield Item(
        kind="daemon",
        text=f"the daemon does not run{how}{behind}",
        command=start_command(picture.root),
        urgent=True,
        since=_end(last) if last is not None else None,
    )


def start_command(root: str) -> str:
    """How to start this project from where we are."""
    return f"orgloop start --daemon{config_option(root)}"


def config_option(root: str) -> str:
    """The option that names this project, unless a command would find it by itself."""
    if not root or Path.cwd().is_relative_to(root):
        return ""
    return f" --config {shlex.quote(root)}"


def _sources(picture: Picture) -> Iterator[Item]:
    for source in picture.sources:
        row = source.row
        if row is not None and row.errors:
            times = counted(row.errors, "poll has failed", "polls in a row have failed")
            yield Item(
                kind="source",
                text=f"{source.id}: {times}: {one_line(row.error)}",
                command=f"orgloop inspect source {shlex.quote(source.id)}",
                urgent=source.health == "unhealthy",
                since=row.last_success,
                count=row.errors,
            )


def _actors(picture: Picture) -> Iterator[Item]:
    for actor in picture.actors:
        pause = actor.pause
        if pause is not None and picture.now - pause.since >= PAUSED:
            waits = counted(actor.waiting, "delivery waits", "deliveries wait")
            yield Item(
                kind="paused",
                text=f"{actor.id} has not answered for {age(pause.since, picture.now)}, {waits}: "
                f"{one_line(pause.reason)}",
                command=f"orgloop inspect actor {shlex.quote(actor.id)}",
                urgent=True,
                since=pause.since,
                count=actor.waiting,
            )


def _decisions(picture: Picture) -> Iterator[Item]:
    """Dead and held work, alike together."""
    for row in picture.backlog:
        if row.state not in ("dead", "held"):
            continue
        example = one_line(picture.examples.get((row.actor, row.route, str(row.state), row.reason), ""))
        since = short_moment(row.since, picture.now)
        words = f"{row.count} {row.state} since {since}: {row.route} → {row.actor}, {row.reason}"
        yield Item(
            kind=str(row.state),
            text=f"{words}: {example}" if example else words,
            command=f"orgloop {row.state} list --route {shlex.quote(row.route)} --reason {row.reason}",
            urgent=row.state == "dead",
            since=row.since,
            count=row.count,
        )


def _runs(picture: Picture) -> Iterator[Item]:
    for run in picture.open_runs:
        quiet = picture.now - last_sign(run)
        lasted = picture.now - run.started_at
        who = f"{run.actor} ({run.route})"
        if picture.daemon is None and not _is_alive(run):
            text = f"{who} has ended, and nobody has taken note"
            yield Item(kind="run", text=text, command=start_command(picture.root), since=run.started_at)
        elif quiet >= SILENT:
            text = f"{who} has said nothing for {humanize(quiet)}"
            yield Item(
                kind="silent", text=text, command=f"orgloop runs show {run.id}", since=picture.now - quiet
            )
        elif lasted >= LONG:
            text = f"{who} has been at work for {humanize(lasted)}"
            yield Item(kind="long", text=text, command=f"orgloop runs tail {run.id}", since=run.started_at)


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


def _is_alive(run: RunRow) -> bool:
    """Whether the program that holds a run is still there."""
    import psutil

    try:
        child = json.loads((Path(run.run_dir) / runner.CHILD).read_bytes())
        return psutil.pid_exists(int(child["runner_pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _waiting(picture: Picture) -> Iterator[Item]:
    """What should have gone on by now. While no daemon runs, everything waits for it."""
    if picture.daemon is None:
        return
    actors = {actor.id: actor for actor in picture.actors}
    for row in picture.backlog:
        words = _waits(row, actors.get(row.actor), picture)
        if words:
            yield Item(
                kind="stuck",
                text=words,
                command=f"orgloop deliveries --actor {shlex.quote(row.actor)} --state {row.state}",
                since=row.due if row.due is not None else row.since,
                count=row.count,
            )


def _waits(row: BacklogRow, actor: Actor | None, picture: Picture) -> str:
    which = f"{row.count} of {row.route} → {row.actor}"
    match row.state:
        case "running" if picture.now - row.since >= WAKING:
            return f"{which}: being woken for {age(row.since, picture.now)}"
        case "preparing" if picture.now - row.since >= WAKING:
            return f"{which}: its transforms have taken {age(row.since, picture.now)}"
        case "pending" if row.due is not None and (actor is None or actor.pause is None):
            busy = bool(picture.open_runs)
            if picture.now - row.due < (BUSY if busy else OVERDUE):
                return ""
            behind = f", while {counted(len(picture.open_runs), 'run goes', 'runs go')} on" if busy else ""
            return f"{which}: due for {age(row.due, picture.now)}{behind}"
        case _:
            return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A time in which no daemon ran; `died`: it did not end by itself."""

    begin: int
    end: int
    died: bool


def gaps(lives: Sequence[DaemonRow], since: int) -> list[Gap]:
    """The times between two lives that ended after `since`, oldest first. `lives` are newest first."""
    found = []
    for later, earlier in pairwise(lives):
        gap = Gap(begin=_end(earlier), end=later.started_at, died=earlier.ended_at is None)
        if gap.end >= since and (gap.died or gap.end - gap.begin >= SHORTEST_GAP):
            found.append(gap)
    return found[::-1]


def _gaps(picture: Picture) -> Iterator[Item]:
    found = gaps(picture.lives, picture.since)
    if not found:
        return
    lasted = humanize(sum(max(0, gap.end - gap.begin) for gap in found))
    died = sum(gap.died for gap in found)
    if len(found) == 1:
        begin, end = (short_moment(at, picture.now) for at in (found[0].begin, found[0].end))
        text = f"no daemon ran from {begin} to {end} ({lasted}){'; it had died' if died else ''}"
    else:
        text = f"no daemon ran {len(found)} times, {lasted} in all"
        text += f"; it had died {counted(died, 'time', 'times')}" if died else ""
    log = picture.home.logs / "daemon.log"
    yield Item(
        kind="gap",
        text=text,
        command=f"tail -n 50 {shlex.quote(str(log))}"
        if died and log.exists()
        else f"orgloop logs --since {age(found[0].begin, picture.now)}",
        since=found[0].begin,
        count=len(found),
    )


def _loggers(picture: Picture) -> Iterator[Item]:
    for logger in picture.said.get("loggers", ()) if picture.said is not None else ():
        if logger["failures"]:
            times = counted(logger["failures"], "time", "times")
            yield Item(
                kind="logger",
                text=f"logger {logger['name']} has failed {times}: {one_line(str(logger['error']))}",
                command=f"orgloop inspect logger {shlex.quote(logger['name'])}",
                count=logger["failures"],
            )


def _end(life: DaemonRow) -> int:
    return life.ended_at if life.ended_at is not None else life.last_seen


def _ending(life: DaemonRow) -> str:
    return "stopped" if life.ended_at is not None else "died"
