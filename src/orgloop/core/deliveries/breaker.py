"""The circuit breaker of an actor: after failures in a row its work waits, and one wake at a time probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from orgloop.core.deliveries.transition import (
    Claimed,
    Delivered,
    Discarded,
    Drop,
    Hold,
    Interrupted,
    Limited,
    NotStarted,
    Prepare,
    Ready,
    Rejected,
    Released,
    Retried,
    Retry,
    RunEnded,
    Skipped,
    Started,
    Throttled,
    Transition,
    Unavailable,
)
from orgloop.core.events.session_lifecycle import RunOutcome

QUICK_MS: Final = 30_000
"""A run that fails later than this has worked. A probe that goes on for as long closes the breaker."""

LONGEST: Final = 30
"""Each failed probe doubles the cooldown, up to so many times the first one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """`circuit_breaker` of an actor."""

    failure_threshold: int = 5
    cooldown_ms: int = 30_000

    def cooldown(self, tries: int) -> int:
        """Milliseconds until the next probe, after `tries` pauses so far: 1 for the first."""
        doubled: int = 2 ** min(tries - 1, LONGEST)
        return self.cooldown_ms * min(doubled, LONGEST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """What one wake shows of its actor. `what` was tried: `runs` or `tries`; `why` it failed."""

    failed: bool
    policy: BreakerPolicy
    what: str = "tries"
    why: str = ""

    def reason(self, failures: int) -> str:
        """Why the breaker is open, for people."""
        quickly = f" within {QUICK_MS // 1000} s" if self.what == "runs" else ""
        last = f", the last: {self.why}" if self.why else ""
        return f"{failures} {self.what} in a row failed{quickly}{last}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunShown:
    """What a run showed: how it ended, how long it went on, and whether it used anything that is paid."""

    outcome: str
    lasted_ms: int
    progress: bool


def sign_of(
    transition: Transition, policy: BreakerPolicy | None, why: str, run: RunShown | None = None
) -> Sign | None:
    """What the end of a try or of a run shows. None: nothing, or the actor has no breaker.

    What says that the actor is not there pauses it by itself. Rejected says something about one delivery.
    """
    if policy is None:
        return None
    match transition:
        case RunEnded():
            return _of_run(run, policy, why) if run is not None else None
        case Retry() | NotStarted(outcome=Retry()):
            return Sign(failed=True, policy=policy, why=why)
        case Delivered() | Skipped() | Rejected():
            return Sign(failed=False, policy=policy)
        case NotStarted() | Throttled() | Limited() | Unavailable() | Interrupted() | Started() | Hold():
            return None
        case Ready() | Drop() | Claimed() | Prepare() | Released() | Retried() | Discarded():
            return None
        case _:
            assert_never(transition)


def _of_run(run: RunShown, policy: BreakerPolicy, why: str) -> Sign | None:
    match run.outcome:
        case RunOutcome.SUCCESS:
            return Sign(failed=False, policy=policy)
        case RunOutcome.FAILURE:
            quick = run.lasted_ms <= QUICK_MS and not run.progress
            return Sign(failed=quick, policy=policy, what="runs", why=why)
        case _:
            # Somebody ended it, or nobody saw how it ended.
            return None
