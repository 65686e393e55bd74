"""One transaction in the making: its statements, the sequence, and what is summed up before it commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from orgloop.core.delivery import State
from orgloop.journal import statements
from orgloop.journal.model import PauseRow
from orgloop.journal.statements import Bulk

_ACCEPT: Final = statements.load("accept.sql")
_MOVES: Final = statements.load("moves.sql")

_EVENTS: Final = Bulk(_ACCEPT["insert_event"])
_DELIVERIES: Final = Bulk(_ACCEPT["insert_delivery"])
_STEPS: Final = Bulk(_MOVES["insert_step"])


class Sequence:
    """Numbers that only grow, for every table. A transaction that fails leaves a gap."""

    __slots__ = ("last",)

    def __init__(self, last: int) -> None:
        self.last = last

    def next(self) -> int:
        """The next number."""
        self.last += 1
        return self.last


class Transaction:
    """What the verbs write through. New rows are sent in bulk; `flush` sends them now."""

    __slots__ = (
        "_deliveries",
        "_events",
        "_paused",
        "_queues",
        "_routes",
        "_sources",
        "_steps",
        "execute",
        "executemany",
        "next",
        "project",
        "sequence",
    )

    def __init__(self, connection: apsw.Connection, sequence: Sequence, project: str) -> None:
        self.execute: Callable[..., Any] = connection.execute
        self.executemany: Callable[..., Any] = connection.executemany
        self.sequence = sequence
        self.next = sequence.next
        self.project = project
        self._events: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._queues: set[tuple[str, str]] = set()
        self._steps: list[tuple[Any, ...]] = []
        self._sources: dict[str, list[Any]] = {}
        self._routes: dict[str, dict[str, Any]] = {}
        self._paused: dict[str, PauseRow] | None = None

    def add_event(self, row: tuple[Any, ...]) -> None:
        """A row of `insert_event`, written at the latest when the transaction ends."""
        self._events.append(row)

    def add_delivery(self, row: tuple[Any, ...], queue: tuple[str, str] | None) -> None:
        """A row of `insert_delivery`, likewise. `queue` is the actor and key whose queue it joins."""
        self._deliveries.append(row)
        if queue is not None:
            self._queues.add(queue)

    def add_step(
        self,
        *,
        at: int,
        delivery: int,
        happening: str,
        state: State,
        attempt: int,
        reason: str = "",
        detail: str = "",
        began: int | None = None,
        sop: tuple[str | None, str | None] = (None, None),
        run_id: str | None = None,
    ) -> None:
        """What happened to a delivery (by seq). `sop` is hash and file."""
        self._steps.append(
            (self.next(), at, delivery, happening, state, attempt, began, reason, detail, *sop, run_id)
        )

    def arrived(self, source: str, at: int, events: int) -> None:
        """So many new events came from a source."""
        sums = self._sources.setdefault(source, [None, 0])
        if events:
            sums[0] = at
            sums[1] += events

    def fired(self, route: str, at: int) -> None:
        """A route made a delivery."""
        sums = self._route(route)
        sums["fired"] += 1
        sums["at"] = at

    def finished(self, route: str, state: State) -> None:
        """A delivery of a route came to an end."""
        self._route(route)[state] += 1

    @property
    def pauses(self) -> Mapping[str, PauseRow]:
        """The pauses of all actors that nobody answers for."""
        if self._paused is None:
            rows = self.execute(_MOVES["pauses"])
            self._paused = {
                row[0]: PauseRow(actor=row[0], since=row[1], until=row[2], tries=row[3], reason=row[4])
                for row in rows
            }
        return self._paused

    def paused(self, actor: str) -> PauseRow | None:
        """The actor's pause, if nobody answers for it."""
        return self.pauses.get(actor)

    def pause(self, row: PauseRow) -> None:
        """Write or extend a pause."""
        self.execute(_MOVES["pause"], (row.actor, row.since, row.until, row.tries, row.reason))
        self._paused = None

    def resume(self, actor: str) -> None:
        """End a pause."""
        self.execute(_MOVES["resume"], (actor,))
        self._paused = None

    def forget_pauses(self) -> None:
        """They were written by somebody else: look again."""
        self._paused = None

    def flush(self) -> None:
        """Send what was kept back, so that the statements that follow see it."""
        if self._events:
            _EVENTS.run(self.execute, self._events)
            self._events.clear()
        if self._deliveries:
            _DELIVERIES.run(self.execute, self._deliveries)
            self._deliveries.clear()
        if self._queues:
            self.executemany(_MOVES["promote"], self._queues)
            self._queues.clear()
        if self._steps:
            _STEPS.run(self.execute, self._steps)
            self._steps.clear()
        for source, (at, events) in self._sources.items():
            self.execute(_ACCEPT["count_events"], (source, at, events))
        self._sources.clear()
        for route, sums in self._routes.items():
            self.execute(_ACCEPT["count_route"], (route, *sums.values()))
        self._routes.clear()

    def _route(self, route: str) -> dict[str, Any]:
        return self._routes.setdefault(
            route,
            {"fired": 0, "at": None, State.DELIVERED: 0, State.DROPPED: 0, State.DISCARDED: 0},
        )


Work = Callable[[Transaction], Any]
"""What runs inside a transaction. It may run twice: a group that fails is run again one by one.

Work of a class that has `together(tx, works)` is done with its neighbours of that class at once.
"""
