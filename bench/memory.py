"""Memory of the daemon while events pass through it, against the relay that keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from bench.children import child, daemon
from bench.deliver import PROJECT
from bench.figure import Figure
from bench.load import load
from bench.sink import taken
from tests.e2e.organization import wait_for

MB = 1024 * 1024


def measure(*, short: bool) -> Sequence[Figure]:
    """Resident memory over 100,000 events in ten portions, each delivered to the last."""
    portion = 50 if short else 10_000
    with child("bench.sink") as sink:
        url = f"http://127.0.0.1:{sink.port}/"
        with child("bench.bare", "relay", url) as relay, daemon(PROJECT, SINK=url) as ours:
            assert ours.daemon is not None
            load(relay.port, "/", seconds=60, count=portion)
            bare = _resident(relay.pid)
            pid, port = ours.daemon.pid, ours.port
            sizes = [_resident(pid)]
            delivered, _ = taken(sink.port)
            for _ in range(10):
                delivered += load(port, "/webhook/hook", seconds=60, count=portion).accepted
                sizes.append(max(_resident(pid), _drained(pid, sink.port, delivered)))
    peak = max(sizes)
    return [
        Figure(
            name=f"memory at most, over {10 * portion:,} events",
            value=peak,
            unit="MB",
            most=120,
            detail=f"at rest {sizes[0]:.0f} MB, relay {bare:.0f} MB, {peak / bare:.2f} times",
        ),
        Figure(
            name="memory of the last half / the first",
            value=max(sizes[6:]) / max(sizes[1:6]),
            most=1.1,
            detail=" ".join(f"{size:.0f}" for size in sizes),
        ),
    ]


def _drained(pid: int, sink: int, expected: int) -> float:
    """The most that was in use until everything was delivered."""
    most = 0.0

    def done() -> bool:
        nonlocal most
        most = max(most, _resident(pid))
        return taken(sink)[0] >= expected

    wait_for("every delivery", done)
    return most


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / MB
