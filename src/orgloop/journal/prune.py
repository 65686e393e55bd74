"""Forgetting: finished work and identities whose time is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from orgloop.journal import statements
from orgloop.journal.transaction import Transaction

_SQL: Final = statements.load("operate.sql")


def prune(tx: Transaction, before: int, seen_before: int, limit: int) -> int:
    """Delete up to `limit` events that were finished before that time, with all that hangs on them.

    An event stays while any of its deliveries can still be waited for, tried or released. Keys
    stay owned, after their window, for as long as identities are remembered: what was accepted
    within the window may be prepared late. Returns how many events went, or `limit` if more identities
    or keys can go.
    """
    tx.flush()
    tx.execute(_SQL["raise_floor"], (tx.sequence.last,))
    events = _finished(tx, before, limit)
    if events:
        page = orjson.dumps(events).decode()
        sops = [hash_ for (hash_,) in tx.execute(_SQL["doomed_sops"], (page,))]
        for query in ("delete_steps", "delete_runs", "delete_deliveries", "delete_events"):
            tx.execute(_SQL[query], (page,))
        tx.execute(_SQL["delete_sops"], (orjson.dumps(sops).decode(),))
    most = limit * 4
    known = [
        tx.execute(_SQL[query], (seen_before, most)).connection.changes()
        for query in ("delete_seen", "delete_owned")
    ]
    tx.execute(_SQL["shrink"]).fetchall()
    return limit if most in known else len(events)


def _finished(tx: Transaction, before: int, limit: int) -> Sequence[int]:
    found: list[int] = []
    rows = tx.execute(_SQL["oldest_events"], (before,))
    for seq, at, goes_on in rows:
        if at >= before or len(found) == limit:
            break
        if not goes_on:
            found.append(seq)
    rows.close()
    return found
