"""Limits hold, whoever else lives."""

from __future__ import annotations

import pytest

from orgloop import runner
from orgloop.runner.spec import TICK_S
from tests.runner.run_directory import RunDirectory, shell

SILENT = "exec sleep 1000"
ONE_WORD = "echo word; exec sleep 1000"
ONE_COMPLAINT = "echo word >&2; exec sleep 1000"
TALKING = "while :; do echo word; sleep 0.05; done"


@pytest.mark.parametrize(
    ("script", "limits", "stopped"),
    [
        (SILENT, {"start_s": 0.3}, "start"),
        (SILENT, {"start_s": 0.3, "silence_s": 60}, "start"),
        (SILENT, {"silence_s": 0.3}, "silence"),
        (SILENT, {"total_s": 0.3}, "total"),
        (ONE_WORD, {"start_s": 1, "silence_s": 1.5}, "silence"),
        (ONE_COMPLAINT, {"start_s": 1, "silence_s": 1.5}, "silence"),
        (ONE_WORD, {"start_s": 0.4, "total_s": 0.8}, "total"),
        (TALKING, {"start_s": 2, "silence_s": 2, "total_s": 1}, "total"),
        ("head -c 2000 /dev/zero; exec sleep 1000", {"output_bytes": 1999}, "output"),
        ("head -c 1000 /dev/zero | tee /dev/stderr; exec sleep 1000", {"output_bytes": 1999}, "output"),
    ],
)
def test_a_broken_limit_stops_the_run_and_is_named(
    run: RunDirectory, script: str, limits: dict[str, float], stopped: str
) -> None:
    end = run.prepare(shell(script), limits=limits).hold()
    assert (end["stopped"], end["status"], end["signal"]) == (stopped, 128 + 15, 15)
    broken = limits.get(f"{stopped}_s", 0)
    assert broken <= end["duration_s"] <= broken + TICK_S + 2


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        ("echo word; sleep 1", {"start_s": 0.5}),
        ("for i in 1 2 3 4 5 6 7 8 9; do echo word; sleep 0.2; done", {"silence_s": 1.2}),
        ("head -c 2000 /dev/zero; sleep 1.2", {"output_bytes": 2000}),
        ("sleep 0.5", {"start_s": 60, "silence_s": 60, "total_s": 60, "output_bytes": 0}),
        ("sleep 1.2", {}),
    ],
)
def test_a_limit_that_is_kept_stops_nothing(run: RunDirectory, script: str, limits: dict[str, float]) -> None:
    end = run.prepare(shell(script), limits=limits).hold()
    assert (end["stopped"], end["status"]) == (None, 0)


def test_a_program_that_ends_well_when_stopped_keeps_its_status(run: RunDirectory) -> None:
    script = "trap 'echo bye; exit 7' TERM; sleep 1000 & wait"
    end = run.prepare(shell(script), limits={"total_s": 0.3}).hold()
    assert (end["stopped"], end["status"], end["signal"]) == ("total", 7, None)
    assert run.read(runner.STDOUT) == b"bye\n"


def test_a_program_that_ignores_the_soft_stop_is_killed_after_the_grace(run: RunDirectory) -> None:
    end = run.prepare(
        shell("trap '' TERM; while :; do sleep 0.1; done"), limits={"total_s": 0.3}, grace_s=0.5
    ).hold()
    assert (end["stopped"], end["status"], end["signal"]) == ("total", 128 + 9, 9)
    assert 0.8 <= end["duration_s"] <= 0.8 + 2


def test_a_flood_of_output_is_not_waited_for(run: RunDirectory) -> None:
    flood = f"trap 'head -c {2 * runner.FAREWELL} /dev/zero' TERM; head -c 2000 /dev/zero; "
    flood += "while :; do sleep 0.05; done"
    end = run.prepare(shell(flood), limits={"output_bytes": 1000}, grace_s=3600).hold()
    assert (end["stopped"], end["signal"]) == ("output", 9)
