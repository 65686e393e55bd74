"""Metrics in Prometheus' text format: nothing is collected but when somebody asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from orgloop.core.deliveries.delivery import FINISHED, State
from orgloop.journal.model import PauseKind
from orgloop.operations.status.item import Item
from orgloop.operations.status.status import Status
from orgloop.runtime.support.counters import BUCKETS, Times
from orgloop.web.answers import plain_answer
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call
from orgloop.web.overview import JournalFacts, gather, look


async def metrics(daemon: DaemonApi, call: Call) -> web.Response:
    """All metrics."""
    call.parameters.finish()
    return await answer(daemon)


async def answer(daemon: DaemonApi) -> web.Response:
    """All metrics, as a whole response."""
    facts = await daemon.readings.ask(gather)
    seen, items = await look(daemon)
    size = await asyncio.to_thread(_size, daemon.runtime.home.journal)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(daemon=daemon, facts=facts, seen=seen, items=items, journal_bytes=size))
    ProcessCollector(registry=registry)
    return plain_answer(generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot(Collector):
    """The daemon's metrics as of now."""

    daemon: DaemonApi
    facts: JournalFacts
    seen: Status
    items: Sequence[Item]
    journal_bytes: int

    def collect(self) -> Iterator[Metric]:
        """Each family."""
        yield from self._daemon()
        yield from self._sources()
        yield from self._deliveries()
        yield from self._runs()

    def _daemon(self) -> Iterator[Metric]:
        runtime = self.daemon.runtime
        build = GaugeMetricFamily("orgloop_build_info", "The running version.", labels=["version", "project"])
        build.add_metric([self.daemon.version, self.daemon.module], 1)
        yield build
        yield _gauge("orgloop_uptime_seconds", "Since the daemon started.", self.daemon.uptime_ms / 1000)
        yield _gauge("orgloop_journal_bytes", "Size of the journal's files.", self.journal_bytes)
        yield _gauge("orgloop_accepts_waiting", "Events that wait for their commit.", runtime.journal.waiting)
        yield _gauge("orgloop_wakes_in_flight", "Actors that are being woken.", runtime.dispatcher.in_flight)
        health = GaugeMetricFamily("orgloop_health", "1 for the current health, else 0.", labels=["health"])
        for word in ("ok", "degraded", "error"):
            health.add_metric([word], float(self.seen.health == word))
        yield health
        writable = self.seen.live is not None and not self.seen.live.journal_fault
        yield _gauge("orgloop_journal_writable", "1 if events can be accepted.", float(writable))
        needs = GaugeMetricFamily("orgloop_attention", "Things that need a person.", labels=["kind"])
        for kind, count in Counter(item.kind for item in self.items).items():
            needs.add_metric([kind], count)
        yield needs
        paused = [row.kind for row in self.facts.pauses if row.actor in runtime.wiring.actors]
        unavailable = paused.count(PauseKind.UNAVAILABLE)
        yield _gauge("orgloop_actors_paused", "Actors that cannot be reached.", unavailable)
        yield _gauge(
            "orgloop_circuit_breakers_open",
            "Actors whose circuit breaker is open.",
            len(paused) - unavailable,
        )
        reached = GaugeMetricFamily(
            "orgloop_limits_reached", "Limits that work waits for.", labels=["scope", "unit"]
        )
        waits = Counter((row.waiting.scope.level, row.waiting.unit) for row in self.facts.waits)
        for (scope, unit), count in waits.items():
            reached.add_metric([scope, unit], count)
        yield reached

    def _sources(self) -> Iterator[Metric]:
        ids = self.daemon.runtime.wiring.sources
        yield _gauge("orgloop_connected_sources", "Configured sources.", len(ids))
        events = CounterMetricFamily("orgloop_events", "Events accepted.", labels=["source"])
        failing = GaugeMetricFamily(
            "orgloop_source_failures", "Failures in a row; 0 is healthy.", labels=["source"]
        )
        for id in ids:
            row = self.facts.sources.get(id)
            events.add_metric([id], row.events if row else 0)
            failing.add_metric([id], row.errors if row else 0)
        refused = CounterMetricFamily(
            "orgloop_requests_refused", "Requests refused, since the daemon started.", labels=["source"]
        )
        for id, refusals in self.daemon.runtime.counters.refusals.items():
            refused.add_metric([id], refusals.times)
        yield from (events, failing, refused)

    def _deliveries(self) -> Iterator[Metric]:
        wiring, counters = self.daemon.runtime.wiring, self.daemon.runtime.counters
        routed = CounterMetricFamily(
            "orgloop_events_routed", "Deliveries made, by route and actor.", labels=["route", "connector"]
        )
        times = HistogramMetricFamily(
            "orgloop_event_processing_seconds",
            "From taking a delivery up to its outcome, or its run's start, since the daemon started.",
            labels=["route"],
        )
        for route in wiring.order:
            routed.add_metric([route.name, route.spec.actor], self.facts.routes.get(route.name, (0, None))[0])
            known = counters.tries.get(route.name)
            if known is not None:
                times.add_metric([route.name], buckets=_buckets(known), sum_value=known.seconds)
        errors = CounterMetricFamily(
            "orgloop_connector_errors",
            "Failed polls and failed tries at waking, since the daemon started.",
            labels=["connector"],
        )
        for id in dict.fromkeys([*wiring.sources, *wiring.actors]):
            errors.add_metric([id], counters.errors[id])
        yield from (routed, times, errors)
        yield from self._states()

    def _states(self) -> Iterator[Metric]:
        now = GaugeMetricFamily("orgloop_deliveries", "Unfinished deliveries.", labels=["state"])
        ended = CounterMetricFamily("orgloop_deliveries_finished", "Finished deliveries.", labels=["state"])
        for state, count in self.facts.deliveries.items():
            (ended if State(state) in FINISHED else now).add_metric([state], count)
        yield from (now, ended)

    def _runs(self) -> Iterator[Metric]:
        counters = self.daemon.runtime.counters
        yield _gauge("orgloop_runs_open", "Active runs.", self.facts.deliveries[State.STARTED])
        runs = CounterMetricFamily(
            "orgloop_runs_ended", "Runs that ended, since the daemon started.", labels=["actor", "outcome"]
        )
        for (actor, outcome), count in counters.runs.items():
            runs.add_metric([actor, outcome], count)
        cost = CounterMetricFamily(
            "orgloop_run_cost_usd",
            "Reported cost of ended runs, since the daemon started.",
            labels=["actor"],
        )
        for actor, sum_usd in counters.cost_usd.items():
            cost.add_metric([actor], sum_usd)
        yield from (runs, cost)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)


def _buckets(times: Times) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them."""
    total, found = 0, []
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], times.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


_FILES: Final = ("", "-wal", "-shm")


def _size(journal: Path) -> int:
    found: list[Any] = [journal.with_name(journal.name + suffix) for suffix in _FILES]
    return sum(path.stat().st_size for path in found if path.exists())
