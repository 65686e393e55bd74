"""From the sending of a webhook to the agent's first act, against the same program started directly."""

from __future__ import annotations

import http.client
import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.children import daemon
from bench.figure import Figure, interleaved, median, percentile
from bench.load import BODY
from tests.e2e.organization import Organization, wait_for

PROJECT = """
metadata: {name: bench}
defaults: {budget: {runs_per_hour: null}}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: agent, connector: process, config: {command: [./bin/agent], env: {BENCH_PIPE: ./pipe}}}
routes:
  - {name: to-agent, when: {source: hook, events: [bench]}, then: {actor: agent}}
"""
AGENT = """#!/bin/sh
echo > "$BENCH_PIPE"
"""


def measure(*, short: bool) -> Sequence[Figure]:
    """Milliseconds, one event at a time, each after the one before has ended."""
    rounds = 3 if short else 60
    with daemon(PROJECT, {"bin/agent": AGENT}) as ours:
        pipe = ours.root / "pipe"
        os.mkfifo(pipe)
        # Open at both ends, so that nobody waits for the other.
        reading = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        try:
            woken, bare = interleaved(
                rounds,
                partial(_timed, reading, partial(_post, ours)),
                partial(_timed, reading, partial(_start, ours.root / "bin/agent", pipe)),
            )
        finally:
            os.close(reading)
    return [
        Figure(
            name="webhook sent to agent begun, p50",
            value=median(woken),
            unit="ms",
            most=25,
            detail=f"p95 {percentile(woken, 0.95):.1f} ms; fork and exec p50 {median(bare):.1f} ms, "
            f"{median(woken) / median(bare):.1f} times",
        )
    ]


def _timed(reading: int, act: Callable[[], Callable[[], object]]) -> float:
    """Milliseconds from the act to the agent's word; then what the act started is waited for."""
    began = time.perf_counter()
    end = act()
    if not select.select([reading], [], [], 30)[0]:
        raise TimeoutError("the agent did not begin")
    took = time.perf_counter() - began
    os.read(reading, 100)
    end()
    return took * 1000


def _post(ours: Organization) -> Callable[[], object]:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=30)
    connection.request("POST", "/webhook/hook", BODY, {"Content-Type": "application/json"})

    def end() -> None:
        if connection.getresponse().status != 200:
            raise RuntimeError("the daemon refused a webhook")
        connection.close()
        with ours.reader() as reader:
            wait_for("the run's end", lambda: reader.counts().keys() <= {"total"})

    return end


def _start(agent: Path, pipe: Path) -> Callable[[], object]:
    process = subprocess.Popen(
        [agent], env={"PATH": os.environ["PATH"], "BENCH_PIPE": str(pipe)}, stdout=subprocess.DEVNULL
    )
    return process.wait
