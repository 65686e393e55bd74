"""What became of work that a person let go on: known only once a daemon has taken it up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import DeliveryRow
from orgloop.journal.protocols import Reader

PATIENCE: Final = 10.0
"""Seconds that it gets to be taken up."""

LOOK: Final = 0.05
"""Seconds between two looks."""

ASK: Final = 1.0
"""Seconds after which, and between which, it is asked why what is not taken up waits."""

_UNDECIDED: Final = frozenset({State.PREPARING, State.PENDING, State.RUNNING})


def what_became(
    reader: Reader,
    ids: Iterable[str],
    why: Callable[[DeliveryRow], str],
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, DeliveryRow]:
    """Each of these as it stands once it is known what became of it, or once the patience is over.

    Known is what has been taken up and has an end or a run, what waits again, and what `why` says a reason
    for: its turn comes later. What was deleted meanwhile is left out.
    """
    found: dict[str, DeliveryRow] = {}
    open_ids = list(dict.fromkeys(ids))
    began = asked = time.monotonic()
    while True:
        rows = {id: row for id in open_ids if (row := reader.delivery(id)) is not None}
        found |= rows
        open_ids = [id for id, row in rows.items() if row.state in _UNDECIDED]
        now = time.monotonic()
        if open_ids and now - asked >= ASK:
            asked = now
            open_ids = [id for id in open_ids if not why(rows[id])]
        if not open_ids or now - began >= patience:
            return found
        sleep(LOOK)
