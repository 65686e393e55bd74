"""How long to wait before the next try: of a delivery that failed, and of an actor that is not there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how far apart a waking is tried. `backoff` is exponential, linear or fixed."""

    max_attempts: int = 8
    backoff: str = "exponential"
    initial_delay_ms: int = 5_000
    max_delay_ms: int = 900_000


def retry_delay(attempt: int, policy: RetryPolicy, random: float) -> int:
    """Milliseconds before try number `attempt + 1`: the backoff, capped, with its last half as jitter."""
    match policy.backoff:
        case "fixed":
            base = policy.initial_delay_ms
        case "linear":
            base = policy.initial_delay_ms * attempt
        case _:
            base = policy.initial_delay_ms * 2 ** min(attempt - 1, 40)
    base = min(base, policy.max_delay_ms)
    return int(base * (0.5 + 0.5 * random))


def pause_delay(tries: int, random: float) -> int:
    """Milliseconds to leave an unavailable actor alone after `tries` unanswered probes: 0.5 s up to 30 s."""
    return int(min(30_000, 500 * 2 ** min(tries - 1, 10)) * (0.75 + 0.25 * random))
