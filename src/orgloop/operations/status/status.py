"""How an organization is, at one moment: read from the journal, and from the daemon if one answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop.core.text.units import DAY
from orgloop.operations.status.item import dismissed
from orgloop.operations.status.live import Live, Postponed
from orgloop.operations.views.health import Health, SourceHealth, source_health
from orgloop.operations.views.waits import actor_reasons, waits_of
from orgloop.project.home import DaemonInfo, Home, holder_of, is_suspended

if TYPE_CHECKING:
    from orgloop.journal.model import (
        AppliedRow,
        BacklogRow,
        DaemonRow,
        PauseRow,
        RunRow,
        SourceRow,
        WaitRow,
    )
    from orgloop.journal.protocols import Reader
    from orgloop.operations.views.topology import Topology
    from orgloop.runtime.worktrees.registry import TreeRecord

MOST_RUNS: Final = 1_000
"""Runs that are looked at, the newest first."""

ASKED_FOR: Final = 7 * DAY
"""How long it is told that an agent asked something, in milliseconds."""

LONGEST_RUN: Final = 2 * DAY
"""A run that ended since some time began at most this much earlier, in milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStatus:
    """A source of what was applied; `row` is None before its first event or poll.

    `next_poll` is None if it is not polled, or if no daemon says when. `heard`: a daemon
    runs and answers.
    """

    id: str
    connector: str
    row: SourceRow | None
    next_poll: int | None = None
    later: Postponed | None = None
    heard: bool = True

    @property
    def health(self) -> SourceHealth:
        """By its failures in a row; unknown while no daemon runs and answers."""
        return source_health(self.row, heard=self.heard)


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorStatus:
    """An actor of what was applied, with how much of its work is in which state.

    `at_work` is how many of its runs go on, where no daemon takes note of their ends; else None. `waits`
    are the full scopes that its oldest waiting work waits for, `reasons` all that keeps its work waiting.
    """

    id: str
    connector: str
    counts: Mapping[str, int]
    pause: PauseRow | None
    at_work: int | None = None
    waits: Sequence[WaitRow] = ()
    reasons: Sequence[str] = ()

    @property
    def running(self) -> int:
        """Runs that go on, and wakes on their way."""
        if self.at_work is not None:
            return self.at_work
        return self.counts.get("started", 0) + self.counts.get("running", 0)

    @property
    def waiting(self) -> int:
        """What waits for its turn. A wake on its way without a daemon is none: it waits, too."""
        waits = self.counts.get("pending", 0) + self.counts.get("preparing", 0)
        return waits + (self.counts.get("running", 0) if self.at_work is not None else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteStatus:
    """A route of what was applied, with how many events it matched, dropped ones too, and when last."""

    name: str
    source: str
    actor: str
    fired: int
    last_fired: int | None
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How everything is. Times are milliseconds since 1970.

    `daemon` serves the home now; `live` is what it knows of itself, None if it does not answer, and then
    `fault` says why; `holder` says who holds the journal though there is no daemon. `applied` is None if
    nothing has ever run here. `gone` are those of `open_runs` whose process has ended, which only a daemon
    takes note of. `room` is how many bytes are left on the home's disk, `dismissed` when a person saw what,
    by the ids of items. `asking` are ended runs whose agent asked something, and has not been at work in
    that session since. `kept_trees` are the work trees whose time is over, and which have work that is
    nowhere else; `new_trees` are those in which no run has worked yet. `paused` is what a person paused.
    """

    now: int
    since: int
    home: Home
    daemon: DaemonInfo | None = None
    live: Live | None = None
    fault: str = ""
    holder: str = ""
    applied: AppliedRow | None = None
    lives: Sequence[DaemonRow] = ()
    sources: Sequence[SourceStatus] = ()
    actors: Sequence[ActorStatus] = ()
    routes: Sequence[RouteStatus] = ()
    backlog: Sequence[BacklogRow] = ()
    open_runs: Sequence[RunRow] = ()
    gone: Collection[str] = ()
    ended_runs: Sequence[RunRow] = ()
    asking: Sequence[RunRow] = ()
    examples: Mapping[tuple[str, str, str, str], str] = field(default_factory=dict)
    room: int | None = None
    dismissed: Mapping[str, int] = field(default_factory=dict)
    kept_trees: Sequence[TreeRecord] = ()
    new_trees: Sequence[TreeRecord] = ()
    paused: Sequence[WaitRow] = ()

    @property
    def project(self) -> str:
        """Its name; empty if nothing has ever run here."""
        if self.daemon is not None:
            return self.daemon.project
        return self.applied.project if self.applied is not None else ""

    @property
    def root(self) -> str:
        """Its directory; empty if nothing has ever run here."""
        if self.daemon is not None:
            return self.daemon.root
        return self.applied.root if self.applied is not None else ""

    @property
    def uptime(self) -> int:
        """Milliseconds since the daemon started, 0 if none runs."""
        return self.now - self.daemon.started_at if self.daemon is not None else 0

    @property
    def failed_runs(self) -> list[RunRow]:
        """Those that ended without success."""
        return [run for run in self.ended_runs if run.outcome != "success"]

    @property
    def cost_usd(self) -> float | None:
        """What the ended runs said that they cost; None if none said anything."""
        known = [run.cost_usd for run in self.ended_runs if run.cost_usd is not None]
        return sum(known) if known else None

    @property
    def health(self) -> Health:
        """`error`: it takes no events, or a source fails for long; `degraded`: a part does not work."""
        if self.daemon is None:
            return "stopped"
        live = self.live
        sources = {source.health for source in self.sources}
        if live is None or live.journal_fault or "unhealthy" in sources:
            return "error"
        failing = live.not_open or any(one.failures for one in live.loggers)
        paused = any(actor.pause is not None for actor in self.actors)
        return "degraded" if failing or paused or "degraded" in sources else "ok"

    @property
    def suspended(self) -> bool:
        """Whether its daemon does not answer because somebody stopped its process."""
        return self.live is None and self.daemon is not None and is_suspended(self.daemon)

    def count(self, *states: str) -> int:
        """How many deliveries are in these states."""
        return sum(row.count for row in self.backlog if row.state in states)


def status(
    reader: Reader | None,
    live: Live | None,
    *,
    home: Home,
    daemon: DaemonInfo | None,
    since: int,
    now: int | None = None,
    fault: str = "",
) -> Status:
    """Look at this home. Without a `reader` nothing has ever run there.

    Raises JournalError if its journal cannot be read.
    """
    from orgloop.runtime.worktrees.registry import Shelf, Stage

    trees = Shelf(home.path).all()
    now = int(time.time() * 1000) if now is None else now
    known: dict[str, Any] = {
        "now": now,
        "since": since,
        "home": home,
        "daemon": daemon,
        "live": live,
        "fault": fault,
        "holder": holder_of(home) if daemon is None else "",
        "room": home.room,
        "dismissed": dismissed(home),
        "kept_trees": [record for record in trees if record.kept],
        "new_trees": [record for record in trees if record.stage is not Stage.READY],
    }
    if reader is None:
        return Status(**known)
    return Status(**known, **_of_journal(reader, since, live, now, served=daemon is not None))


def gone_runs(open_runs: Iterable[RunRow]) -> frozenset[str]:
    """Those whose program has ended. Ask only while no daemon runs: one that just begins has none yet."""
    from orgloop.runtime.runs.local.local_runner import seems_alive

    return frozenset(run.id for run in open_runs if not run.is_remote and not seems_alive(Path(run.run_dir)))


def _of_journal(reader: Reader, since: int, live: Live | None, now: int, *, served: bool) -> dict[str, Any]:
    from orgloop.core.deliveries.admission import WaitCause
    from orgloop.journal.model import Query
    from orgloop.operations.views.topology import topology

    applied = reader.applied()
    graph = topology(applied.project, applied.snapshot) if applied is not None else None
    backlog = reader.backlog()
    recent = reader.runs(Query(since=since - LONGEST_RUN, limit=MOST_RUNS))
    ended = [
        run
        for run in recent
        if run.ended_at is not None and run.ended_at >= since and run.reason != "not_started"
    ]
    open_runs = sorted(reader.runs(Query(limit=MOST_RUNS), open_only=True), key=lambda run: run.started_at)
    gone = frozenset() if served else gone_runs(open_runs)
    at_work = None if served else Counter(run.actor for run in open_runs if run.id not in gone)
    return {
        "applied": applied,
        "lives": reader.daemons(100),
        "sources": _sources(reader, graph, live, heard=served and live is not None),
        "actors": _actors(reader, graph, backlog, at_work, live, now),
        "routes": _routes(reader, graph, backlog),
        "paused": [
            wait
            for wait in reader.waits()
            if wait.waiting.cause is WaitCause.PAUSED and wait.waiting.until > now
        ],
        "backlog": backlog,
        "open_runs": open_runs,
        "gone": gone,
        "ended_runs": sorted(ended, key=lambda run: run.ended_at or 0, reverse=True),
        "asking": _asking(reader.runs(Query(since=now - ASKED_FOR, limit=MOST_RUNS))),
        "examples": _examples(reader, backlog),
    }


def _asking(newest_first: Iterable[RunRow]) -> list[RunRow]:
    found, later = [], set()
    for run in newest_first:
        session = (run.actor, run.session_id or run.id)
        if session not in later and run.ended_at is not None and run.completion.get("needs_you") is True:
            found.append(run)
        later.add(session)
    return found


def _sources(reader: Reader, graph: Topology | None, live: Live | None, *, heard: bool) -> list[SourceStatus]:
    rows = {row.source: row for row in reader.sources()}
    found = []
    for id, connector in (graph.sources if graph is not None else {}).items():
        later = live.later.get(id) if live is not None else None
        found.append(
            SourceStatus(
                id=id,
                connector=connector,
                row=rows.get(id),
                next_poll=later.until if later else live.next_polls.get(id) if live is not None else None,
                later=later,
                heard=heard,
            )
        )
    return found


def _actors(
    reader: Reader,
    graph: Topology | None,
    backlog: Sequence[BacklogRow],
    at_work: Mapping[str, int] | None,
    live: Live | None,
    now: int,
) -> list[ActorStatus]:
    pauses = {row.actor: row for row in reader.pauses()}
    full = reader.waits()
    found = []
    for id, connector in (graph.actors if graph is not None else {}).items():
        actor = ActorStatus(
            id=id,
            connector=connector,
            counts=_counts([row for row in backlog if row.actor == id]),
            pause=pauses.get(id),
            at_work=at_work.get(id, 0) if at_work is not None else None,
            waits=_waits(reader, id, full),
        )
        found.append(
            replace(
                actor, reasons=_reasons(actor, live, now, served=at_work is None) if actor.waiting else ()
            )
        )
    return found


def _reasons(actor: ActorStatus, live: Live | None, now: int, *, served: bool) -> Sequence[str]:
    return actor_reasons(
        pause=actor.pause,
        waits=actor.waits,
        served=served,
        journal_fault=live.journal_fault if live is not None else "",
        not_open=live.not_open.get(actor.id, "") if live is not None else "",
        now=now,
    )


def _waits(reader: Reader, actor: str, full: Sequence[WaitRow]) -> Sequence[WaitRow]:
    from orgloop.core.deliveries.delivery import State
    from orgloop.journal.model import START, Query

    if not full:
        return ()
    oldest = reader.deliveries(Query(actor=actor, states=(State.PENDING,), after=START, limit=1))
    return [wait for row in oldest for wait in waits_of(row, full)]


def _routes(reader: Reader, graph: Topology | None, backlog: Sequence[BacklogRow]) -> list[RouteStatus]:
    stats = reader.route_stats()
    found = []
    for edge in graph.edges if graph is not None else ():
        fired, last = stats.get(edge.route, (0, None))
        found.append(
            RouteStatus(
                name=edge.route,
                source=edge.source,
                actor=edge.actor,
                fired=fired,
                last_fired=last,
                counts=_counts([row for row in backlog if row.route == edge.route]),
            )
        )
    return found


def _counts(rows: Sequence[BacklogRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + row.count
    return counts


def _examples(reader: Reader, backlog: Sequence[BacklogRow]) -> dict[tuple[str, str, str, str], str]:
    """What the newest of each group that waits for a person says, by actor, route, state and reason."""
    from orgloop.core.deliveries.delivery import State
    from orgloop.journal.model import Query

    found = {}
    for row in backlog:
        if row.state in (State.HELD, State.DEAD):
            query = Query(actor=row.actor, route=row.route, states=(row.state,), reason=row.reason, limit=1)
            for delivery in reader.deliveries(query):
                found[row.actor, row.route, str(row.state), row.reason] = delivery.detail
    return found
