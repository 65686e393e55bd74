"""Every state meets everything that can happen: the legal moves as a table, all others refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.deliveries.delivery import (
    BLOCKING,
    CRASHES_BEFORE_HOLD,
    FINISHED,
    NEEDLESS,
    DeliveryPolicy,
    Facts,
    IllegalMove,
    State,
    idempotency_key,
    move,
)
from orgloop.core.deliveries.retry import RetryPolicy, pause_delay, retry_delay
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

NOW = 1_000_000_000
LATER = NOW + 60_000

TRANSITIONS: dict[str, Transition] = {
    "delivered": Delivered(detail="200 OK"),
    "started": Started(run_id="run_1"),
    "skipped": Skipped(reason="nothing to do"),
    "rejected": Rejected(reason="404"),
    "retry": Retry(reason="500"),
    "throttled": Throttled(until=LATER),
    "unavailable": Unavailable(reason="refused"),
    "limited": Limited(account="default", until=LATER),
    "interrupted": Interrupted(crash=False),
    "crashed": Interrupted(crash=True),
    "ready": Ready(),
    "drop": Drop(reason=DropReason.TRANSFORM),
    "expire": Drop(reason=DropReason.EXPIRED),
    **{str(reason): Drop(reason=reason) for reason in sorted(NEEDLESS)},
    "hold": Hold(reason=HoldReason.HOPS),
    "claimed": Claimed(),
    "run ended": RunEnded(detail="done"),
    "not started": NotStarted(outcome=Retry(reason="exit 75")),
    "prepare": Prepare(),
    "released": Released(),
    "retried": Retried(),
    "discarded": Discarded(),
}

LEGAL: dict[State, dict[str, State]] = {
    State.PREPARING: {
        "ready": State.PENDING,
        "drop": State.DROPPED,
        "expire": State.DROPPED,
        "hold": State.HELD,
        **dict.fromkeys(NEEDLESS, State.DROPPED),
    },
    State.PENDING: {
        "claimed": State.RUNNING,
        "hold": State.HELD,
        "prepare": State.PREPARING,
        **dict.fromkeys(NEEDLESS, State.DROPPED),
    },
    State.RUNNING: {
        "delivered": State.DELIVERED,
        "started": State.STARTED,
        "skipped": State.DROPPED,
        "rejected": State.DEAD,
        "retry": State.PENDING,
        "throttled": State.PENDING,
        "unavailable": State.PENDING,
        "limited": State.PENDING,
        "interrupted": State.PENDING,
        "crashed": State.PENDING,
        "hold": State.HELD,
    },
    State.STARTED: {
        "run ended": State.DELIVERED,
        "delivered": State.DELIVERED,
        "skipped": State.DROPPED,
        "not started": State.PENDING,
        "interrupted": State.PENDING,
        "crashed": State.PENDING,
    },
    State.HELD: {
        "released": State.PENDING,
        "prepare": State.PREPARING,
        "discarded": State.DISCARDED,
        "expire": State.DROPPED,
    },
    State.DEAD: {"retried": State.PENDING, "discarded": State.DISCARDED},
    State.DELIVERED: {},
    State.DROPPED: {},
    State.DISCARDED: {},
}


def facts(state: State, attempts: int = 0, failures: int = 0, crashes: int = 0, reason: str = "") -> Facts:
    return Facts(
        state=state,
        accepted_at=NOW - 5000,
        age_from=NOW - 5000,
        attempts=attempts,
        failures=failures,
        crashes=crashes,
        reason=reason,
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_every_pair_moves_as_drawn_or_is_refused(state: State, name: str) -> None:
    transition = TRANSITIONS[name]
    expected = LEGAL[state].get(name)
    if expected is None:
        with pytest.raises(IllegalMove) as refused:
            move(facts(state), transition, DeliveryPolicy(), NOW, 0.5)
        assert type(transition).__name__ in str(refused.value)
    else:
        assert move(facts(state), transition, DeliveryPolicy(), NOW, 0.5).state is expected


COUNTED = {"delivered", "started", "skipped", "rejected", "retry"}


@pytest.mark.parametrize("name", LEGAL[State.RUNNING])
def test_only_real_tries_count_as_attempts(name: str) -> None:
    after = move(facts(State.RUNNING, attempts=2), TRANSITIONS[name], DeliveryPolicy(), NOW, 0.5)
    assert after.attempts == (3 if name in COUNTED else 2)


@pytest.mark.parametrize(
    ("transition", "failures"),
    [
        (Retry(reason="500"), 1),
        (Retry(reason="timeout", known=False), 0),
        (Throttled(until=LATER), 0),
        (Unavailable(reason="refused"), 0),
        (Interrupted(crash=True), 0),
    ],
)
def test_the_idempotency_key_changes_only_after_a_known_failure(
    transition: Transition, failures: int
) -> None:
    after = move(facts(State.RUNNING), transition, DeliveryPolicy(), NOW, 0.5)
    assert idempotency_key("dlv_1", after.failures) == f"dlv_1.{failures}"


@pytest.mark.parametrize("until", [0, NOW, NOW // 1000])
def test_an_uncounted_wait_is_never_over_before_it_began(until: int) -> None:
    """Seconds in place of milliseconds are soon written, and nothing else would bound the tries."""
    throttled = Throttled(until=until)
    assert move(facts(State.RUNNING), throttled, DeliveryPolicy(), NOW, 0.5).due == NOW + 1000


def test_the_last_allowed_failure_is_dead_with_its_reason() -> None:
    policy = DeliveryPolicy(retry=RetryPolicy(max_attempts=3))
    second = move(facts(State.RUNNING, attempts=1), Retry(reason="500"), policy, NOW, 0.5)
    third = move(facts(State.RUNNING, attempts=2), Retry(reason="500"), policy, NOW, 0.5)
    assert (second.state, third.state) == (State.PENDING, State.DEAD)
    assert (third.reason, third.detail) == ("attempts", "500")


def test_a_crash_interrupts_twice_and_holds_the_third_time() -> None:
    states = [
        move(facts(State.RUNNING, crashes=crashes), Interrupted(crash=True), DeliveryPolicy(), NOW, 0.5)
        for crashes in range(CRASHES_BEFORE_HOLD)
    ]
    assert [after.state for after in states] == [State.PENDING, State.PENDING, State.HELD]
    assert states[-1].reason == HoldReason.CRASHES


def test_planned_stops_never_hold() -> None:
    after = move(facts(State.RUNNING, crashes=2), Interrupted(crash=False), DeliveryPolicy(), NOW, 0.5)
    assert (after.state, after.crashes) == (State.PENDING, 2)


def test_a_release_resets_age_and_crashes_waives_its_guard_and_joins_the_tail() -> None:
    held = facts(State.HELD, attempts=1, crashes=3, reason=HoldReason.HOPS)
    after = move(held, Released(), DeliveryPolicy(), NOW, 0.5)
    assert (after.age_from, after.crashes, after.waive, after.rejoin) == (NOW, 0, HoldReason.HOPS, True)
    assert after.attempts == 1


def test_a_dead_one_that_is_retried_has_all_its_attempts_again() -> None:
    after = move(facts(State.DEAD, attempts=8, failures=8), Retried(), DeliveryPolicy(), NOW, 0.5)
    assert (after.attempts, after.failures, after.rejoin, after.due) == (0, 8, True, NOW)


def test_what_had_an_attempt_is_not_prepared_again() -> None:
    with pytest.raises(IllegalMove):
        move(facts(State.PENDING, attempts=1), Prepare(), DeliveryPolicy(), NOW, 0.5)


def test_a_limited_one_waits_for_its_account_and_for_nothing_else() -> None:
    before = facts(State.RUNNING)
    after = move(before, Limited(account="a", until=NOW + 7000), DeliveryPolicy(), NOW, 0.5)
    assert (after.state, after.due, after.age_from) == (State.PENDING, NOW, before.age_from)


def test_only_an_unavailable_actor_is_paused() -> None:
    paused = {
        name: move(facts(State.RUNNING), TRANSITIONS[name], DeliveryPolicy(), NOW, 0.5).pause_actor
        for name in LEGAL[State.RUNNING]
    }
    assert {name for name, pauses in paused.items() if pauses} == {"unavailable"}


def test_a_run_that_never_began_gives_its_attempt_back_before_it_is_judged() -> None:
    started = facts(State.STARTED, attempts=1)
    waits = move(
        started, NotStarted(outcome=Unavailable(reason="no such program")), DeliveryPolicy(), NOW, 0.5
    )
    counts = move(started, NotStarted(outcome=Retry(reason="exit 75")), DeliveryPolicy(), NOW, 0.5)
    assert (waits.attempts, waits.pause_actor) == (0, True)
    assert (counts.attempts, counts.state) == (1, State.PENDING)


def test_an_actors_own_word_on_when_to_retry_is_kept() -> None:
    after = move(facts(State.RUNNING), Retry(reason="500", after_ms=1234), DeliveryPolicy(), NOW, 0.5)
    assert after.due == NOW + 1234


@pytest.mark.parametrize(
    ("backoff", "attempt", "random", "expected"),
    [
        ("exponential", 1, 1.0, 5_000),
        ("exponential", 1, 0.0, 2_500),
        ("exponential", 4, 1.0, 40_000),
        ("exponential", 60, 1.0, 900_000),
        ("linear", 3, 1.0, 15_000),
        ("linear", 3, 0.0, 7_500),
        ("fixed", 7, 1.0, 5_000),
    ],
)
def test_the_backoff_grows_as_declared(backoff: str, attempt: int, random: float, expected: int) -> None:
    assert retry_delay(attempt, RetryPolicy(backoff=backoff), random) == expected


@given(
    attempt=st.integers(1, 10_000),
    backoff=st.sampled_from(["exponential", "linear", "fixed"]),
    initial=st.integers(0, 10**9),
    cap=st.integers(0, 10**9),
    random=st.floats(0, 1, exclude_max=True),
)
def test_a_retry_never_waits_longer_than_its_cap(
    attempt: int, backoff: str, initial: int, cap: int, random: float
) -> None:
    policy = RetryPolicy(backoff=backoff, initial_delay_ms=initial, max_delay_ms=cap)
    assert 0 <= retry_delay(attempt, policy, random) <= cap


@given(tries=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_between_a_fraction_of_a_second_and_thirty(tries: int, random: float) -> None:
    assert 300 <= pause_delay(tries, random) <= 30_000


@given(
    state=st.sampled_from(State),
    name=st.sampled_from(sorted(TRANSITIONS)),
    attempts=st.integers(0, 20),
    crashes=st.integers(0, 5),
)
def test_no_move_ever_takes_attempts_failures_or_time_out_of_bounds(
    state: State, name: str, attempts: int, crashes: int
) -> None:
    before = facts(state, attempts=attempts, failures=attempts, crashes=crashes)
    try:
        after = move(before, TRANSITIONS[name], DeliveryPolicy(), NOW, 0.5)
    except IllegalMove:
        return
    assert after.attempts >= 0
    assert after.failures >= before.failures
    assert after.age_from >= before.age_from
    assert after.due == 0 or after.due >= NOW
    assert (after.state is State.PENDING) == (after.due > 0) or after.state is State.RUNNING


def test_states_that_block_and_states_that_are_finished_do_not_overlap() -> None:
    assert not BLOCKING & FINISHED
    assert {State.HELD, State.DEAD} == set(State) - BLOCKING - FINISHED
