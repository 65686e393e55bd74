"""What plugins say, in values that the journal can keep. A plugin may put anything into its answer."""

from __future__ import annotations

from typing import assert_never

from orgloop.core.deliveries.transition import Interrupted, Outcome
from orgloop.core.text.units import MAX_DURATION
from orgloop.plugin import Delivered, Limited, Rejected, Retry, Skipped, Throttled, Unavailable
from orgloop.runtime.support.supervisor import MAX_ERROR_TEXT, error_text


def text(value: object) -> str:
    """As bounded text; what is no Unicode becomes question marks."""
    if isinstance(value, BaseException):
        return error_text(value)
    return str(value)[:MAX_ERROR_TEXT].encode("utf-8", "replace").decode()


def duration(value: object) -> int | None:
    """As whole milliseconds, if it is that many."""
    return round(value) if isinstance(value, int | float) and 0 <= value <= MAX_DURATION else None


def storable(outcome: Outcome) -> Outcome:
    """An outcome of the same kind. A time that is none becomes the usual delay, and the try counts."""
    match outcome:
        case Delivered(detail=detail):
            return Delivered(detail=text(detail))
        case Skipped(reason=reason):
            return Skipped(reason=text(reason))
        case Rejected(reason=reason):
            return Rejected(reason=text(reason))
        case Retry(reason=reason, known=known, after_ms=after):
            return Retry(reason=text(reason), known=known, after_ms=duration(after))
        case Throttled(until=until) | Limited(until=until) if duration(until) is None:
            return Retry(reason=text(outcome.reason))
        case Throttled(reason=reason, until=until):
            return Throttled(reason=text(reason), until=round(until))
        case Limited(account=account, reason=reason, until=until):
            return Limited(account=text(account), reason=text(reason), until=round(until))
        case Unavailable(reason=reason):
            return Unavailable(reason=text(reason))
        case Interrupted():
            return outcome
        case _:
            assert_never(outcome)
