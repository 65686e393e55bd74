"""Looking at the journal, read-only, while it is written and when nobody does.

Every list is a page. One that no index leads to is read in short windows, so that a rare filter on
a large journal never holds one long read, behind which the write-ahead log would grow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import apsw

from orgloop.core.deliveries.delivery import FINISHED, State
from orgloop.errors import JournalError
from orgloop.journal.model import (
    START,
    AccountUse,
    AppliedRow,
    BacklogRow,
    DaemonRow,
    DeliveryRow,
    EventRow,
    ParkedRow,
    PauseRow,
    Query,
    RunRow,
    SessionRow,
    SourceRow,
    StepRow,
    SystemRow,
    WaitRow,
)
from orgloop.journal.sqlite import filters, rows, statements
from orgloop.journal.sqlite.connection import Location, open_reading, translated
from orgloop.journal.sqlite.filters import Conditions, Listing
from orgloop.journal.sqlite.migrate import migrations, schema_version

T = TypeVar("T")

_SQL: Final = statements.load("reader.sql")

WINDOW: Final = 50_000
"""How many numbers of the sequence one read looks at."""

TRACE_PAGE: Final = 1_000

_ENDS: Final = (State.DELIVERED, State.DROPPED, State.DISCARDED)
"""The order of the columns of `finished`."""

MOST_HEADS: Final = 500
"""So many of an actor's deliveries are looked at for when the first of each route is due."""


class SqliteReader:
    """All of `protocols.Reader`. May be used from several threads."""

    def __init__(self, place: Location) -> None:
        """Raises NotFound if there is no journal, JournalTooNew if a newer program wrote it."""
        self._place = place
        self._connection = open_reading(place)
        newest = len(migrations())
        try:
            version = schema_version(self._connection, place.name, newest=newest)
        except JournalError:
            self._connection.close()
            raise
        if version < newest:
            self._connection.close()
            raise JournalError(
                f"{place.name} has schema {version}; this program reads {newest}",
                hint="Start OrgLoop once: it brings the journal up to date.",
            )

    def events(self, query: Query) -> Sequence[EventRow]:
        """Committed events."""
        return self._list(filters.EVENTS, query, rows.event_row)

    def event(self, id: str) -> EventRow | None:
        """The event with this id."""
        return next(iter(self.events(Query(event_id=id, limit=1))), None)

    def deliveries(self, query: Query) -> Sequence[DeliveryRow]:
        """Deliveries as they stand."""
        return self._list(filters.DELIVERIES, query, rows.delivery_row)

    def delivery(self, id: str) -> DeliveryRow | None:
        """The delivery with this id."""
        return next(iter(self.deliveries(Query(delivery_id=id, limit=1))), None)

    def steps(self, query: Query) -> Sequence[StepRow]:
        """What happened to deliveries."""
        return self._list(filters.STEPS, query, rows.step_row)

    def system(self, query: Query) -> Sequence[SystemRow]:
        """What happened to sources and to the daemon itself."""
        return self._list(filters.SYSTEM, query, rows.system_row)

    def runs(self, query: Query, *, open_only: bool = False) -> Sequence[RunRow]:
        """Runs; with `open_only` those that go on."""
        extra = ("r.ended_at IS NULL",) if open_only else ()
        return self._list(filters.RUNS, query, rows.run_row, extra)

    def run(self, id: str) -> RunRow | None:
        """The run with this id."""
        found = self._rows(f"{_SQL['runs']} WHERE r.id = ?", (id,))
        return next(map(rows.run_row, found), None)

    def sessions(
        self, *, actor: str = "", key: str = "", id: str = "", active_only: bool = False, limit: int = 100
    ) -> Sequence[SessionRow]:
        """As `protocols.Reader.sessions`."""
        found = self._rows(_SQL["sessions"], (actor, key, id, int(active_only), limit))
        return [rows.session_row(raw) for raw in found]

    def sop(self, sop_hash: str) -> str | None:
        """A prompt file's text as it was when it was used."""
        return next((text for (text,) in self._rows(_SQL["sop"], (sop_hash,))), None)

    def sources(self) -> Sequence[SourceRow]:
        """Every source that was ever heard of."""
        return [rows.source_row(raw) for raw in self._rows(_SQL["sources"])]

    def pauses(self) -> Sequence[PauseRow]:
        """Every actor that nobody answers for."""
        return [rows.pause_row(raw) for raw in self._rows(_SQL["pauses"])]

    def parked(self) -> Sequence[ParkedRow]:
        """Every account whose work waits."""
        return [rows.parked_row(raw) for raw in self._rows(_SQL["parked"])]

    def account_use(self, since: int) -> Sequence[AccountUse]:
        """As `protocols.Reader.account_use`."""
        return [rows.account_use(raw) for raw in self._rows(_SQL["account_use"], (since,))]

    def rival(self, delivery_id: str) -> str:
        """As `protocols.Reader.rival`."""
        return next((str(owner) for (owner,) in self._rows(_SQL["rival"], (delivery_id,))), "")

    def waits(self, limit: int = 1_000) -> Sequence[WaitRow]:
        """As `protocols.Reader.waits`."""
        return [rows.wait_row(raw) for raw in self._rows(_SQL["waits"], (limit,))]

    def applied(self) -> AppliedRow | None:
        """What was applied last."""
        return next(map(rows.applied_row, self._rows(_SQL["applied"])), None)

    def daemons(self, limit: int = 10) -> Sequence[DaemonRow]:
        """The daemon's lives, newest first."""
        return [rows.daemon_row(raw) for raw in self._rows(_SQL["daemons"], (limit,))]

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """What is not finished by state and route; under `total` what is finished, ever, by state."""
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for state, route, count in self._rows(_SQL["unfinished"]):
            found[state][route] = count
        sums = self._rows(_SQL["finished"])[0]
        return {
            **found,
            "total": dict(zip(_ENDS, sums, strict=True)),
        }

    def backlog(self) -> Sequence[BacklogRow]:
        """What is not finished, by actor, route, state and reason."""
        found = self._rows(_SQL["backlog"])
        actors = {actor for actor, _, state, *_ in found if state == State.PENDING}
        heads = {
            (actor, route): (since, due)
            for actor in actors
            for route, since, due in self._rows(_SQL["heads"], (actor, MOST_HEADS))
        }
        return [rows.backlog_row(raw, heads) for raw in found]

    def route_stats(self) -> Mapping[str, tuple[int, int | None]]:
        """Per route: how many deliveries it has made, and when the last was accepted."""
        return {route: (fired, at) for route, fired, at in self._rows(_SQL["route_stats"])}

    def trace(
        self, trace_id: str
    ) -> tuple[Sequence[EventRow], Sequence[DeliveryRow], Sequence[StepRow], Sequence[RunRow]]:
        """The first thousand of each kind of one chain, oldest first."""
        query = Query(trace_id=trace_id, after=START, limit=TRACE_PAGE)
        # Effects are read before their causes: what is written meanwhile never lacks its cause.
        ran, steps, deliveries = [*self.runs(query)], self.steps(query), self.deliveries(query)
        # The run of a wake that another chain's delivery leads is in this chain, too.
        known = {run.id for run in ran}
        ids = {row.run_id for row in deliveries if row.lead != row.id and row.run_id is not None} - known
        ran += [run for id in sorted(ids) if (run := self.run(id)) is not None]
        return self.events(query), deliveries, steps, ran

    def check(self) -> Sequence[str]:
        """Read the whole file and say what is wrong with it; empty if nothing is. Slow on a large journal."""
        return [text for (text,) in self._rows("PRAGMA quick_check") if text != "ok"]

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close(True)

    def _list(
        self,
        listing: Listing,
        query: Query,
        make: Callable[[rows.Raw], T],
        extra: Sequence[str] = (),
    ) -> Sequence[T]:
        asked = filters.conditions(listing, query)
        asked = replace(asked, terms=[*asked.terms, *extra])
        if listing is not filters.SYSTEM and not self._can_be(query):
            return []
        found: list[rows.Raw] = []
        for low, high in self._windows(listing, query, asked):
            found += self._page(listing, query, asked, low, high, query.limit - len(found))
            if len(found) >= query.limit:
                break
        return [make(raw) for raw in found]

    def _can_be(self, query: Query) -> bool:
        """Whether anything was ever there that this asks for. If not, no history is read."""
        finished = [state for state in query.states if state in FINISHED]
        if finished and len(finished) == len(query.states):
            ever = dict(zip(_ENDS, self._rows(_SQL["finished"])[0], strict=True))
            if not any(ever[state] for state in finished):
                return False
        names = (query.source, query.route, query.actor)
        return not any(names) or bool(self._rows(_SQL["is_known"], names)[0][0])

    def _page(
        self, listing: Listing, query: Query, asked: Conditions, low: int, high: int, limit: int
    ) -> Sequence[rows.Raw]:
        return self._rows(page_sql(listing, query, asked), (*asked.values, low, high, limit))

    def _windows(self, listing: Listing, query: Query, asked: Conditions) -> Iterator[tuple[int, int]]:
        """Which numbers to look at, in order: above the first, up to the second."""
        first, last = self._rows(_SQL[f"{listing.name}_span"])[0]
        if first is None:
            return
        low = first - 1 if query.after is None else max(int(query.after or 0), first - 1)
        if asked.narrow:
            yield low, last
        elif query.after is not None:
            for start in range(low, last, WINDOW):
                yield start, min(start + WINDOW, last)
        else:
            for high in range(last, low, -WINDOW):
                yield max(high - WINDOW, low), high
                if query.since is not None and self._before(listing, high - WINDOW, query.since):
                    return

    def _before(self, listing: Listing, seq: int, since: int) -> bool:
        """Whether all up to this number is older than `since`."""
        return all(at < since for (at,) in self._rows(_SQL[f"{listing.name}_time"], (seq,)))

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except apsw.Error as exc:
            raise translated(exc, self._place.name) from exc


def page_sql(listing: Listing, query: Query, asked: Conditions) -> str:
    """One page of a list. After the values of `asked` it takes two numbers and a limit."""
    # The plus keeps SQLite from walking the table by number where an index leads to a few rows.
    seq = f"+{listing.table}.seq" if asked.narrow else f"{listing.table}.seq"
    where = " AND ".join([*asked.terms, f"{seq} > ?", f"{seq} <= ?"])
    order = "DESC" if query.after is None else "ASC"
    rows = _SQL[listing.light if listing.light and not query.payloads else listing.name]
    return f"{rows} WHERE {where} ORDER BY {seq} {order} LIMIT ?"
