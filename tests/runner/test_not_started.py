"""Runs whose program never runs, and how the run directory proves it."""

from __future__ import annotations

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from orgloop import runner
from tests.runner.run_directory import ENV, FULL, RunDirectory, shell
from tests.runner.waiting import DEADLINE_S, until

TOUCH = shell("touch ran")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Files that cannot be run, each for a reason of its own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text, mode in (
        ("plain", "#!/bin/sh\n", 0o644),
        ("lost-interpreter", "#!/nowhere/python\n", 0o755),
        ("no-program", "text\0", 0o755),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    return folder


@pytest.mark.parametrize(
    ("program", "number"),
    [
        ("missing", errno.ENOENT),
        ("plain", errno.EACCES),
        (".", errno.EACCES),
        ("plain/below", errno.ENOTDIR),
        ("lost-interpreter", errno.ENOENT),
        ("no-program", errno.ENOEXEC),
        ("nul\0byte", errno.EINVAL),
    ],
)
def test_a_program_that_cannot_run_is_reported_with_the_systems_reason(
    run: RunDirectory, programs: Path, program: str, number: int
) -> None:
    end = run.prepare([str(programs / program), "argument"]).hold()
    assert (end["not_started"]["errno"], end["status"], end["signal"]) == (number, None, None)
    assert f"cannot run {programs / program}" in end["not_started"]["error"]
    assert runner.CHILD not in run.names()
    assert runner.SPEC not in run.names()


def test_a_name_that_is_not_in_path_is_reported(run: RunDirectory) -> None:
    end = run.prepare(["no-such-agent"]).hold()
    assert end["not_started"]["errno"] == errno.ENOENT
    assert "cannot run no-such-agent" in end["not_started"]["error"]


@pytest.mark.parametrize(("cwd", "number"), [("missing", errno.ENOENT), ("plain", errno.ENOTDIR)])
def test_a_working_directory_that_cannot_be_entered_is_reported(
    run: RunDirectory, programs: Path, cwd: str, number: int
) -> None:
    end = run.prepare(TOUCH, cwd=programs / cwd).hold()
    assert end["not_started"]["errno"] == number
    assert f"cannot enter the working directory {programs / cwd}" in end["not_started"]["error"]


def test_an_environment_that_the_system_refuses_is_reported(run: RunDirectory) -> None:
    end = run.prepare(TOUCH, env={**ENV, "A=B": "c"}).hold()
    assert end["not_started"]["errno"] == errno.EINVAL


def test_the_error_text_survives_any_name(run: RunDirectory) -> None:
    end = run.prepare(['/no "such"\\\n\x01 agent \u00e9 \udcff']).hold()
    assert '/no "such"\\\n\x01 agent \u00e9 ' in end["not_started"]["error"]


def spec(**changes: Any) -> bytes:
    limits: dict[str, None] = dict.fromkeys(("start_s", "silence_s", "total_s", "output_bytes"))
    whole = {"version": 1, "argv": TOUCH, "cwd": "/", "env": ENV, "limits": limits, "grace_s": 1.0}
    return json.dumps(whole | changes).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"no JSON",
        b"[]",
        b"\xff",
        spec()[:-1],
        spec(version=2),
        spec(argv=[]),
        spec(argv=[1]),
        spec(cwd=None),
        spec(env=["A=B"]),
        spec(env={"A": 1}),
        spec(env={"A": "\ud800"}),
        spec(grace_s=None),
        spec(limits={}),
        spec(limits=None),
        spec(limits=dict.fromkeys(("start_s", "silence_s", "total_s", "output_bytes"), "soon")),
    ],
)
def test_a_spec_that_is_none_starts_nothing(run: RunDirectory, text: bytes) -> None:
    run.write(runner.SPEC, text)
    end = run.hold()
    assert end["not_started"]["errno"] == errno.EINVAL
    assert "spec.json" in end["not_started"]["error"]
    assert runner.STARTED not in run.names()


def test_a_missing_spec_starts_nothing(run: RunDirectory) -> None:
    assert run.hold()["not_started"]["errno"] == errno.ENOENT
    assert runner.STARTED not in run.names()


def test_without_a_durable_mark_nothing_starts(run: RunDirectory) -> None:
    run.on_a_full_disk = True
    run.write(FULL + runner.STARTED, b"")
    assert run.prepare(TOUCH).hold()["not_started"]["errno"] == errno.ENOSPC
    assert not run.names() & {runner.STARTED, "ran"}


def test_a_prompt_that_cannot_be_read_starts_nothing(run: RunDirectory) -> None:
    (run.path / runner.STDOUT).mkdir()
    assert run.prepare(TOUCH).hold()["not_started"]["errno"] == errno.EISDIR
    assert "ran" not in run.names()


def test_a_held_lock_refuses_the_run(run: RunDirectory) -> None:
    run.prepare(TOUCH)
    with (run.path / runner.LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run.refuse() == runner.LOCK_HELD
    assert run.names() == {runner.SPEC, runner.LOCK}


def test_a_second_runner_leaves_a_living_run_alone(run: RunDirectory) -> None:
    run.prepare(shell("exec sleep 1000"), grace_s=0).spawn()
    run.program()
    before = run.names()
    assert run.refuse() == runner.LOCK_HELD
    assert (run.names(), run.locked()) == (before, True)


def test_a_cancelled_run_never_starts(run: RunDirectory) -> None:
    run.prepare(TOUCH).write(runner.CANCELLED, b"")
    assert run.refuse() == runner.WAS_CANCELLED
    assert run.names() == {runner.SPEC, runner.CANCELLED, runner.LOCK}


@pytest.mark.parametrize("trace", [runner.STARTED, runner.EXIT])
def test_a_run_never_starts_twice(run: RunDirectory, trace: str) -> None:
    run.prepare(TOUCH).write(trace, b"")
    assert run.refuse() == runner.WAS_STARTED
    assert run.names() == {runner.SPEC, trace, runner.LOCK}


def test_a_finished_run_never_starts_again(run: RunDirectory) -> None:
    run.prepare(TOUCH).hold()
    (run.path / "ran").unlink()
    end = run.read(runner.EXIT)
    run.prepare(TOUCH)
    assert run.refuse() == runner.WAS_STARTED
    assert "ran" not in run.names()
    assert run.read(runner.EXIT) == end


def test_a_missing_run_directory_is_an_error(run: RunDirectory) -> None:
    run.path.rmdir()
    assert run.spawn().wait(DEADLINE_S) == 1
    assert not run.path.exists()
    run.path.mkdir()
    until(lambda: not run.names(), "nothing is there")
