"""Runs that are jobs of another system: what was sent, what that system calls them, and what it reports."""

from __future__ import annotations

from orgloop.core.text.json_text import dump_json
from orgloop.journal.model import RunBegun
from orgloop.journal.verbs.transaction import Transaction


def keep_ref(tx: Transaction, begun: RunBegun) -> bool:
    """The other system has the run, and calls it so; False if it has ended."""
    if begun.ref is None or not tx.change("keep_ref", (begun.run_id, dump_json(begun.ref).decode())):
        return False
    tx.change("name_job", (begun.run_id, begun.ref["id"]))
    return True


def called_back(tx: Transaction, run_id: str, result: bytes, at: int) -> bool:
    """Keep the end that a callback brought; False if there is one already, or the run has ended."""
    return bool(tx.change("run_called_back", (run_id, at, result)))


def stop(tx: Transaction, run_id: str, at: int) -> bool:
    """Note that somebody asked to end a run; False if it has ended."""
    return bool(tx.change("stop_run", (run_id, at)))
