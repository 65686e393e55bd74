"""How long a start takes, from the first byte of the run directory to the program's first act."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.runner.run_directory import ENV, RunDirectory, python, shell
from tests.runner.waiting import DEADLINE_S

ROUNDS = 40


def median(times: list[float]) -> float:
    return statistics.median(times) * 1000


def timed(act: Callable[[], subprocess.Popen[bytes]], fifo: Path) -> float:
    """Seconds until the process that `act` starts, or one that it starts, opens the FIFO."""
    began = time.perf_counter()
    process = act()
    os.close(os.open(fifo, os.O_RDONLY))
    took = time.perf_counter() - began
    process.wait(DEADLINE_S)
    return took


def prepare_and_spawn(path: Path, agent: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return RunDirectory(path).prepare(agent, env=env, stdin=b"prompt").spawn()


@pytest.mark.bench
def test_a_start_takes_less_than_25_ms(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    agent = shell(f": > {fifo}")
    env = {**ENV, **{f"VARIABLE_{number}": "value " * 10 for number in range(40)}}
    bare, interpreter, held = [], [], []
    for number in range(ROUNDS):
        bare.append(timed(lambda: subprocess.Popen(agent, env=env), fifo))
        interpreter.append(timed(lambda: subprocess.Popen(python(f"open({str(fifo)!r}, 'w')")), fifo))
        start = partial(prepare_and_spawn, tmp_path / str(number), agent, env)
        held.append(timed(start, fifo))
    medians = {"bare_ms": median(bare), "interpreter_ms": median(interpreter), "held_ms": median(held)}
    for name, value in medians.items():
        record_property(name, round(value, 1))
    assert medians["held_ms"] < 25, medians
    assert min(held) < 4 * min(interpreter), "the runner does too much before its program runs"
