"""What a verb writes through: a transaction of a store, and what is summed up before it commits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import orjson

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import ParkedRow, PauseKind, PauseRow

Values = tuple[Any, ...]


class Tx(Protocol):
    """One transaction of a store: named statements, and numbers.

    What a statement says in its database's own words is the store's affair. Lists travel as JSON: see
    `listed`.
    """

    @property
    def project(self) -> str:
        """The project whose rows are written."""
        ...

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """All rows that the statement brings."""
        ...

    def one(self, name: str, values: Values = ()) -> Any:
        """The first row, or None."""
        ...

    def value(self, name: str, values: Values = ()) -> Any:
        """The first row's only column, or None."""
        ...

    def change(self, name: str, values: Values = ()) -> int:
        """Run the statement. How many rows changed."""
        ...

    def change_each(self, name: str, rows: Sequence[Values]) -> int:
        """Run it for each of these, in this order. A store may do many at once. How many rows changed."""
        ...

    def next(self, count: int = 1) -> int:
        """Draw so many numbers; returns the first. They only grow, for all tables; a failure leaves a gap."""
        ...


class Transaction:
    """A `Tx` whose new rows are kept back and sent together; `flush` sends them now."""

    __slots__ = (
        "_deliveries",
        "_events",
        "_failing",
        "_parked",
        "_paused",
        "_queues",
        "_routes",
        "_sources",
        "_steps",
        "change",
        "change_each",
        "next",
        "one",
        "project",
        "rows",
        "value",
        "waiting",
    )

    def __init__(self, tx: Tx) -> None:
        # Bound here, not called through: every verb takes this way.
        self.rows = tx.rows
        self.one = tx.one
        self.value = tx.value
        self.change = tx.change
        self.change_each = tx.change_each
        self.next = tx.next
        self.project = tx.project
        self._events: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._queues: set[tuple[str, str, int]] = set()
        self._steps: list[tuple[Any, ...]] = []
        self._sources: dict[str, list[Any]] = {}
        self._routes: dict[tuple[str, str], dict[str, Any]] = {}
        self._paused: dict[str, PauseRow] | None = None
        self._failing: set[str] | None = None
        self._parked: dict[str, ParkedRow] = {}
        self.waiting: dict[str, int] = {}
        """How many deliveries of bounded routes wait, as far as somebody asked."""

    def add_event(self, row: tuple[Any, ...]) -> None:
        """A row of `insert_event`, written at the latest when the transaction ends."""
        self._events.append(row)

    def add_delivery(self, row: tuple[Any, ...], queue: tuple[str, str] | None) -> None:
        """A row of `insert_delivery`, likewise. `queue` is the actor and key whose queue it joins."""
        self._deliveries.append(row)
        if queue is not None:
            self._queues.add((*queue, 0))

    def add_step(
        self,
        *,
        at: int,
        delivery: int,
        transition: str,
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
            (self.next(), at, delivery, transition, state, attempt, began, reason, detail, *sop, run_id)
        )

    def arrived(self, source: str, at: int, events: int) -> None:
        """So many new events came from a source."""
        sums = self._sources.setdefault(source, [None, 0])
        if events:
            sums[0] = at
            sums[1] += events

    def fired(self, route: str, actor: str, at: int) -> None:
        """A route made a delivery for an actor."""
        sums = self._sums(route, actor)
        sums["fired"] += 1
        sums["at"] = at

    def finished(self, route: str, actor: str, state: State) -> None:
        """A delivery of a route came to an end."""
        self._sums(route, actor)[state] += 1

    def repointed(self, route: str, before: str, after: str, count: int) -> None:
        """So many unfinished deliveries of a route have another actor."""
        self.change_each("count_unfinished", [(route, before, -count), (route, after, count)])

    @property
    def pauses(self) -> Mapping[str, PauseRow]:
        """The pauses of all actors that cannot be reached."""
        return self._look_at_pauses()

    @property
    def parked(self) -> Mapping[str, ParkedRow]:
        """The accounts whose work waits."""
        self._look_at_pauses()
        return self._parked

    @property
    def has_pauses(self) -> bool:
        """Whether an actor is paused or an account parked."""
        return bool(self._look_at_pauses() or self._parked)

    def paused(self, actor: str) -> PauseRow | None:
        """The actor's pause, if it has one."""
        return self.pauses.get(actor)

    def pause(self, row: PauseRow) -> None:
        """Write or extend a pause."""
        self.change("pause", (row.actor, row.since, row.until, row.tries, row.reason, row.kind))
        self._paused = None

    def resume(self, actor: str) -> None:
        """End a pause."""
        self.change("resume", (actor,))
        self._paused = None

    def failing(self, actor: str) -> bool:
        """Whether the actor has failed since it worked."""
        if self._failing is None:
            self._failing = {name for (name,) in self.rows("failing")}
        return actor in self._failing

    def count_failure(self, actor: str, at: int) -> int:
        """The actor has failed once more. How often in a row."""
        self._failing = None
        count: int = self.value("count_failure", (actor, at))
        return count

    def forget_failures(self, actor: str) -> None:
        """The actor works."""
        self.change("forget_failures", (actor,))
        self._failing = None

    def forget_pauses(self) -> None:
        """They, or parked accounts, were written by somebody else: look again."""
        self._paused = None

    def _look_at_pauses(self) -> Mapping[str, PauseRow]:
        if self._paused is None:
            paused: dict[str, PauseRow] = {}
            self._parked = {}
            for which, name, since, until, number, reason, kind, probe, token in self.rows("pauses"):
                if which:
                    self._parked[name] = ParkedRow(
                        account=name,
                        since=since,
                        until=until,
                        by_person=bool(number),
                        reason=reason,
                        probe=None if probe is None else (probe, token),
                    )
                else:
                    paused[name] = PauseRow(
                        actor=name,
                        since=since,
                        until=until,
                        tries=number,
                        reason=reason,
                        kind=PauseKind(kind),
                    )
            self._paused = paused
        return self._paused

    def flush(self) -> None:
        """Send what was kept back, so that the statements that follow see it."""
        if self._events:
            self.change_each("insert_event", self._events)
            self._events.clear()
        if self._deliveries:
            self.change_each("insert_delivery", self._deliveries)
            self._deliveries.clear()
        if self._queues:
            self.change_each("promote", list(self._queues))
            self._queues.clear()
        if self._steps:
            self.change_each("insert_step", self._steps)
            self._steps.clear()
        for source, (at, events) in self._sources.items():
            self.change("count_events", (source, at, events))
        self._sources.clear()
        unfinished = []
        for (route, actor), sums in self._routes.items():
            fired, at, *finished = sums.values()
            self.change("count_route", (route, fired, at, *finished))
            more = fired - sum(finished)
            if fired or more:
                unfinished.append((route, actor, more))
        self._routes.clear()
        self.change_each("count_unfinished", unfinished)

    def _sums(self, route: str, actor: str) -> dict[str, Any]:
        sums = self._routes.get((route, actor))
        if sums is None:
            sums = self._routes[route, actor] = {
                "fired": 0,
                "at": None,
                State.DELIVERED: 0,
                State.DROPPED: 0,
                State.DISCARDED: 0,
            }
        return sums


Work = Callable[[Transaction], Any]
"""What runs inside a transaction. It may run twice: a group that fails is run again one by one."""


class Joint(ABC):
    """Work that is done together with its neighbours of the same class."""

    @abstractmethod
    def __call__(self, tx: Transaction) -> Any:
        """Do it alone."""

    @classmethod
    @abstractmethod
    def together(cls, tx: Transaction, works: Sequence[Self]) -> Sequence[Any]:
        """Do all of these; what each returns. If it raises, each is done alone."""


def listed(values: Sequence[int] | Sequence[str]) -> str:
    """A list as one value of a statement."""
    return orjson.dumps(values).decode()
