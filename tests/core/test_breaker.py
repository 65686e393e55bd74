"""Circuit breakers: what counts as a failure, what as work, and how long an open one waits."""

from __future__ import annotations

from typing import get_args

import pytest

from orgloop.core.deliveries.breaker import QUICK_MS, BreakerPolicy, RunShown, Sign, sign_of
from orgloop.core.deliveries.transition import (
    Claimed,
    Delivered,
    Discarded,
    Drop,
    DropReason,
    Hold,
    HoldReason,
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

POLICY = BreakerPolicy(failure_threshold=3, cooldown_ms=1_000)
FAILS, WORKS, SAYS_NOTHING = True, False, None

TABLE: list[tuple[Transition, bool | None]] = [
    (Retry(reason="500"), FAILS),
    (Retry(reason="no answer", known=False), FAILS),
    (NotStarted(outcome=Retry(reason="exit 75")), FAILS),
    (Delivered(), WORKS),
    (Skipped(reason="x"), WORKS),
    (Rejected(reason="404"), WORKS),
    (NotStarted(outcome=Rejected(reason="x")), SAYS_NOTHING),
    (NotStarted(outcome=Unavailable(reason="x")), SAYS_NOTHING),
    (NotStarted(outcome=Throttled(until=1)), SAYS_NOTHING),
    (NotStarted(outcome=Limited(account="a", until=1)), SAYS_NOTHING),
    (NotStarted(outcome=Interrupted(crash=True)), SAYS_NOTHING),
    (Throttled(until=1), SAYS_NOTHING),
    (Limited(account="a", until=1), SAYS_NOTHING),
    (Unavailable(reason="refused"), SAYS_NOTHING),
    (Interrupted(crash=True), SAYS_NOTHING),
    (Started(run_id="run_1"), SAYS_NOTHING),
    (Hold(reason=HoldReason.NO_SOP), SAYS_NOTHING),
    (RunEnded(), SAYS_NOTHING),
    (Ready(), SAYS_NOTHING),
    (Drop(reason=DropReason.TRANSFORM), SAYS_NOTHING),
    (Claimed(), SAYS_NOTHING),
    (Prepare(), SAYS_NOTHING),
    (Released(), SAYS_NOTHING),
    (Retried(), SAYS_NOTHING),
    (Discarded(), SAYS_NOTHING),
]


def failed(sign: Sign | None) -> bool | None:
    return None if sign is None else sign.failed


def test_every_transition_is_in_the_table() -> None:
    assert {type(transition) for transition, _ in TABLE} == set(get_args(Transition))


@pytest.mark.parametrize(("transition", "expected"), TABLE, ids=[str(one) for one, _ in TABLE])
def test_what_a_try_shows(transition: Transition, expected: bool | None) -> None:
    assert failed(sign_of(transition, POLICY, "why")) is expected
    assert sign_of(transition, None, "why") is None


@pytest.mark.parametrize(
    ("outcome", "lasted", "progress", "expected"),
    [
        (RunOutcome.FAILURE, 0, False, FAILS),
        (RunOutcome.FAILURE, QUICK_MS, False, FAILS),
        (RunOutcome.FAILURE, QUICK_MS + 1, False, WORKS),
        (RunOutcome.FAILURE, 0, True, WORKS),
        (RunOutcome.SUCCESS, 0, False, WORKS),
        (RunOutcome.CANCELLED, 0, False, SAYS_NOTHING),
        (RunOutcome.UNKNOWN, 0, False, SAYS_NOTHING),
    ],
)
def test_what_a_run_shows(outcome: str, lasted: int, progress: bool, expected: bool | None) -> None:
    shown = RunShown(outcome=outcome, lasted_ms=lasted, progress=progress)
    assert failed(sign_of(RunEnded(), POLICY, "exit 3", shown)) is expected


def test_the_cooldown_doubles_up_to_thirty_times_itself() -> None:
    waits = [POLICY.cooldown(tries) for tries in (1, 2, 3, 4, 5, 6, 7, 1_000_000)]
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
