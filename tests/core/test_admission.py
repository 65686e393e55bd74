"""Admission: who may start, who waits for a slot, who is held for a person."""

from __future__ import annotations

import pytest

from orgloop.core.admission import Go, RunLimits, Usage, Wait, Want, admit
from orgloop.core.happening import Hold, HoldReason

NOW = 10**12
HOUR = 3_600_000


def want(hops: int = 0, age: int = 0, directory: str | None = None, waived: tuple[str, ...] = ()) -> Want:
    return Want(
        actor="dev", route="review", hops=hops, age_from=NOW - age, directory=directory, waived=waived
    )


@pytest.mark.parametrize(
    ("wanted", "usage", "limits", "expected"),
    [
        (want(), Usage(), RunLimits(), "go"),
        (want(hops=24), Usage(), RunLimits(), "go"),
        (want(hops=25), Usage(), RunLimits(), HoldReason.HOPS),
        (want(hops=25, waived=(HoldReason.HOPS,)), Usage(), RunLimits(), "go"),
        (want(age=24 * HOUR), Usage(), RunLimits(), "go"),
        (want(age=24 * HOUR + 1), Usage(), RunLimits(), HoldReason.STALE),
        (want(), Usage(home_runs=3), RunLimits(), "go"),
        (want(), Usage(home_runs=4), RunLimits(), "wait"),
        (want(), Usage(actor_runs=2), RunLimits(actor_runs=2), "wait"),
        (want(), Usage(actor_runs=2), RunLimits(), "go"),
        (want(), Usage(route_runs=1), RunLimits(route_runs=1), "wait"),
        (want(directory="/a"), Usage(busy_directories={"/a"}), RunLimits(), "wait"),
        (want(directory="/b"), Usage(busy_directories={"/a"}), RunLimits(), "go"),
        (want(), Usage(busy_directories={"/a"}), RunLimits(), "go"),
        (want(), Usage(runs_last_hour=59), RunLimits(), "go"),
        (want(), Usage(runs_last_hour=60), RunLimits(), HoldReason.BUDGET),
        (want(), Usage(runs_last_hour=60), RunLimits(runs_per_hour=None), "go"),
        (want(waived=(HoldReason.BUDGET,)), Usage(runs_last_hour=60), RunLimits(), "go"),
        # A wake that must wait for a slot is not held for a budget that may be free by then.
        (want(), Usage(home_runs=4, runs_last_hour=60), RunLimits(), "wait"),
        # Guards that waiting cannot help come before the slots.
        (want(hops=99), Usage(home_runs=4), RunLimits(), HoldReason.HOPS),
    ],
)
def test_the_strictest_rule_decides(wanted: Want, usage: Usage, limits: RunLimits, expected: str) -> None:
    match admit(wanted, usage, limits, NOW):
        case Go():
            assert expected == "go"
        case Wait(why=why):
            assert expected == "wait"
            assert why
        case Hold(reason=reason, detail=detail):
            assert expected == reason
            assert any(char.isdigit() for char in detail), "a person is told the numbers"
