"""What needs a person, and the exact command to type next: the rules behind `orgloop status`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from orgloop.core.units import MINUTE, SECOND, humanize
from orgloop.operations.status import stuck
from orgloop.operations.status.needs import Item, start_command
from orgloop.operations.words import age, ago, counted, one_line, short_moment

if TYPE_CHECKING:
    from orgloop.journal.model import DaemonRow, RunRow
    from orgloop.operations.status.picture import Picture

PAUSED: Final = 20 * SECOND
"""How long an actor may be unreachable: longer than a target takes to start again."""

SHORTEST_GAP: Final = 10 * MINUTE
"""Somebody who stopped the daemon and started it again knows. What took longer, others want to know, too."""


def attention(picture: Picture) -> list[Item]:
    """Everything that the journal and the daemon know of, what is broken first."""
    if picture.applied is None and picture.daemon is None:
        return []
    found = [
        *_daemon(picture),
        *_sources(picture),
        *_actors(picture),
        *_decisions(picture),
        *stuck.runs(picture),
        *stuck.waiting(picture),
        *_gaps(picture),
        *_loggers(picture),
        *_troubles(picture),
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
    how = f", {_ending(last, picture.now)}" if last is not None else ""
    yield Item(
        kind="daemon",
        text=f"the daemon does not run{how}{behind}",
        command=start_command(picture.root),
        urgent=True,
        since=_end(last) if last is not None else None,
    )


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
    yield from _refusals(picture)


def _refusals(picture: Picture) -> Iterator[Item]:
    """Requests that were not taken: nothing else would tell of a wrong secret."""
    for source in (picture.said or {}).get("sources", ()):
        at = _moment(source.get("last_refused"))
        if at is None or at < picture.since:
            continue
        times = counted(source["refused"], "request was", "requests were")
        last, why = ago(at, picture.now), one_line(source["refused_why"])
        yield Item(
            kind="refused",
            text=f"{source['id']}: {times} refused, the last {last}: {why}",
            command=f"orgloop inspect source {shlex.quote(source['id'])}",
            since=at,
            count=source["refused"],
        )


def _actors(picture: Picture) -> Iterator[Item]:
    for actor in picture.actors:
        pause = actor.pause
        if pause is not None and picture.now - pause.since >= PAUSED:
            waits = counted(actor.waiting, "delivery waits", "deliveries wait")
            yield Item(
                kind="paused",
                text=f"{actor.id} has not answered since {short_moment(pause.since, picture.now)}, {waits}: "
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
        command="orgloop service logs"
        if died and log.exists() and log.stat().st_size
        else f"orgloop logs --since {age(found[0].begin, picture.now)}",
        since=found[0].begin,
        count=len(found),
    )


def unheard(picture: Picture) -> Iterator[Item]:
    """Runs that did not come out well, of actors whose end nobody listens to.

    They have happened, and nothing that a person types makes them go away: they do not need one.
    """
    heard = {route.source for route in picture.routes}
    failed: dict[str, list[RunRow]] = {}
    for run in picture.ended_runs:
        if run.outcome not in ("", "success") and run.actor not in heard:
            failed.setdefault(run.actor, []).append(run)
    for actor, runs in failed.items():
        newest = max(runs, key=lambda run: run.ended_at or 0)
        yield Item(
            kind="failure",
            text=f"{counted(len(runs), 'run')} of {actor} failed, and no route listens to its end",
            command=f"orgloop inspect {newest.id}",
            since=min(run.ended_at or run.started_at for run in runs),
            count=len(runs),
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


def _troubles(picture: Picture) -> Iterator[Item]:
    """What the daemon says of itself."""
    said = picture.said or {}
    for actor, error in said.get("not_open", {}).items():
        yield Item(
            kind="actor",
            text=f"actor {actor} cannot be opened, its work waits: {one_line(str(error))}",
            command=f"orgloop inspect actor {shlex.quote(actor)}",
            urgent=True,
        )
    for name, trouble in said.get("troubles", {}).items():
        at = _moment(trouble["at"])
        if at is None or at < picture.since:
            continue
        times = counted(trouble["times"], "time", "times")
        yield Item(
            kind="trouble",
            text=f"{name} broke {times}, {ago(at, picture.now)}: {one_line(str(trouble['error']))}",
            command="orgloop service logs",
            since=at,
            count=trouble["times"],
        )


def _moment(text: str | None) -> int | None:
    """Milliseconds since 1970, of what the daemon says."""
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp() * 1000) if text else None


def _end(life: DaemonRow) -> int:
    return life.ended_at if life.ended_at is not None else life.last_seen


def _ending(life: DaemonRow, now: int) -> str:
    """When a daemon died nobody wrote down; only until when it was there."""
    if life.ended_at is not None:
        return f"it stopped {ago(life.ended_at, now)}"
    seen = ago(life.last_seen, now)
    return f"it died, last alive {seen if seen != 'now' else 'a moment ago'}"
