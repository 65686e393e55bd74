"""A new configuration takes over: what waits is held, released, re-pointed or prepared again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, assert_never

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Hold, HoldReason, Prepare, Released
from orgloop.core.text.json_text import dump_json
from orgloop.journal.model import AppliedRow
from orgloop.journal.verbs import breakers, ledger, members, moves, pausing
from orgloop.journal.verbs.transaction import Transaction, listed

_GONE: Final = Hold(reason=HoldReason.REMOVED, detail="its route is no longer in the project")
_BACK: Final = Released(by="its route, which is back")


def apply(
    tx: Transaction,
    applied: AppliedRow,
    routes: Mapping[str, str],
    actors: Mapping[str, bool],
    changed: Collection[str],
    now: int,
    *,
    closed: Collection[str] = (),
    bounded: Collection[str] = (),
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Mapping[str, int]:
    """Record what is applied and bind what waits to it. Counts: renamed, held, released, repointed, prepared.

    `renamed` gives the new name of a route by its old one.
    Nobody waits for an actor that is gone: its pause ends. The circuit breakers of `closed` are closed.
    What waits of the routes in `bounded` counts from now on.
    """
    tx.flush()
    tx.change(
        "apply",
        (tx.next(), applied.at, applied.project, applied.root, dump_json(applied.snapshot).decode()),
    )
    tx.change("keep_applied")
    ledger.end_all_waits(tx, now)
    for actor in [actor for actor in tx.pauses if actor not in actors]:
        moves.end_pause(tx, actor, now)
    for actor in closed:
        breakers.close(tx, actor, now)
    counts: Counter[str] = Counter()
    for old, new in renamed.items():
        if moved := _rename(tx, old, new):
            counts["renamed"] += moved
    binding = _Binding(routes, actors, changed)
    waiting = tx.rows("waiting_work")
    found = ((row[0], binding.decide(_Standing(*row[1:]))) for row in waiting)
    waits = [row[0] for row in waiting if row[1] in bounded and row[4] in (State.PREPARING, State.PENDING)]
    if waits:
        tx.change("set_all_counted", (listed(waits),))
    for seq, decided in [(seq, decided) for seq, decided in found if decided is not None]:
        counts.update(_bind(tx, seq, decided, now))
    return dict(counts)


def _rename(tx: Transaction, old: str, new: str) -> int:
    """The unfinished work of a route goes on under its new name. Returns how much that is."""
    moved = tx.change("rename_work", (old, new))
    pausing.rename(tx, old, new)
    for query in ("rename_owned", "rename_charges", "rename_runs", "rename_unfinished"):
        tx.change(query, (old, new))
    tx.change("forget_unfinished", (old,))
    return moved


@dataclass(frozen=True, slots=True)
class _Standing:
    """What decides about a delivery that waits. The order of its fields is the query's."""

    route: str
    actor: str
    runs: int
    state: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class _Decision:
    """What becomes of it: another actor (and whether that has runs), a move, or both."""

    actor: tuple[str, bool] | None
    transition: Hold | Prepare | Released | None


@dataclass(frozen=True, slots=True)
class _Binding:
    """The new configuration, as far as it concerns work that waits."""

    routes: Mapping[str, str]
    actors: Mapping[str, bool]
    changed: Collection[str]

    def decide(self, row: _Standing) -> _Decision | None:
        """What becomes of it, or None if it stays as it is."""
        if row.route not in self.routes:
            waits_for_a_person = row.state in (State.HELD, State.DEAD)
            return None if waits_for_a_person else _Decision(None, _GONE)
        actor, transition = self._actor(row), self._transition(row)
        return None if actor is None and transition is None else _Decision(actor, transition)

    def _actor(self, row: _Standing) -> tuple[str, bool] | None:
        """Its route's actor, unless the one that has tried it is still there."""
        stays = row.attempts > 0 and row.actor in self.actors
        actor = row.actor if stays else self.routes[row.route]
        runs = self.actors[actor]
        return None if (actor, runs) == (row.actor, bool(row.runs)) else (actor, runs)

    def _transition(self, row: _Standing) -> Prepare | Released | None:
        is_back = row.state == State.HELD and row.reason == HoldReason.REMOVED
        if row.attempts > 0:
            return _BACK if is_back else None
        is_changed = row.state == State.PENDING and row.route in self.changed
        return Prepare() if is_back or is_changed else None


def _bind(tx: Transaction, seq: int, decided: _Decision, now: int) -> list[str]:
    """Do what was decided; returns what to count it as."""
    counted = []
    if decided.actor is not None:
        moves.repoint(tx, moves.load(tx, seq), *decided.actor, now)
        counted.append("repointed")
    row = moves.load(tx, seq)
    match decided.transition:
        case None:
            return counted
        case Hold():
            counted.append("held")
        case Prepare() | Released():
            counted.append("released" if row.state is State.HELD else "prepared")
        case _:
            assert_never(decided.transition)
    if isinstance(decided.transition, Prepare) and row.members > 1:
        # Each is prepared by itself: it may have another key now, or be dropped.
        for seq in members.dissolve(tx, row.seq):
            moves.happen(tx, moves.load(tx, seq), decided.transition, now)
            counted.append(counted[-1])
        row = moves.load(tx, row.seq)
    moves.happen(tx, row, decided.transition, now)
    return counted
