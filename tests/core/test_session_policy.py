"""When a session is not taken up any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.runs.session_policy import SessionPolicy

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("limits", "wakes", "age_ms", "context", "why"),
    [
        ({}, 1000, 1000 * HOUR, 10**7, ""),
        ({"max_wakes": 3}, 2, 0, None, ""),
        ({"max_wakes": 3}, 3, 0, None, "had 3 wakes, and 3 is the most"),
        ({"max_age_ms": HOUR}, 0, HOUR - 1, None, ""),
        ({"max_age_ms": HOUR}, 0, HOUR, None, "is 1h old, and 1h is the most"),
        ({"max_context_tokens": 100}, 0, 0, 99, ""),
        ({"max_context_tokens": 100}, 0, 0, 100, "has 100 tokens of context, and 100 is the most"),
        ({"max_context_tokens": 100}, 0, 0, None, ""),
        ({"max_wakes": 3, "max_age_ms": HOUR}, 1, HOUR, None, "is 1h old, and 1h is the most"),
    ],
)
def test_a_session_is_left_at_the_first_limit(
    limits: dict[str, Any], wakes: int, age_ms: int, context: int | None, why: str
) -> None:
    policy = SessionPolicy(**limits)
    assert policy.why_new(wakes=wakes, age_ms=age_ms, context_tokens=context) == why


COUNT = st.integers(0, 10**9)


@given(COUNT, COUNT, COUNT, COUNT | st.none(), COUNT)
def test_who_is_left_stays_left(most: int, wakes: int, age: int, context: int | None, more: int) -> None:
    policy = SessionPolicy(max_wakes=most, max_age_ms=most, max_context_tokens=most)
    if policy.why_new(wakes=wakes, age_ms=age, context_tokens=context):
        assert policy.why_new(wakes=wakes + more, age_ms=age + more, context_tokens=context)
