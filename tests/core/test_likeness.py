"""What makes two events of a chain say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.likeness import likeness


def stopped(number: int, **payload: Any) -> dict[str, Any]:
    """The end of the run with this number."""
    id = f"{number:016x}"
    return {
        "id": f"evt_{id}",
        "timestamp": f"2026-11-30T10:00:{number:02}.000Z",
        "source": "one",
        "type": "actor.stopped",
        "trace_id": "trc_1",
        "hops": number,
        "provenance": {
            "platform": "process",
            "run_id": f"run_{id}",
            "session_id": f"s{number}",
            "author": "one",
        },
        "payload": {
            "run_id": f"run_{id}",
            "delivery_id": f"dlv_{id}",
            "session": {"id": f"s{number}", "started_at": "x"},
            "session_id": f"s{number}",
            "duration": number / 7,
            "duration_seconds": number,
            "cost_usd": number / 100,
            "tokens": {"input": number},
            "lifecycle": {"outcome": "failure", "dedupe_key": f"process:s{number}"},
            "exit_status": 3,
            "result": {"text": f"run_{id} failed at 2026-11-30 10:00:{number:02} (10:00:{number:02},123)"},
            **payload,
        },
    }


def comment(number: int, **payload: Any) -> dict[str, Any]:
    """A comment of a platform."""
    return {
        "source": "github",
        "type": "resource.changed",
        "provenance": {"native_event": "issue_comment", "pr_number": 7, "comment_id": number},
        "payload": {
            "id": number,
            "comment_id": number,
            "created_at": str(number),
            "body": "fixed",
            **payload,
        },
    }


def mark(number: int) -> str:
    """The mark of the run with this number, as a comment has it."""
    id = f"{number:016x}"
    return f"<!-- orgloop-run: run_{id}:evt_{id}:trc_1:{number}:one%20two:{number:032x} -->"


def emitted(item: int) -> dict[str, Any]:
    """What a script says itself."""
    return {"source": "hooks", "type": "next", "provenance": {}, "payload": {"item_id": item, "id": item}}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (stopped(1), stopped(2), True),
        (stopped(1), stopped(2, exit_status=4), False),
        (stopped(1, git={"after": "abc"}), stopped(2, git={"after": "abd"}), False),
        (stopped(1, result={"text": "3 left"}), stopped(2, result={"text": "2 left"}), False),
        (stopped(1), {**stopped(2), "source": "two"}, False),
        (comment(1), comment(2), True),
        (comment(1), comment(2, body="fixed it"), False),
        (comment(1, body=f"fixed {mark(1)}"), comment(2, body=f"fixed {mark(2)}"), True),
        (comment(1, body=f"fixed {mark(1)}"), comment(2, body=f"fixed it {mark(2)}"), False),
        (emitted(1), emitted(2), False),
        (emitted(1), emitted(1), True),
    ],
)
def test_what_says_the_same(one: Mapping[str, Any], other: Mapping[str, Any], alike: bool) -> None:
    assert (likeness(one) == likeness(other)) is alike


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["payload", "provenance", "source", "type"]), JSON))
def test_whatever_comes_has_a_likeness(document: Mapping[str, Any]) -> None:
    assert likeness(document) == likeness(dict(reversed(list(document.items()))))
