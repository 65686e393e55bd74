"""Runs that are jobs of another system: what was sent, what that system calls them, and what it reports."""

from __future__ import annotations

from orgloop.core.text.json_text import dump_json
from orgloop.journal.model import RunBegun
from orgloop.journal.verbs import moves
from orgloop.journal.verbs.accept import accept
from orgloop.journal.verbs.runs import remember
from orgloop.journal.verbs.transaction import Transaction


def begun(tx: Transaction, begun: RunBegun) -> bool:
    """The other system has the run; False if it has ended. That ends its actor's pause."""
    ref = dump_json(begun.ref).decode()
    if not tx.change("run_begun", (begun.run_id, ref)):
        return False
    found = tx.one("open_run", (begun.run_id,))
    if found is not None and found[2] is not None and begun.session_id is not None:
        remember(tx, found[1], found[2], begun.session_id, begun.run_id, begun.at)
    actor, _ = tx.one("begun_session", (begun.run_id, begun.session_id, begun.at, begun.ref["id"]))
    moves.end_pause(tx, actor, begun.at)
    accept(tx, begun.follow_up)
    tx.flush()
    return True


def called_back(tx: Transaction, run_id: str, result: bytes, at: int) -> bool:
    """Keep the end that a callback brought; False if there is one already, or the run has ended."""
    return bool(tx.change("run_called_back", (run_id, at, result)))


def stop(tx: Transaction, run_id: str, at: int) -> bool:
    """Note that somebody asked to end a run; False if it has ended."""
    return bool(tx.change("stop_run", (run_id, at)))
