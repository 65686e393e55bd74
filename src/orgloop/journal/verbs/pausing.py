"""Pauses that a person makes: nothing of a route, or of an actor, is claimed until they are over.

A pause is a scope that is full, so its time is no part of the age of what waits. Only a person or its own
end ends it: not the end of a run, not a restart, not another configuration.
"""

from __future__ import annotations

from orgloop.core.deliveries.admission import NEVER, LimitScope, ScopeLevel, Unit, WaitCause, Waiting, Window
from orgloop.journal.verbs import ledger
from orgloop.journal.verbs.transaction import Transaction


def pause(tx: Transaction, scope: LimitScope, until: int | None, by: str, now: int) -> None:
    """Pause it, or give its pause another end and reason."""
    waiting = Waiting(
        scope=scope,
        unit=Unit.WAKES,
        window=Window.AT_ONCE,
        limit=0,
        until=NEVER if until is None else until,
        setting=by,
        cause=WaitCause.PAUSED,
    )
    ledger.wait(tx, waiting, now)


def unpause(tx: Transaction, scope: LimitScope, now: int) -> bool:
    """Let its work go on. False if it was not paused."""
    ended = tx.rows("end_pause_of", (scope.level, scope.name))
    for _, _, _, since in ended:
        ledger.note_waited(tx, scope, since, now)
    return bool(ended)


def rename(tx: Transaction, old: str, new: str) -> None:
    """A route has another name: if it is paused, it stays so."""
    tx.change("rename_pause", (ScopeLevel.ROUTE, old, new))
