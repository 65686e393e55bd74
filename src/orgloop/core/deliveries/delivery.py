"""A delivery's life: its states, what can happen to it, and the one function that says what follows.

Every legal move is `move(facts, transition, policy, now, random)`. Nothing else assembles a state.
Times are milliseconds since 1970, durations milliseconds, `random` is in [0, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, assert_never

from orgloop.core.deliveries.admission import Limit
from orgloop.core.deliveries.queue_limit import QueueLimit
from orgloop.core.deliveries.retry import RetryPolicy, retry_delay
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

CRASHES_BEFORE_HOLD: Final = 3

SHORTEST_WAIT_MS: Final = 1_000
"""An actor that asks for later, uncounted, is left alone for so long, or it could keep us busy."""


class State(StrEnum):
    """Where a delivery stands."""

    PREPARING = "preparing"
    """Its transforms have not all run; takes no slot, but blocks its route's later results."""
    PENDING = "pending"
    """Waits for its turn: for its key's head, a free slot, or a time."""
    RUNNING = "running"
    """Claimed: the actor is being woken right now."""
    STARTED = "started"
    """A run owns it. It ends with the run, its deadline, or an operator."""
    DELIVERED = "delivered"
    """The actor took it, or its run ended."""
    DROPPED = "dropped"
    """A rule said no; the reason says which."""
    HELD = "held"
    """Waits for a person, with one reason."""
    DEAD = "dead"
    """Was tried as often as allowed, or refused for good. Keeps everything."""
    DISCARDED = "discarded"
    """A person decided that it is no longer needed."""


REJECTED: Final = "rejected"
"""Why a delivery is dead: its actor refused it for good."""
ATTEMPTS: Final = "attempts"
"""Why a delivery is dead: it was tried as often as allowed."""
REASONS: Final[Mapping[State, frozenset[str]]] = MappingProxyType(
    {
        State.DROPPED: frozenset(DropReason),
        State.HELD: frozenset(HoldReason),
        State.DEAD: frozenset({REJECTED, ATTEMPTS}),
        State.DISCARDED: frozenset({*HoldReason, REJECTED, ATTEMPTS}),
    }
)
"""By state, the reasons that a delivery can have. In other states it has none."""

NEEDLESS: Final = frozenset(
    {
        DropReason.SUPERSEDED,
        DropReason.REPLACED,
        DropReason.BUSY,
        DropReason.NEEDLESS,
        DropReason.OVERFLOW,
    }
)
"""Why a delivery that waits for its turn is dropped."""

BLOCKING: Final = frozenset({State.PREPARING, State.PENDING, State.RUNNING, State.STARTED})
"""States in which a delivery, as its key's head, keeps later ones of that key waiting."""

FINISHED: Final = frozenset({State.DELIVERED, State.DROPPED, State.DISCARDED})
"""States that nothing leaves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryPolicy:
    """`timeout_ms` bounds the waking, not the run; `max_age_ms` is how old an agent's wake may be.

    `max_rate` is how often a route may wake its actor, `queue` how much of it may wait.
    `ordered`: wakes of one session key wait for each other.
    """

    timeout_ms: int = 30_000
    max_age_ms: int = 86_400_000
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_rate: Limit | None = None
    queue: QueueLimit | None = None
    ordered: bool = True


class Facts(NamedTuple):
    """What a move depends on. `attempts` counts tries that count, `failures` those known to have failed.

    `members` is how many deliveries its wake has, while it may still have others.
    """

    state: State
    accepted_at: int
    age_from: int
    attempts: int = 0
    failures: int = 0
    crashes: int = 0
    reason: str = ""
    members: int = 1


class Move(NamedTuple):
    """What follows: the row after the move.

    `due` is when a pending one may be claimed. `rejoin`: it takes the last place of its key.
    `waive`: the guard that tripped does not trip again for this one.
    `pause_actor`: nobody answers there; its other work waits too. `run_id`: the run that owns it now.
    """

    state: State
    due: int
    attempts: int
    failures: int
    crashes: int
    age_from: int
    reason: str = ""
    detail: str = ""
    rejoin: bool = False
    waive: str = ""
    pause_actor: bool = False
    run_id: str | None = None


class IllegalMove(Exception):
    """This cannot happen to a delivery in this state."""

    def __init__(self, state: State, transition: Transition) -> None:
        super().__init__(f"a {state} delivery cannot take {type(transition).__name__}")
        self.state = state
        self.transition = transition


def idempotency_key(delivery_id: str, failures: int) -> str:
    """What a target may deduplicate on: the same after an unknown outcome, new after a known failure."""
    return f"{delivery_id}.{failures}"


def move(facts: Facts, transition: Transition, policy: DeliveryPolicy, now: int, random: float) -> Move:
    """The row after `transition`. Raises IllegalMove for every pair that the design does not draw."""
    match facts.state:
        case State.PREPARING:
            return _from_preparing(facts, transition, now)
        case State.PENDING:
            return _from_pending(facts, transition, now)
        case State.RUNNING:
            return _from_running(facts, transition, policy, now, random)
        case State.STARTED:
            return _from_started(facts, transition, policy, now, random)
        case State.HELD:
            return _from_held(facts, transition, now)
        case State.DEAD:
            return _from_dead(facts, transition, now)
        case State.DELIVERED | State.DROPPED | State.DISCARDED:
            raise IllegalMove(facts.state, transition)
        case _:
            assert_never(facts.state)


def _from_preparing(facts: Facts, transition: Transition, now: int) -> Move:
    match transition:
        case Ready():
            return _stay(facts, State.PENDING, due=now)
        case Drop(reason=reason, detail=detail):
            return _stay(facts, State.DROPPED, reason=reason, detail=detail)
        case Hold(reason=held, detail=detail):
            return _stay(facts, State.HELD, reason=held, detail=detail)
        case _:
            raise IllegalMove(facts.state, transition)


def _from_pending(facts: Facts, transition: Transition, now: int) -> Move:
    match transition:
        case Claimed():
            return _stay(facts, State.RUNNING, due=now)
        case Hold(reason=reason, detail=detail):
            return _stay(facts, State.HELD, reason=reason, detail=detail)
        case Prepare() if facts.attempts == 0:
            return _stay(facts, State.PREPARING)
        case Drop(reason=dropped, detail=detail) if dropped in NEEDLESS:
            return _stay(facts, State.DROPPED, reason=dropped, detail=detail)
        case Discarded(detail=detail) if facts.members > 1:
            return _stay(facts, State.DISCARDED, detail=detail)
        case _:
            raise IllegalMove(facts.state, transition)


def _from_running(
    facts: Facts, transition: Transition, policy: DeliveryPolicy, now: int, random: float
) -> Move:
    match transition:
        case Delivered(detail=detail):
            return _stay(facts, State.DELIVERED, attempts=facts.attempts + 1, detail=detail)
        case Started(run_id=run_id):
            return _stay(facts, State.STARTED, attempts=facts.attempts + 1, run_id=run_id)
        case Skipped(reason=reason):
            return _stay(
                facts, State.DROPPED, attempts=facts.attempts + 1, reason=DropReason.SKIPPED, detail=reason
            )
        case Hold(reason=held, detail=detail):
            return _stay(facts, State.HELD, reason=held, detail=detail)
        case Rejected() | Retry() | Throttled() | Unavailable() | Limited() | Interrupted():
            return _unfinished(facts, transition, policy, now, random)
        case _:
            raise IllegalMove(facts.state, transition)


def _from_started(
    facts: Facts, transition: Transition, policy: DeliveryPolicy, now: int, random: float
) -> Move:
    match transition:
        case RunEnded(detail=detail) | Delivered(detail=detail):
            return _stay(facts, State.DELIVERED, detail=detail)
        case Skipped(reason=reason):
            return _stay(facts, State.DROPPED, reason=DropReason.SKIPPED, detail=reason)
        case Interrupted(crash=crash):
            # Its run was lost with its machine, and its route says that another one goes on.
            return _interrupted(facts, crash, now)
        case NotStarted(outcome=outcome):
            # The start was counted when the run row was written; it turns out that nothing began.
            uncounted = _stay(facts, State.RUNNING, attempts=max(0, facts.attempts - 1))
            before = Facts(
                state=State.RUNNING,
                accepted_at=facts.accepted_at,
                age_from=facts.age_from,
                attempts=uncounted.attempts,
                failures=facts.failures,
                crashes=facts.crashes,
            )
            return _unfinished(before, outcome, policy, now, random)
        case _:
            raise IllegalMove(facts.state, transition)


def _from_held(facts: Facts, transition: Transition, now: int) -> Move:
    match transition:
        case Released(skip=False) if facts.reason == HoldReason.TRANSFORM and facts.attempts == 0:
            return _stay(facts, State.PREPARING, age_from=now, rejoin=True)
        case Released():
            return _stay(
                facts, State.PENDING, due=now, age_from=now, crashes=0, rejoin=True, waive=facts.reason
            )
        case Prepare() if facts.attempts == 0:
            return _stay(facts, State.PREPARING, age_from=now, rejoin=True)
        case Discarded(detail=detail):
            return _stay(facts, State.DISCARDED, reason=facts.reason, detail=detail)
        case Drop(reason=DropReason.EXPIRED | DropReason.DUPLICATE as dropped, detail=detail):
            return _stay(facts, State.DROPPED, reason=dropped, detail=detail)
        case _:
            raise IllegalMove(facts.state, transition)


def _from_dead(facts: Facts, transition: Transition, now: int) -> Move:
    match transition:
        case Retried():
            return _stay(facts, State.PENDING, due=now, age_from=now, attempts=0, crashes=0, rejoin=True)
        case Drop(reason=DropReason.DUPLICATE, detail=detail):
            return _stay(facts, State.DROPPED, reason=DropReason.DUPLICATE, detail=detail)
        case Discarded(detail=detail):
            return _stay(facts, State.DISCARDED, reason=facts.reason, detail=detail)
        case _:
            raise IllegalMove(facts.state, transition)


def _unfinished(
    facts: Facts,
    outcome: Rejected | Retry | Throttled | Unavailable | Limited | Interrupted,
    policy: DeliveryPolicy,
    now: int,
    random: float,
) -> Move:
    match outcome:
        case Rejected(reason=reason):
            return _stay(
                facts,
                State.DEAD,
                attempts=facts.attempts + 1,
                failures=facts.failures + 1,
                reason=REJECTED,
                detail=reason,
            )
        case Retry(reason=reason, known=known, after_ms=after_ms):
            attempts = facts.attempts + 1
            failures = facts.failures + (1 if known else 0)
            if attempts >= policy.retry.max_attempts:
                return _stay(
                    facts, State.DEAD, attempts=attempts, failures=failures, reason=ATTEMPTS, detail=reason
                )
            delay = after_ms if after_ms is not None else retry_delay(attempts, policy.retry, random)
            return _stay(
                facts, State.PENDING, due=now + delay, attempts=attempts, failures=failures, detail=reason
            )
        case Throttled(until=until, reason=reason):
            return _stay(facts, State.PENDING, due=max(now + SHORTEST_WAIT_MS, until), detail=reason)
        case Unavailable(reason=reason):
            return _stay(facts, State.PENDING, due=now, detail=reason, pause_actor=True)
        case Limited(reason=reason):
            # Its account is parked; another one may pay for it at once.
            return _stay(facts, State.PENDING, due=now, detail=reason)
        case Interrupted(crash=crash):
            return _interrupted(facts, crash, now)
        case _:
            assert_never(outcome)


def _interrupted(facts: Facts, crash: bool, now: int) -> Move:
    crashes = facts.crashes + (1 if crash else 0)
    if crashes >= CRASHES_BEFORE_HOLD:
        detail = f"the daemon died {crashes} times while it handled this"
        return _stay(facts, State.HELD, crashes=crashes, reason=HoldReason.CRASHES, detail=detail)
    return _stay(facts, State.PENDING, due=now, crashes=crashes)


def _stay(
    facts: Facts,
    state: State,
    *,
    due: int = 0,
    attempts: int | None = None,
    failures: int | None = None,
    crashes: int | None = None,
    age_from: int | None = None,
    reason: str = "",
    detail: str = "",
    rejoin: bool = False,
    waive: str = "",
    pause_actor: bool = False,
    run_id: str | None = None,
) -> Move:
    """`facts` carried over into `state`, but for what is named."""
    return Move(
        state=state,
        due=due,
        attempts=facts.attempts if attempts is None else attempts,
        failures=facts.failures if failures is None else failures,
        crashes=facts.crashes if crashes is None else crashes,
        age_from=facts.age_from if age_from is None else age_from,
        reason=reason,
        detail=detail,
        rejoin=rejoin,
        waive=waive,
        pause_actor=pause_actor,
        run_id=run_id,
    )
