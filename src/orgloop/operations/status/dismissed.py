"""What a person has seen and wants to see no more until it happens again: kept in the home."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from orgloop.operations.status.item import Item
from orgloop.project.home import Home, read_file, replace_file

KEPT: Final = 30 * 24 * 3600 * 1000
"""Milliseconds after which a dismissal is forgotten: nothing is told for so long."""


def dismissed(home: Home) -> Mapping[str, int]:
    """By the items' ids, when each was dismissed (ms since 1970). Nothing if the file cannot be read."""
    try:
        document = json.loads(read_file(home.dismissed))
        return {str(id): int(at) for id, at in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def dismiss(home: Home, ids: Iterable[str], now: int | None = None) -> None:
    """Remember that these are seen. Raises OrgLoopError if that cannot be written."""
    now = int(time.time() * 1000) if now is None else now
    known = {id: at for id, at in dismissed(home).items() if now - at < KEPT}
    home.ensure()
    with home.writing():
        replace_file(home.dismissed, json.dumps(known | dict.fromkeys(ids, now)))


def undismissed(items: Sequence[Item], seen: Mapping[str, int]) -> list[Item]:
    """Those that nobody dismissed since they happened last."""
    return [one for one in items if one.last is None or seen.get(one.id, -1) < one.last]
