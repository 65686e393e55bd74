"""Times as APIs and feeds write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 60
_MS_FROM: Final = 100_000_000_000
"""A number from here on counts milliseconds: as seconds it would be the year 5138."""

_MOST: Final = 253_402_300_799_999
"""The end of the year 9999 in ms."""


def millis(value: Any) -> int | None:
    """ISO 8601, the form of mail, or a number since 1970, in ms since 1970; None for anything else."""
    if isinstance(value, str) and len(value) <= _LONGEST:
        text = value.strip()
        return _number(text) if text.isascii() and text.isdigit() else _written(text)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(value)
    return None


def iso(at: int) -> str:
    """`2026-01-05T12:00:00Z`, with milliseconds only if there are some."""
    form = "milliseconds" if at % 1000 else "seconds"
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec=form).replace("+00:00", "Z")


def _number(value: Any) -> int | None:
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal(str(value))
        ms = int(number if number >= _MS_FROM else number * 1000)
    except (ArithmeticError, ValueError, OverflowError):
        return None
    return ms if 0 <= ms <= _MOST else None


def _written(text: str) -> int | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            time = read(text)
            return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
        except (ValueError, OverflowError, TypeError):
            continue
    return None
