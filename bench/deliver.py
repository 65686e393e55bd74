"""Webhooks delivered to a sink, to the last one, against a relay that keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.children import child, daemon
from bench.figure import Figure, interleaved, median
from bench.load import load
from bench.sink import taken
from tests.e2e.organization import wait_for

PROJECT = """
metadata: {name: bench}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: sink, connector: webhook, config: {url: "${SINK}"}}
routes:
  - {name: to-sink, when: {source: hook, events: [bench]}, then: {actor: sink}}
"""


@dataclass(frozen=True, slots=True)
class Drain:
    """One load and what came of it: deliveries in a second over all, and the part delivered meanwhile."""

    rate: float
    accept_rate: float
    meanwhile: float
    p99_ms: float


def measure(*, short: bool) -> Sequence[Figure]:
    """Deliveries in a second over the whole drain, and the part that is delivered while the load goes on."""
    rounds, count = (1, 200) if short else (5, 8_000)
    with child("bench.sink") as sink:
        url = f"http://127.0.0.1:{sink.port}/"
        with child("bench.bare", "relay", url) as relay, daemon(PROJECT, SINK=url) as ours:
            through, floor = interleaved(
                rounds,
                partial(_drain, ours.port, "/webhook/hook", sink.port, count),
                partial(_drain, relay.port, "/", sink.port, count),
            )
    rate, bare = median([one.rate for one in through]), median([one.rate for one in floor])
    return [
        Figure(
            name="delivered/s over the whole drain, part of bare",
            value=median([a.rate / b.rate for a, b in zip(through, floor, strict=True)]),
            least=0.35,
            goal=0.5,
            detail=f"{rate:,.0f}/s of {bare:,.0f}/s",
        ),
        Figure(
            name="delivered during load / accepted",
            value=median([one.meanwhile for one in through]),
            least=0.5,
            detail=f"accepted {median([one.accept_rate for one in through]):,.0f}/s meanwhile, "
            f"p99 {median([one.p99_ms for one in through]):.3g} ms",
        ),
    ]


def _drain(port: int, path: str, sink: int, count: int) -> Drain:
    before, _ = taken(sink)
    done = load(port, path, seconds=30, count=count)
    if done.refused:
        raise RuntimeError(f"{done.refused} of {count} were refused")
    meanwhile, _ = taken(sink, done.ended)

    def all_there() -> bool:
        return taken(sink)[0] >= before + done.accepted

    wait_for("every delivery", all_there)
    _, last = taken(sink, time.monotonic())
    return Drain(
        rate=done.accepted / (last - done.began),
        accept_rate=done.rate,
        meanwhile=(meanwhile - before) / done.accepted,
        p99_ms=done.p99_ms,
    )
