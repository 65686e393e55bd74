"""Pages draw the moves of a delivery that `move` allows, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from orgloop.core.deliveries.delivery import (
    CRASHES_BEFORE_HOLD,
    DeliveryPolicy,
    Facts,
    IllegalMove,
    State,
    move,
)
from orgloop.core.deliveries.retry import RetryPolicy
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
from tests.docs import pages

ENDS = (
    Retry(reason="500"),
    Unavailable(reason="refused"),
    Throttled(until=0),
    Limited(account="a", until=0),
    Rejected(reason="404"),
    Interrupted(crash=True),
)
TRANSITIONS: tuple[Transition, ...] = (
    *ENDS,
    *(NotStarted(outcome=end) for end in ENDS),
    *(Drop(reason=reason) for reason in DropReason),
    *(Hold(reason=reason) for reason in HoldReason),
    *(Delivered(), Started(run_id="run_1"), Skipped(reason=""), RunEnded()),
    *(Ready(), Claimed(), Prepare(), Released(), Retried(), Discarded()),
)


def allowed() -> Iterator[tuple[str, str, str]]:
    """From, to, and the transition's name: of all that `move` accepts."""
    for state, reason, last, members, transition in product(
        State, ("", HoldReason.TRANSFORM), (False, True), (1, 2), TRANSITIONS
    ):
        facts = Facts(
            state=state,
            accepted_at=0,
            age_from=0,
            crashes=CRASHES_BEFORE_HOLD - 1 if last else 0,
            reason=reason,
            members=members,
        )
        policy = DeliveryPolicy(retry=RetryPolicy(max_attempts=1 if last else 5))
        try:
            to = move(facts, transition, policy, now=0, random=0.0).state
        except IllegalMove:
            continue
        yield str(state), str(to), type(transition).__name__


def test_every_kind_of_transition_is_tried() -> None:
    assert {type(one) for one in TRANSITIONS} == set(Transition.__args__)


def test_the_architecture_lists_every_move() -> None:
    told = {
        (pages.code(row[0]), pages.code(row[1]), name)
        for row in pages.rows(pages.section("docs/architecture.md", "The life of a delivery"))
        for name in pages.codes(row[2])
        if name[0].isupper() and not name.isupper()
    }
    assert told == set(allowed())


def test_the_picture_of_the_states_shows_every_move() -> None:
    lines = re.findall(r"(?m)^ (\w+) +─► (.+)$", pages.section("docs/delivery.md", "States"))
    told = {(start, to) for start, ends in lines for to in ends.split(" | ") if start != "commit"}
    assert told == {(start, to) for start, to, _ in allowed()}
