"""What needs a person, and the exact command to type next: the rules behind `orgloop status`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from orgloop.core.text.units import MINUTE, SECOND, humanize
from orgloop.operations.status import stuck
from orgloop.operations.status.item import Item, start_command, undismissed
from orgloop.operations.views.health import LITTLE_ROOM
from orgloop.operations.views.waits import open_breaker, text
from orgloop.operations.views.words import age, ago, counted, moment, one_line, short_moment
from orgloop.project.home import go_on_command

if TYPE_CHECKING:
    from orgloop.journal.model import DaemonRow, RunRow, WaitRow
    from orgloop.operations.status.status import ActorStatus, Status

PAUSED: Final = 20 * SECOND
"""How long an actor may be unreachable until that is urgent: longer than a target takes to start again."""

FEW: Final = 3
"""Fewer refused requests than these need nobody, unless a sender was not proven: a secret may be wrong."""

SHORTEST_GAP: Final = 10 * MINUTE
"""Somebody who stopped the daemon and started it again knows. What took longer, others want to know, too."""


def attention(seen: Status) -> list[Item]:
    """All that the journal and the daemon know of and nobody has dismissed: pauses, then what is broken."""
    if seen.applied is None and seen.daemon is None:
        return []
    found = [
        *stuck.paused(seen),
        *_daemon(seen),
        *_journal(seen),
        *_delayed(seen),
        *_sources(seen),
        *_actors(seen),
        *_decisions(seen),
        *_asking(seen),
        *stuck.runs(seen),
        *stuck.waiting(seen),
        *_kept_trees(seen),
        *_gaps(seen),
        *_loggers(seen),
        *_troubles(seen),
    ]
    return sorted(
        undismissed(found, seen.dismissed), key=lambda item: (item.kind != stuck.PAUSE, not item.urgent)
    )


def _daemon(seen: Status) -> Iterator[Item]:
    if seen.daemon is not None:
        if seen.live is None:
            yield Item(
                kind="daemon",
                text=seen.fault or "the daemon does not answer",
                command=go_on_command(seen.daemon) if seen.suspended else "orgloop stop --force",
                urgent=True,
            )
        return
    if seen.holder:
        return
    last = seen.lives[0] if seen.lives else None
    waiting = seen.count("pending", "preparing", "running")
    behind = f"; {counted(waiting, 'delivery waits', 'deliveries wait')} for it" if waiting else ""
    how = f"; {_ending(last, seen.now)}" if last is not None else ""
    yield Item(
        kind="daemon",
        text=f"the daemon does not run{how}{behind}",
        command=start_command(seen.root),
        urgent=True,
        since=_end(last) if last is not None else None,
    )


def _journal(seen: Status) -> Iterator[Item]:
    """What keeps the journal from being written: now, or soon."""
    if seen.live is not None and seen.live.journal_fault:
        refused = counted(seen.live.waiting_accepts, "event waits", "events wait")
        waits = f"; {refused} for it" if seen.live.waiting_accepts else ""
        yield Item(
            kind="journal",
            text="the journal cannot be written, so every event is refused with 503: "
            f"{one_line(seen.live.journal_fault)}{waits}",
            command="orgloop doctor",
            urgent=True,
        )
    if seen.room is not None and seen.room < LITTLE_ROOM:
        yield Item(
            kind="disk",
            text=f"{seen.room >> 20} MB are left on the disk of {seen.home.path}: free some",
            command=f"df -h {shlex.quote(str(seen.home.path))}",
            urgent=seen.room < LITTLE_ROOM // 10,
        )


def _sources(seen: Status) -> Iterator[Item]:
    for source in seen.sources:
        row = source.row
        if row is not None and row.errors:
            times = counted(row.errors, "poll has failed", "polls in a row have failed")
            yield Item(
                kind="source",
                name=source.id,
                text=f"{source.id}: {times}: {one_line(row.error)}",
                command=f"orgloop inspect source {shlex.quote(source.id)}",
                urgent=source.health == "unhealthy",
                since=row.last_success,
                count=row.errors,
            )
    yield from _refusals(seen)


def _refusals(seen: Status) -> Iterator[Item]:
    """Requests that were not taken: nothing else would tell of a wrong secret."""
    live = seen.live
    if live is None:
        return
    for id, refused in live.refused.items():
        if refused.at < seen.since or (refused.times < FEW and id not in live.unproven):
            continue
        times = counted(refused.times, "request was", "requests were")
        yield Item(
            kind="refused",
            name=id,
            text=f"{id}: {times} refused, the last {ago(refused.at, seen.now)}: {one_line(refused.why)}",
            command=f"orgloop inspect source {shlex.quote(id)}",
            since=refused.at,
            count=refused.times,
            last=refused.at,
        )


def _delayed(seen: Status) -> Iterator[Item]:
    """What work waits for until a time: it goes on by itself, and later than somebody may expect. And what
    a person parked."""
    from orgloop.core.deliveries.admission import NEVER, WaitCause, Window

    delayed: dict[WaitRow, list[ActorStatus]] = {}
    for actor in seen.actors:
        for wait in actor.waits:
            parked = wait.waiting.cause is WaitCause.PARKED
            # A rate per second delays nothing that a person would notice.
            slow = wait.waiting.until != NEVER and wait.waiting.window is not Window.SECOND
            paused = wait.waiting.cause is WaitCause.PAUSED
            if actor.waiting and (parked or slow) and not paused:
                delayed.setdefault(wait, []).append(actor)
    for wait, actors in delayed.items():
        count = sum(actor.waiting for actor in actors)
        many = counted(count, "delivery waits", "deliveries wait")
        parked = wait.waiting.cause is WaitCause.PARKED
        yield Item(
            kind="delayed",
            name=str(wait.waiting.scope),
            text=f"{many}. {text(wait, lambda at: short_moment(at, seen.now))}",
            command="orgloop accounts" if parked else "orgloop deliveries --state pending",
            since=wait.since,
            count=count,
        )


def _actors(seen: Status) -> Iterator[Item]:
    """At once: its work waits for a person more often than for time."""
    for actor in seen.actors:
        pause = actor.pause
        if pause is None:
            continue
        waits = counted(actor.waiting, "delivery waits", "deliveries wait") if actor.waiting else ""
        if pause.kind == "breaker":
            yield Item(
                kind="breaker",
                name=actor.id,
                text=f"{open_breaker(pause)}; {f'{waits}, and ' if waits else ''}one wake probes it "
                + (f"at {short_moment(pause.until, seen.now)}" if pause.until > seen.now else "now"),
                command=f"orgloop resume {shlex.quote(actor.id)}",
                urgent=True,
                since=pause.since,
                count=actor.waiting,
            )
            continue
        helps = command_in(pause.reason)
        yield Item(
            kind="paused",
            name=actor.id,
            text=f"{actor.id} is unavailable since {short_moment(pause.since, seen.now)}"
            f"{', ' if waits else ''}{waits}: {one_line(pause.reason)}",
            command=helps or f"orgloop inspect actor {shlex.quote(actor.id)}",
            urgent=bool(helps) or seen.now - pause.since >= PAUSED,
            since=pause.since,
            count=actor.waiting,
        )


_TYPE: Final = re.compile(r"\btype `([^`\n]{1,200})`", re.IGNORECASE)


def command_in(reason: str) -> str:
    """The command that a reason tells to type: not logged in; type `claude auth login`. Empty if none."""
    found = _TYPE.search(one_line(reason))
    return found[1] if found is not None else ""


def _decisions(seen: Status) -> Iterator[Item]:
    """Dead and held work, alike together."""
    for row in seen.backlog:
        if row.state not in ("dead", "held"):
            continue
        example = one_line(seen.examples.get((row.actor, row.route, str(row.state), row.reason), ""))
        since = short_moment(row.since, seen.now)
        words = f"{row.count} {row.state} since {since}: {row.route} → {row.actor}, {row.reason}"
        yield Item(
            kind=str(row.state),
            name=f"{row.route}:{row.actor}:{row.reason}",
            text=f"{words}: {example}" if example else words,
            command=f"orgloop {row.state} list --route {shlex.quote(row.route)} --reason {row.reason}",
            urgent=row.state == "dead",
            since=row.since,
            count=row.count,
        )


def _asking(seen: Status) -> Iterator[Item]:
    """Agents that asked their user, whom they do not have."""
    for run in seen.asking:
        asked = one_line(str(run.completion.get("asked") or ""))
        ended = run.ended_at or run.started_at
        yield Item(
            kind="asked",
            name=run.id,
            text=f"{run.actor} ({run.route}) asked you something {ago(ended, seen.now)}: {asked}".rstrip(
                ": "
            ),
            command=take_over(run) or f"orgloop runs show {run.id}",
            since=ended,
            last=ended,
        )


def take_over(run: RunRow) -> str:
    """The command with which a person goes on in the session of a run that has ended; empty if none does."""
    words, directory = run.spec.get("take_over"), run.spec.get("cwd")
    if not words or not directory or run.ended_at is None:
        return ""
    return f"cd {shlex.quote(str(directory))} && {shlex.join(str(word) for word in words)}"


def _kept_trees(seen: Status) -> Iterator[Item]:
    """Work that nobody has pushed, in trees that would be gone by now."""
    trees = seen.kept_trees
    if len(trees) > FEW:
        yield Item(
            kind="work-trees",
            text=f"{len(trees)} work trees are kept: they have uncommitted or unpushed work",
            command="orgloop worktrees",
            since=min(tree.used_at for tree in trees),
            count=len(trees),
        )
        return
    for tree in trees:
        yield Item(
            kind="work-tree",
            name=tree.name,
            text=f"the work tree of {tree.actor} for {one_line(tree.key)} is kept: {one_line(tree.kept)}",
            command=f"git -C {shlex.quote(tree.path)} status",
            since=tree.used_at,
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


def _gaps(seen: Status) -> Iterator[Item]:
    found = gaps(seen.lives, seen.since)
    if not found:
        return
    lasted = humanize(sum(max(0, gap.end - gap.begin) for gap in found))
    died = sum(gap.died for gap in found)
    # When it died, no daemon wrote down: only until when it was surely there.
    lasted = f"at most {lasted}" if died else lasted
    if len(found) == 1:
        shown = moment if found[0].end - found[0].begin < MINUTE else short_moment
        begin, end = (shown(at, seen.now) for at in (found[0].begin, found[0].end))
        text = f"no daemon ran from {begin} to {end} ({lasted}){'; it had died' if died else ''}"
    else:
        text = f"no daemon ran {len(found)} times, {lasted} in all"
        text += f"; it had died {counted(died, 'time', 'times')}" if died else ""
    log = _own_log(seen)
    yield Item(
        kind="gap",
        text=text,
        command=log if died and log else f"orgloop logs --since {age(found[0].begin, seen.now)}",
        since=found[0].begin,
        count=len(found),
        last=found[-1].end,
    )


def unheard(seen: Status) -> Iterator[Item]:
    """Runs that did not come out well, of actors whose end nobody listens to.

    They have happened, and nothing that a person types makes them go away: they do not need one.
    """
    heard = {route.source for route in seen.routes}
    failed: dict[str, list[RunRow]] = {}
    for run in seen.ended_runs:
        if run.outcome not in ("", "success") and run.actor not in heard:
            failed.setdefault(run.actor, []).append(run)
    for actor, runs in failed.items():
        newest = max(runs, key=lambda run: run.ended_at or 0)
        yield Item(
            kind="failure",
            name=actor,
            text=f"{counted(len(runs), 'run')} of {actor} failed, and no route listens to its end",
            command=f"orgloop inspect {newest.id}",
            since=min(run.ended_at or run.started_at for run in runs),
            count=len(runs),
        )


def _loggers(seen: Status) -> Iterator[Item]:
    for logger in seen.live.loggers if seen.live is not None else ():
        if logger.failures:
            times = counted(logger.failures, "time", "times")
            yield Item(
                kind="logger",
                name=logger.name,
                text=f"logger {logger.name} has failed {times}: {one_line(logger.error)}",
                command=f"orgloop inspect logger {shlex.quote(logger.name)}",
                count=logger.failures,
            )


def _troubles(seen: Status) -> Iterator[Item]:
    """What the daemon says of itself."""
    if seen.live is None:
        return
    for actor, error in seen.live.not_open.items():
        yield Item(
            kind="actor",
            name=actor,
            text=f"actor {actor} cannot be opened, its work waits: {one_line(error)}",
            command=command_in(error) or f"orgloop inspect actor {shlex.quote(actor)}",
            urgent=True,
        )
    for name, trouble in seen.live.troubles.items():
        if trouble.at < seen.since:
            continue
        times = counted(trouble.times, "time", "times")
        yield Item(
            kind="trouble",
            name=name,
            text=f"{name} broke {times}, {ago(trouble.at, seen.now)}: {one_line(trouble.why)}",
            command=_own_log(seen) or "orgloop logs",
            since=trouble.at,
            count=trouble.times,
            last=trouble.at,
        )


def _own_log(seen: Status) -> str:
    """The command that shows the daemon's own log; empty if it has none, as in a terminal."""
    log = seen.home.logs / "daemon.log"
    written = log.exists() and log.stat().st_size > 0
    return f"tail -n 50 {shlex.quote(str(log))}" if written else ""


def _end(life: DaemonRow) -> int:
    return life.ended_at if life.ended_at is not None else life.last_seen


def _ending(life: DaemonRow, now: int) -> str:
    """When a daemon died nobody wrote down; only until when it was there."""
    if life.ended_at is not None:
        return f"it stopped {ago(life.ended_at, now)}"
    seen = ago(life.last_seen, now)
    return f"it died, last alive {seen if seen != 'now' else 'a moment ago'}"
