"""What becomes of a delivery while others of its route and key have not finished."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OnBusy(StrEnum):
    """`then.on_busy` of a route."""

    QUEUE = "queue"
    """It waits behind them."""
    REPLACE_PENDING = "replace_pending"
    """It takes the place of those that wait and were never tried."""
    CANCEL_IN_PROGRESS = "cancel_in_progress"
    """It takes the place of all that wait, and their runs are stopped."""
    SKIP = "skip"
    """It is dropped if there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """How one delivery meets others of its route with the same `key`. `on_busy` is not `queue`."""

    key: str
    on_busy: OnBusy
