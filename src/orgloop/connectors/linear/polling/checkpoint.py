"""How far a polled source has come: Linear's own times, and the facts of the time that is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from orgloop.plugin import DAY, NotJson, dump_json, load_json

MOST_SEEN: Final = 1_000
"""Facts that are remembered for each kind. What is beyond, the journal knows by its key."""

BACK: Final = DAY
"""How long (ms) before the place that was read a fact may have been. Linear may list it by a later time."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadSoFar:
    """One kind, in ms since 1970: `at` is how far it was read; facts before `floor` never count.

    `seen` are short names of facts that were told, and of things that were read, as they were then.
    """

    at: int
    floor: int
    seen: tuple[str, ...] = ()

    def reached(self, at: int, *, ended: bool, facts: Iterable[str]) -> ReadSoFar:
        """Read up to there; it never goes back. `ended`: nothing is left to be read."""
        at = max(at, self.at)
        known = set(self.seen)
        fresh = [name for name in dict.fromkeys(map(short, facts)) if name not in known]
        floor = max(self.floor, at - BACK) if ended else self.floor
        return replace(self, at=at, floor=floor, seen=(*self.seen, *fresh)[-MOST_SEEN:])


def short(fact: str) -> str:
    """A short name of a fact's key."""
    return hashlib.sha256(fact.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def millis(value: Any) -> int | None:
    """Linear's time, such as 2026-01-05T10:00:00.000Z, in ms since 1970; None if it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        time = datetime.fromisoformat(value)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def iso(at: int) -> str:
    """Milliseconds since 1970 as Linear writes times."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dump(progress: Mapping[str, ReadSoFar]) -> str:
    """A checkpoint."""
    kinds = {
        kind: {"at": iso(one.at), "from": iso(one.floor), "seen": list(one.seen)}
        for kind, one in progress.items()
    }
    return dump_json({"kinds": kinds}).decode()


def load(checkpoint: str | None) -> dict[str, ReadSoFar]:
    """The kinds of a checkpoint. What cannot be read counts as never polled, so that it heals."""
    try:
        data = load_json(checkpoint) if checkpoint else {}
    except NotJson:
        return {}
    kinds = data.get("kinds") if isinstance(data, dict) else None
    read = {kind: _progress(one) for kind, one in (kinds.items() if isinstance(kinds, dict) else ())}
    return {kind: one for kind, one in read.items() if one is not None}


def _progress(data: Any) -> ReadSoFar | None:
    known = data if isinstance(data, dict) else {}
    at, floor, seen = millis(known.get("at")), millis(known.get("from")), known.get("seen")
    if at is None or floor is None:
        return None
    listed = seen if isinstance(seen, list) else []
    return ReadSoFar(at=at, floor=floor, seen=tuple(one for one in listed if isinstance(one, str)))
