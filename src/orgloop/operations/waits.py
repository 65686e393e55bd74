"""Why a delivery waits: what the journal says of it, and what the daemon found when it last looked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orgloop.core.delivery import State
from orgloop.core.units import humanize
from orgloop.operations.words import one_line

if TYPE_CHECKING:
    from orgloop.journal.model import DeliveryRow, PauseRow
    from orgloop.journal.protocols import Reader

OPEN: Final = (State.PREPARING, State.PENDING, State.RUNNING, State.STARTED)
"""States that block a key."""

MOST: Final = 1_000
"""Deliveries that are looked at for the one that a delivery waits behind, the oldest first."""


class Waits:
    """Answers for any number of deliveries; the daemon is asked once, and only if something waits."""

    def __init__(self, reader: Reader, now: int, ask: Callable[[], Mapping[str, str] | None]) -> None:
        """`ask` says what keeps each actor's next work waiting; None if no daemon runs."""
        self._ask = ask
        self._reader = reader
        self._now = now
        self._heads_of: dict[str, Mapping[str | None, DeliveryRow]] = {}

    def why(self, row: DeliveryRow) -> str:
        """One sentence; empty if it waits for nothing that is known, or does not wait at all."""
        if row.state not in (State.PREPARING, State.PENDING):
            return ""
        if self._daemon is None:
            return "no daemon runs: it goes on with the next `orgloop start`"
        if row.state is State.PREPARING:
            return "its transforms are at work"
        if not row.head:
            return self._behind(row)
        pause = self._pauses.get(row.actor)
        if pause is not None:
            again = f", tried again in {humanize(pause.until - self._now)}" if pause.until > self._now else ""
            reason = f": {one_line(pause.reason)}" if not row.detail else ""
            return f"{row.actor} does not answer{again}{reason}"
        if row.due > self._now:
            return f"tried again in {humanize(row.due - self._now)}"
        return one_line(self._daemon.get(row.actor, ""))

    def _behind(self, row: DeliveryRow) -> str:
        head = self._heads(row.actor).get(row.key)
        return f"behind {head.id} of its key, which is {head.state}" if head else "behind others of its key"

    def _heads(self, actor: str) -> Mapping[str | None, DeliveryRow]:
        """By key what comes first, of an actor's oldest open work; read once."""
        from orgloop.journal.model import START, Query

        if actor not in self._heads_of:
            query = Query(actor=actor, states=OPEN, after=START, limit=MOST)
            self._heads_of[actor] = {one.key: one for one in self._reader.deliveries(query) if one.head}
        return self._heads_of[actor]

    @cached_property
    def _pauses(self) -> Mapping[str, PauseRow]:
        return {pause.actor: pause for pause in self._reader.pauses()}

    @cached_property
    def _daemon(self) -> Mapping[str, str] | None:
        return self._ask()
