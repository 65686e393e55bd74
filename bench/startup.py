"""Start to ready, and `--help`, against a Python that starts and ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from bench.children import organization
from bench.figure import Figure, median
from orgloop.project.home import running_daemon
from tests.e2e.organization import Organization, wait_for

HEAD = """
metadata: {name: bench}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: sink, connector: webhook, config: {url: "http://127.0.0.1:9/"}}
routes:
"""
ROUTE = """
  - name: route-{number}
    when: {{source: hook, events: [bench], filter: {{payload.team: "{number}"}}}}
    then: {{actor: sink, config: {{session_key: "team:{{{{payload.team}}}}"}}}}
"""


def measure(*, short: bool) -> Sequence[Figure]:
    """Seconds, with 1,000 routes."""
    rounds, routes = (1, 20) if short else (7, 1_000)
    ready, help_, bare = [], [], []
    with organization(HEAD + "".join(ROUTE.format(number=number) for number in range(routes))) as ours:
        for _ in range(rounds):
            ready.append(_ready(ours))
            help_.append(_run(ours, "-m", "orgloop", "--help"))
            bare.append(_run(ours, "-c", ""))
    floor = median(bare)
    return [
        _figure(f"start to ready, {routes:,} routes", median(ready), 1.0, floor),
        _figure("orgloop --help", median(help_), 0.25, floor),
    ]


def _ready(ours: Organization) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "orgloop", "start", "--quiet"],
        cwd=ours.root,
        env=ours.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ours.daemon = process

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError("the daemon ended")
        info = running_daemon(ours.home)
        return info is not None and info.pid == process.pid

    wait_for("the daemon", answers)
    took = time.perf_counter() - began
    if ours.stop() != 0:
        raise RuntimeError("the daemon did not end well")
    return took


def _run(ours: Organization, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=ours.root,
        env=ours.environment,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    return time.perf_counter() - began


def _figure(name: str, seconds: float, most: float, bare: float) -> Figure:
    detail = f"bare Python {bare:.3f} s, {seconds / bare:.1f} times"
    return Figure(name=name, value=seconds, unit="s", most=most, detail=detail)
