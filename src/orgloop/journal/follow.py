"""Following the journal: everything that was written since a moment, as records, in order.

Loggers and `orgloop logs` both stand on this, so they cannot tell different stories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orgloop.core.records import from_journal
from orgloop.core.records.from_journal import Happened
from orgloop.core.records.record import Record, RecordPhase
from orgloop.journal.model import START, Cursor, DeliveryRow, EventRow, Query, StepRow
from orgloop.journal.protocols import Reader

PAGE: Final = 200
"""Events, and things that happened to deliveries, that are read at once."""

COUNTED: Final = 50_000
"""The most events that are counted back from the end; farther back is the beginning."""

PREPARED: Final = frozenset({Happened.READY, Happened.DROP, Happened.HOLD})
"""After these, a delivery's transforms have something to tell."""


class Follower:
    """A place in the journal that moves on with each `next`. It owns its reader."""

    def __init__(
        self,
        reader: Reader,
        *,
        event: Cursor,
        delivery: Cursor,
        step: Cursor,
        system: Cursor,
        trace_id: str = "",
    ) -> None:
        self._reader = reader
        self._trace_id = trace_id
        self._event = event
        self._delivery = delivery
        self._step = step
        self._system = system
        self.is_whole = False
        """Whether all that was asked for is told: nothing before its beginning could be of it."""

    @classmethod
    def at_end(cls, reader: Reader) -> Follower:
        """Only what comes from now on."""
        return cls._before(reader, Query(limit=1))

    @classmethod
    def since(cls, reader: Reader, at: int) -> Follower:
        """What was written at `at` (ms since 1970) or later."""
        return cls._before(reader, Query(limit=1, until=at))

    @classmethod
    def last(
        cls, reader: Reader, events: int, *, source: str = "", route: str = "", actor: str = ""
    ) -> Follower:
        """All that happened since the first of the last so many events of this source, route and actor.

        If there are not so many, or more are asked for than it counts, it `is_whole`.
        """
        query = Query(limit=events, source=source, route=route, actor=actor, payloads=False)
        newest = reader.events(query) if 0 < events <= COUNTED else []
        if events and len(newest) < events:
            # That is all there is. What the daemon told of itself, or of a source, came before it.
            if route or actor:
                follower = cls.since(reader, newest[-1].at) if newest else cls.at_end(reader)
            else:
                follower = cls.since(reader, 0)
            follower.is_whole = True
            return follower
        return cls.since(reader, newest[-1].at) if newest else cls.at_end(reader)

    @classmethod
    def of_trace(cls, reader: Reader, trace_id: str) -> Follower:
        """Only one trace, from its beginning."""
        return cls(reader, event=START, delivery=START, step=START, system=START, trace_id=trace_id)

    @classmethod
    def _before(cls, reader: Reader, query: Query) -> Follower:
        # The daemon's own records first: they follow from nothing else.
        system = reader.system(query)
        steps, deliveries, events = reader.steps(query), reader.deliveries(query), reader.events(query)
        return cls(
            reader,
            event=events[0].cursor if events else START,
            delivery=deliveries[0].cursor if deliveries else START,
            step=steps[0].cursor if steps else START,
            system=system[0].cursor if system else START,
        )

    def next(self) -> list[Record]:
        """The next records, oldest first; empty if there is nothing new."""
        while True:
            # Steps are read first: an event that is written meanwhile comes in the next page, with its steps.
            steps = self._reader.steps(self._query(self._step, PAGE))
            events = self._reader.events(self._query(self._event, PAGE))
            # A trace has none of its own.
            system = [] if self._trace_id else self._reader.system(Query(after=self._system, limit=PAGE))
            records_of = [from_journal.of_system(entry) for entry in system]
            # A start comes before all of its millisecond, everything else after what it follows from.
            records = [record for record in records_of if record.phase is RecordPhase.RUNTIME_START]
            self._system = system[-1].cursor if system else self._system
            for event, deliveries in self._with_deliveries(events):
                records += from_journal.of_event(event, deliveries, event.at)
            # Behind what they follow from, if both were in the same millisecond.
            records += [record for step in steps for record in self._of_step(step)]
            records += [record for record in records_of if record.phase is not RecordPhase.RUNTIME_START]
            self._step = steps[-1].cursor if steps else self._step
            self._event = events[-1].cursor if events else self._event
            # A whole page may tell nothing, as when all that waits is prepared again.
            if records or not (steps or events):
                return sorted(records, key=lambda record: record.at)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

    def _query(self, after: Cursor, limit: int) -> Query:
        return Query(after=after, limit=limit, trace_id=self._trace_id, payloads=False)

    def _with_deliveries(self, events: Sequence[EventRow]) -> list[tuple[EventRow, list[DeliveryRow]]]:
        """Each event with its deliveries; both were written in the same order."""
        of_event: dict[str, list[DeliveryRow]] = {event.id: [] for event in events if event.routes}
        missing = sum(event.routes for event in events)
        while missing > 0:
            page = self._reader.deliveries(self._query(self._delivery, min(missing, PAGE)))
            if not page:
                break
            for delivery in page:
                of_event.setdefault(delivery.event_id, []).append(delivery)
                self._delivery = delivery.cursor
            missing -= len(page)
        return [(event, of_event.get(event.id, [])) for event in events]

    def _of_step(self, step: StepRow) -> list[Record]:
        records_of = from_journal.of_step(step)
        if step.transition not in PREPARED:
            return records_of
        delivery, event = self._reader.delivery(step.delivery_id), self._reader.event(step.event_id)
        if delivery is None or event is None:
            return records_of
        return from_journal.of_prepared(event, delivery) + records_of
