"""What a runner tells of a run's end, in the words of a lifecycle: the same for every agent."""

from __future__ import annotations

import pytest

from orgloop.core.events.session_lifecycle import LOST, Phase, RunOutcome, from_end, from_stop


@pytest.mark.parametrize(
    ("status", "stopped", "expected"),
    [
        (0, None, (Phase.COMPLETED, RunOutcome.SUCCESS, "exit_code_0")),
        (3, None, (Phase.FAILED, RunOutcome.FAILURE, "exit_code_3")),
        (143, None, (Phase.STOPPED, RunOutcome.CANCELLED, "sigterm")),
        (143, "start", (Phase.STOPPED, RunOutcome.CANCELLED, "timeout_start")),
        (143, "silence", (Phase.STOPPED, RunOutcome.CANCELLED, "timeout_silence")),
        (137, "total", (Phase.STOPPED, RunOutcome.CANCELLED, "timeout_total")),
        (0, "output", (Phase.STOPPED, RunOutcome.CANCELLED, "output_limit")),
        (0, "requested", (Phase.STOPPED, RunOutcome.CANCELLED, "requested")),
        (None, "requested", (Phase.STOPPED, RunOutcome.CANCELLED, "requested")),
        (None, None, (Phase.STOPPED, RunOutcome.UNKNOWN, LOST)),
        (0, LOST, (Phase.STOPPED, RunOutcome.UNKNOWN, LOST)),
    ],
)
def test_an_end_is_what_stopped_the_run_else_its_exit_status(
    status: int | None, stopped: str | None, expected: tuple[Phase, RunOutcome, str]
) -> None:
    assert from_end(status, stopped) == expected
    ended_by_itself = stopped is None and status is not None
    assert from_stop(status, stopped) == (None if ended_by_itself else expected)
