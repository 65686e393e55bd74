"""The morning screen: what runs, what happened, and last, nearest to the prompt, what needs a person."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from orgloop.cli.output import FAIL, OK, WARN, Output
from orgloop.cli.screen.grid import Column, print_grid
from orgloop.cli.screen.run_view import says
from orgloop.cli.screen.words import WORKING, from_home, run_line, wrapped
from orgloop.core.text.columns import folded
from orgloop.core.text.units import humanize
from orgloop.operations.status.attention import unheard
from orgloop.operations.status.item import Item
from orgloop.operations.status.stuck import last_sign
from orgloop.operations.views.waits import NO_DAEMON
from orgloop.operations.views.words import age, ago, counted, dollars, one_line, short_moment

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.journal.model import RunRow
    from orgloop.operations.status.status import ActorStatus, RouteStatus, SourceStatus, Status

    Row = list[str | Text]

ALIVE, GONE = "●", "○"

MOST: Final = 8
"""Rows of one kind that are shown."""

MOST_ROUTES: Final = 12
"""Routes that are shown; if there are more, those that matched last."""

_HEALTH: Final = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "unknown": "dim"}


class StatusView:
    """Draws one seen. `since` is what the person asked for."""

    def __init__(self, out: Output, seen: Status, items: Sequence[Item], since: str) -> None:
        self._out = out
        self._seen = seen
        self._items = items
        self._since = since

    def show(self) -> None:
        """Print it."""
        self._head()
        self._delays()
        if self._seen.applied is None and self._seen.daemon is None:
            return
        self._sources()
        self._actors()
        self._routes()
        self._at_work()
        self._lately()
        self._needs()

    # --- what runs ------------------------------------------------------------------------------

    def _head(self) -> None:
        out, seen = self._out, self._seen
        name = out.style(seen.project, "bold")
        daemon = seen.daemon
        if daemon is not None and seen.live is not None:
            url = f"http://127.0.0.1:{daemon.port}"
            since = f"up {humanize(seen.uptime)}"
            out.line(f"{out.style(ALIVE, 'green')} {name}  {since} · {url} · pid {daemon.pid}")
        elif daemon is not None:
            out.line(f"{out.style(ALIVE, 'red')} {name}  runs (pid {daemon.pid}), but does not answer")
        elif seen.holder:
            how = ", which begins or ends" if seen.holder.startswith("the daemon of ") else ""
            out.line(f"{out.style(GONE, 'yellow')} {name}  the journal is held by {seen.holder}{how}")
        elif seen.applied is not None:
            out.line(f"{out.style(GONE, 'red')} {name}  does not run")
        else:
            out.line(f"{out.style(GONE, 'dim')} nothing has run in {from_home(seen.home.path)} yet")
            out.line("  begin with: orgloop init, then orgloop start")
            return
        where = f"{from_home(seen.root)} · home {from_home(seen.home.path)}"
        out.line(out.style(f"  {where}", "dim"))

    def _delays(self) -> None:
        """First of all: what waits although everything works, and until when."""
        for item in self._items:
            if item.kind == "delayed":
                for line in folded(f"  {item.text}", self._out.width, 4):
                    self._out.line(self._out.style(line, "yellow"))

    def _heading(self, text: str, more: str = "") -> None:
        self._out.line()
        dim = f"  {self._out.style(more, 'dim')}" if more else ""
        self._out.line(f"{self._out.style(text, 'bold')}{dim}")

    def _table(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        if rows:
            self._out.line()
            self._grid(columns, rows)

    def _grid(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        print_grid(self._out, columns, rows, indent=2)

    def _sources(self) -> None:
        columns = [
            Column(name="source", is_name=True),
            Column(name="connector", is_name=True),
            Column(name="health"),
            Column(name="events", right=True),
            Column(name="last event"),
            Column(name="next poll"),
            Column(name="error", flexible=True, from_width=100),
        ]
        self._table(columns, [self._source(source) for source in self._seen.sources])

    def _source(self, source: SourceStatus) -> Row:
        now, row = self._seen.now, source.row
        return [
            source.id,
            source.connector,
            _health(source, served=self._seen.daemon is not None),
            _number(row.events if row is not None else 0, ""),
            ago(row.last_event, now) if row is not None and row.last_event else "",
            _until(source.next_poll, now),
            one_line(_trouble(source)),
        ]

    def _actors(self) -> None:
        columns = [
            Column(name="actor", is_name=True),
            Column(name="connector", is_name=True),
            Column(name="running", right=True),
            Column(name="waiting", right=True),
            Column(name="held", right=True),
            Column(name="dead", right=True),
        ]
        self._table(columns, [self._actor(actor) for actor in self._seen.actors])
        self._why_waiting()

    def _actor(self, actor: ActorStatus) -> Row:
        return [
            actor.id,
            actor.connector,
            _number(actor.running, "cyan"),
            _number(actor.waiting, "yellow"),
            _number(actor.counts.get("held", 0), "red", hide=True),
            _number(actor.counts.get("dead", 0), "red", hide=True),
        ]

    def _why_waiting(self) -> None:
        """Each reason once, whole, and red where a person may have to help. A missing daemon stands above."""
        found: dict[str, list[ActorStatus]] = {}
        for actor in self._seen.actors:
            for reason in actor.reasons:
                if reason != NO_DAEMON:
                    found.setdefault(reason, []).append(actor)
        for reason, actors in found.items():
            names = ", ".join(actor.id for actor in actors[:MOST])
            more = f" and {len(actors) - MOST} more" if len(actors) > MOST else ""
            style = "red" if any(actor.pause is not None for actor in actors) else "dim"
            for line in folded(f"  {names}{more}: {reason}", self._out.width, 4):
                self._out.line(self._out.style(line, style))

    def _routes(self) -> None:
        routes: Sequence[RouteStatus] = self._seen.routes
        if len(routes) > MOST_ROUTES:
            lately = sorted(routes, key=lambda route: route.last_fired or 0, reverse=True)
            routes = lately[:MOST_ROUTES]
        columns = [
            Column(name="route", is_name=True),
            Column(name="wakes", flexible=True),
            Column(name="matched", right=True),
            Column(name="last"),
        ]
        self._table(columns, [self._route(route) for route in routes])
        self._rest(len(self._seen.routes) - len(routes), "route", "orgloop routes")

    def _route(self, route: RouteStatus) -> Row:
        return [
            route.name,
            f"{route.source} → {route.actor}",
            _number(route.fired, ""),
            ago(route.last_fired, self._seen.now) if route.last_fired else "",
        ]

    # --- what happened --------------------------------------------------------------------------

    def _at_work(self) -> None:
        runs = [run for run in self._seen.open_runs if run.id not in self._seen.gone]
        if not runs:
            return
        self._heading("At work", counted(len(runs), "run"))
        columns = [
            Column(name=""),
            Column(name="actor", is_name=True),
            Column(name="route", is_name=True),
            Column(name="for", right=True),
            Column(name="output", flexible=True),
        ]
        self._grid(columns, [self._working(run) for run in runs[:MOST]])
        self._rest(len(runs) - MOST, "run", "orgloop runs")

    def _working(self, run: RunRow) -> Row:
        lasted = age(run.started_at, self._seen.now)
        return [_styled(WORKING, "cyan"), run.actor, run.route, lasted, self._says(run)]

    def _says(self, run: RunRow) -> str:
        quiet = age(last_sign(run), self._seen.now)
        return says(run) or f"nothing for {quiet}"

    def _lately(self) -> None:
        seen = self._seen
        total, failed = len(seen.ended_runs), len(seen.failed_runs)
        window = f" ({self._since})" if self._since[-1:].isalpha() else ""
        self._heading(f"Since {short_moment(seen.since, seen.now)}{window}", self._sum(total, failed))
        if not total:
            return
        columns = [
            Column(name=""),
            Column(name=""),
            Column(name="actor", is_name=True),
            Column(name="route", is_name=True),
            Column(name="took", right=True),
            Column(name="cost", right=True),
            Column(name="result", flexible=True),
        ]
        done = [run for run in seen.ended_runs if run.outcome == "success"]
        shown = [*seen.failed_runs[:MOST], *done[:MOST]]
        self._grid(columns, [self._ended(run) for run in shown])
        self._rest(total - len(shown), "run", f"orgloop runs --all --since {self._since}")
        self._some_of(list(unheard(seen)))

    def _sum(self, total: int, failed: int) -> str:
        if not total:
            return "no run has ended"
        words = [f"{counted(total, 'run')} ended"]
        words += [f"{failed} without success"] if failed else []
        cost = dollars(self._seen.cost_usd)
        return " · ".join([*words, cost] if cost else words)

    def _ended(self, run: RunRow) -> Row:
        symbol, style = (OK, "green") if run.outcome == "success" else (FAIL, "red")
        ended = run.ended_at or run.started_at
        return [
            _styled(symbol, style),
            _styled(short_moment(ended, self._seen.now), "dim"),
            run.actor,
            run.route,
            humanize(ended - run.started_at),
            dollars(run.cost_usd),
            run_line(run),
        ]

    # --- what needs a person --------------------------------------------------------------------

    def _needs(self) -> None:
        out = self._out
        out.line()
        if not self._items:
            out.ok("Nothing needs you.")
            return
        out.line(out.style("Needs you", "bold"))
        kinds = list(dict.fromkeys((item.urgent, item.kind) for item in self._items))
        for kind in kinds:
            self._some_of([item for item in self._items if (item.urgent, item.kind) == kind])

    def _some_of(self, alike: Sequence[Item]) -> None:
        """Things of one kind: the first of many, unless all are asked for."""
        shown = alike if self._out.verbose else alike[:MOST]
        for item in shown:
            self._item(item)
        self._rest(len(alike) - len(shown), "such problem", "orgloop status --verbose")

    def _item(self, item: Item) -> None:
        out = self._out
        symbol, style = (FAIL, "red") if item.urgent else (WARN, "yellow")
        first, *more = wrapped(item.text, out.width - 4)
        out.line(f"  {out.style(symbol, style)} {first}")
        for line in more:
            out.line(f"    {line}")
        out.line(f"      {out.style(item.command, 'cyan')}")
        if item.last is not None:
            out.line(f"      {out.style(f'or: orgloop dismiss {shlex.quote(item.id)}', 'dim')}")

    def _rest(self, count: int, what: str, command: str) -> None:
        if count > 0:
            more = f"and {counted(count, f'more {what}')}:"
            self._out.line(f"  {self._out.style(more, 'dim')} {command}")


def _trouble(source: SourceStatus) -> str:
    """Why it was told to come later, or else its last failure."""
    if source.later is not None:
        return f"the other system asked to wait: {source.later.reason}"
    return source.row.error if source.row is not None else ""


def _health(source: SourceStatus, *, served: bool) -> Text:
    if not source.heard:
        return _styled(f"{GONE} {'unknown' if served else 'no daemon'}", "dim")
    errors = source.row.errors if source.row is not None else 0
    words = f"{errors} failed" if errors else source.health
    return _styled(f"{ALIVE} {words}", _HEALTH[source.health])


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style)


def _number(number: int, style: str, *, hide: bool = False) -> Text:
    if not number:
        return _styled("" if hide else "0", "dim")
    return _styled(str(number), style)


def _until(at: int | None, now: int) -> str:
    if at is None:
        return ""
    return f"in {age(now, at)}" if at > now + 1000 else "now"
