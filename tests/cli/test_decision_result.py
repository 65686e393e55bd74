"""What became of work that was let go on: said only once it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Cursor, DeliveryRow
from orgloop.journal.protocols import Reader
from orgloop.operations import decision_result
from orgloop.operations.decision_result import what_became

ROW = DeliveryRow(
    cursor=Cursor("1"),
    id="dlv_1",
    event_id="evt_1",
    trace_id="trc_1",
    source="hooks",
    event_type="resource.changed",
    route="all",
    actor="agent",
    runs=False,
    state=State.PENDING,
    reason="",
    detail="",
    key=None,
    head=True,
    due=0,
    accepted_at=0,
    changed_at=0,
    age_from=0,
    attempts=0,
    failures=0,
    crashes=0,
    waived=(),
    run_id=None,
    steps=(),
    document=None,
)


class Moving:
    """A delivery that is in the next of these states at each look, and stays in the last."""

    def __init__(self, *states: State) -> None:
        self.states = list(states)

    def delivery(self, id: str) -> DeliveryRow:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return replace(ROW, id=id, state=state)


def became(moving: Moving, why: Callable[[DeliveryRow], str] = lambda _: "", patience: float = 20) -> State:
    seen = what_became(cast("Reader", moving), ["dlv_1"], why, patience=patience, sleep=lambda _: None)
    return seen["dlv_1"].state


@pytest.mark.parametrize("end", [State.HELD, State.DEAD, State.DELIVERED, State.STARTED, State.DROPPED])
def test_it_waits_until_what_was_released_is_taken_up(end: State) -> None:
    assert became(Moving(State.PREPARING, State.PENDING, State.PENDING, State.RUNNING, end)) is end


def test_what_has_a_reason_to_wait_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_result, "ASK", 0)
    assert became(Moving(State.PENDING), lambda _: "behind dlv_0 (pending)") is State.PENDING


def test_patience_has_an_end() -> None:
    assert became(Moving(State.PENDING), patience=0.01) is State.PENDING
