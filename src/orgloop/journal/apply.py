"""A new configuration takes over: what waits is held, released, re-pointed or prepared again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import orjson

from orgloop.core.delivery import State
from orgloop.core.happening import Hold, HoldReason, Prepare, Released
from orgloop.journal import moves, statements
from orgloop.journal.model import AppliedRow
from orgloop.journal.transaction import Transaction

_SQL: Final = statements.load("operate.sql")

_GONE: Final = Hold(reason=HoldReason.REMOVED, detail="its route is no longer in the project")
_BACK: Final = Released(by="its route, which is back")


def apply(
    tx: Transaction,
    applied: AppliedRow,
    routes: Mapping[str, str],
    actors: Mapping[str, bool],
    changed: Collection[str],
    now: int,
) -> Mapping[str, int]:
    """Record what is applied and bind what waits to it. Counts: held, released, repointed, prepared."""
    tx.flush()
    tx.execute(
        _SQL["apply"],
        (tx.next(), applied.at, applied.project, applied.root, orjson.dumps(applied.snapshot).decode()),
    )
    tx.execute(_SQL["keep_applied"])
    binding = _Binding(tx, routes, actors, changed, now)
    concerned = [
        seq
        for seq, route, actor, runs, state, reason, attempts in tx.execute(_SQL["waiting_work"])
        if binding.concerns(route, actor, bool(runs), State(state), reason, attempts)
    ]
    for seq in concerned:
        binding.bind(moves.load(tx, seq))
    return dict(binding.counts)


class _Binding:
    """What one row means under the new configuration."""

    def __init__(
        self,
        tx: Transaction,
        routes: Mapping[str, str],
        actors: Mapping[str, bool],
        changed: Collection[str],
        now: int,
    ) -> None:
        self.tx = tx
        self.routes = routes
        self.actors = actors
        self.changed = changed
        self.now = now
        self.counts: Counter[str] = Counter()

    def target(self, route: str, actor: str, attempts: int) -> str:
        """Whose work it is now: its route's actor, unless the one it has tried is still there."""
        return self.routes[route] if attempts == 0 or actor not in self.actors else actor

    def concerns(self, route: str, actor: str, runs: bool, state: State, reason: str, attempts: int) -> bool:
        """Whether anything about this row changes."""
        waits = state not in (State.HELD, State.DEAD)
        if route not in self.routes:
            return waits
        target = self.target(route, actor, attempts)
        if (target, self.actors[target]) != (actor, runs) or _is_back(state, reason):
            return True
        return attempts == 0 and state is State.PENDING and route in self.changed

    def bind(self, row: moves.Row) -> None:
        """Move the row to where it belongs now."""
        if row.route not in self.routes:
            moves.happen(self.tx, row, _GONE, self.now)
            self.counts["held"] += 1
            return
        target = self.target(row.route, row.actor, row.attempts)
        if (target, self.actors[target]) != (row.actor, bool(row.runs)):
            moves.repoint(self.tx, row, target, self.actors[target])
            self.counts["repointed"] += 1
            row = moves.load(self.tx, row.seq)
        if _is_back(row.state, row.reason):
            moves.happen(self.tx, row, Prepare() if row.attempts == 0 else _BACK, self.now)
            self.counts["released"] += 1
        elif row.attempts == 0 and row.state is State.PENDING and row.route in self.changed:
            moves.happen(self.tx, row, Prepare(), self.now)
            self.counts["prepared"] += 1


def _is_back(state: State, reason: str) -> bool:
    """Whether a row was held only because its route was gone."""
    return state is State.HELD and reason == HoldReason.REMOVED
