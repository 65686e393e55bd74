"""Metrics: the published names, and numbers that are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from orgloop.core.deliveries.transition import Rejected, Retry, RunEnded, Unavailable
from orgloop.runtime.support.counters import BUCKETS, Counters, Times
from tests.web.daemon import Daemon, daemon, until


async def scraped(acme: Daemon) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    status, headers, text = await acme.whole("GET", "/api/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def test_the_published_metrics_are_there_with_their_types_and_labels(acme: Daemon) -> None:
    await acme.webhook()
    await acme.settled("delivered")
    _, _, text = await acme.whole("GET", "/api/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, kind, labels in (
        ("orgloop_events_routed", "counter", {"route", "connector"}),
        ("orgloop_event_processing_seconds", "histogram", {"route"}),
        ("orgloop_connector_errors", "counter", {"connector"}),
        ("orgloop_uptime_seconds", "gauge", set()),
        ("orgloop_connected_sources", "gauge", set()),
        ("orgloop_events", "counter", {"source"}),
        ("orgloop_deliveries", "gauge", {"state"}),
        ("orgloop_deliveries_finished", "counter", {"state"}),
        ("orgloop_journal_bytes", "gauge", set()),
    ):
        family = families[name]
        assert family.type == kind, name
        assert family.documentation, name
        assert all(set(one.labels) - {"le"} == labels for one in family.samples), name
    assert "process_resident_memory_bytes" in families or not Path("/proc").exists()


async def test_the_numbers_are_true(acme: Daemon) -> None:
    await until(lambda: acme.runtime.sources.next_polls.get("polled"), "a poll")
    acme.actor.outcomes = [Rejected(reason="no"), RuntimeError("broken")]
    for _ in range(3):
        await acme.webhook()
    await until(lambda: sorted(acme.states()) == ["dead", "delivered", "pending"], "three outcomes")
    found = await scraped(acme)
    assert sample(found, "orgloop_events_total", source="hooks") == 3
    assert sample(found, "orgloop_events_total", source="polled") == 1
    assert sample(found, "orgloop_events_total", source="signed") == 0
    assert sample(found, "orgloop_events_routed_total", route="all-hooks", connector="target") == 3
    assert sample(found, "orgloop_events_routed_total", route="main-only", connector="target") == 0
    assert sample(found, "orgloop_connector_errors_total", connector="target") == 2
    assert sample(found, "orgloop_connector_errors_total", connector="hooks") == 0
    assert sample(found, "orgloop_connected_sources") == 3
    assert sample(found, "orgloop_deliveries", state="dead") == 1
    assert sample(found, "orgloop_deliveries", state="pending") == 1
    assert sample(found, "orgloop_deliveries_finished_total", state="delivered") == 1
    assert sample(found, "orgloop_accepts_waiting") == 0
    assert sample(found, "orgloop_runs_open") == 0
    assert sample(found, "orgloop_build_info", version="1.2.3", project="acme") == 1
    assert sample(found, "orgloop_event_processing_seconds_count", route="all-hooks") == 3
    assert sample(found, "orgloop_event_processing_seconds_bucket", route="all-hooks", le="10.0") == 3
    assert 0 <= sample(found, "orgloop_event_processing_seconds_sum", route="all-hooks") < 30


async def test_nothing_is_kept_in_the_global_registry(acme: Daemon) -> None:
    await scraped(acme)
    await scraped(acme)
    assert [family.name for family in REGISTRY.collect() if family.name.startswith("orgloop")] == []


async def test_labels_hold_any_text(home: Path) -> None:
    from dataclasses import replace

    from tests.web.daemon import route

    odd = 'a "quoted" \\ name\nof two lines é'
    async with daemon(home, lambda organization: replace(organization, routes=[route(odd)])) as acme:
        await acme.webhook()
        await acme.settled("delivered")
        found = await scraped(acme)
    assert sample(found, "orgloop_events_routed_total", route=odd, connector="target") == 1


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.005, 0), (0.0051, 1), (10.0, len(BUCKETS) - 1), (11.0, len(BUCKETS))]
)
def test_a_time_falls_into_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    times = Times()
    times.add(seconds)
    assert [number for number, count in enumerate(times.counts) if count] == [bucket]
    assert times.seconds == seconds


def test_a_tally_counts_what_failed() -> None:
    counters = Counters()
    for transition in (Rejected(reason="a"), Retry(reason="b"), Unavailable(reason="c")):
        counters.tried("route", "actor", transition, -1.0)
    counters.poll_failed("source")
    counters.run_ended("agent", RunEnded(), "success", 0.25)
    counters.run_ended("agent", RunEnded(), "success", None)
    assert counters.errors == {"actor": 3, "source": 1}
    assert (counters.tries["route"].seconds, counters.tries["route"].counts[0]) == (0.0, 3)
    assert counters.runs == {("agent", "success"): 2}
    assert counters.cost_usd == {"agent": 0.25}


def test_every_metric_is_documented() -> None:
    root = Path(__file__).parents[2]
    source = (root / "src/orgloop/web/metrics.py").read_text()
    documented = (root / "docs/http.md").read_text()
    names = set(re.findall(r'"(orgloop_\w+)"', source))
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in documented] == []
