"""The keys that a delivery owns for a while: what comes later with one of them is its duplicate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orgloop.core.text.json_text import dump_json, load_json
from orgloop.journal.verbs.transaction import Transaction


def claim_keys(
    tx: Transaction,
    route: str,
    delivery: str,
    at: int,
    once: Iterable[tuple[str, int]],
    *,
    passes: bool = True,
) -> str:
    """Make the delivery the owner of its keys, or return the id of the one that owns one of them already.

    `at` is when the delivery was accepted. A window that has passed to the millisecond is over. Only what
    `passes` owns anything: what is turned away or held would keep others out, although no actor saw it. One
    that is prepared again may find a later owner: it takes nothing from that one.
    """
    taken = []
    for key, window in once:
        owner, since = tx.one("owner", (route, key)) or ("", at)
        if owner not in ("", delivery) and abs(at - since) < window:
            return str(owner)
        if not owner or (owner != delivery and since < at):
            taken.append((route, key, at, at + window, delivery))
    if passes:
        tx.change_each("own", taken)
    return ""


def free_keys(tx: Transaction, route: str, delivery: str, once: str | None) -> None:
    """The delivery owns none of its keys any more."""
    tx.change_each("disown", [(route, key, delivery) for key, _ in keys_of(once)])


def keys_of(once: str | None) -> Sequence[tuple[str, int]]:
    """The keys of a delivery and their windows, from how they are stored."""
    found: Sequence[tuple[str, int]] = load_json(once) if once is not None else ()
    return found


def once_json(once: Sequence[tuple[str, int]]) -> str | None:
    """The same, as it is stored."""
    return dump_json(once).decode() if once else None


def steps_json(steps: Sequence[Mapping[str, Any]]) -> str | None:
    """What the transforms did, as it is stored."""
    return dump_json(steps).decode() if steps else None
