"""Webhooks taken in a second, each on disk before its answer, against a handler that keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.children import child, daemon
from bench.figure import Figure, interleaved, median
from bench.load import Loaded, load

PROJECT = """
metadata: {name: bench}
sources:
  - {id: hook, connector: webhook, config: {}}
"""
"""A source without a secret, asked from this machine, and no route."""


def measure(*, short: bool) -> Sequence[Figure]:
    """Accepted in a second at 64 connections, and latencies."""
    rounds, seconds, count = (1, 0.5, 200) if short else (5, 3.0, 1_000_000)
    with child("bench.bare", "accept") as bare, daemon(PROJECT) as ours:
        port = ours.port
        taken, floor = interleaved(
            rounds,
            lambda: load(port, "/webhook/hook", seconds=seconds, count=count),
            lambda: load(bare.port, "/", seconds=seconds, count=count),
        )
    if sum(one.refused for one in taken):
        raise RuntimeError("the daemon refused webhooks")
    return [
        Figure(
            name="accepted/s, part of bare",
            value=median([a.rate / b.rate for a, b in zip(taken, floor, strict=True)]),
            least=0.3,
            goal=0.4,
            detail=f"{_rate(taken):,.0f}/s of {_rate(floor):,.0f}/s",
        ),
        *_latency("accept p50", [one.p50_ms for one in taken], [one.p50_ms for one in floor]),
        *_latency("accept p99", [one.p99_ms for one in taken], [one.p99_ms for one in floor]),
    ]


def _rate(loads: Sequence[Loaded]) -> float:
    return median([one.rate for one in loads])


def _latency(name: str, ours: Sequence[float], bare: Sequence[float]) -> list[Figure]:
    return [Figure(name=name, value=median(ours), unit="ms", detail=f"bare {median(bare):.3g} ms")]
