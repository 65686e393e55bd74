"""kill -9 under load: whatever got its 200 reaches its end, and every run ends exactly once."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

from orgloop.core.delivery import State
from orgloop.journal.model import Query
from orgloop.journal.protocols import Reader
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

KILLS = int(os.environ.get("ORGLOOP_TEST_KILLS", "8"))
SENDERS = 4

PROJECT = """
metadata: {name: chaos}
defaults:
  limits: {runs: 4}
  budget: {runs_per_hour: null}
  delivery: {retry: {initial_delay: 50ms, max_delay: 200ms, max_attempts: 50}}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: slow, connector: webhook, config: {url: "${SINK}/slow"}}
  - {id: flaky, connector: webhook, config: {url: "${SINK}/flaky"}}
  - id: agent
    connector: process
    config: {command: [./bin/agent], overlap: true}
  - {id: ended, connector: webhook, config: {url: "${SINK}/ok"}}
routes:
  - name: to-slow
    when: {source: hook, events: [work, agent-work]}
    then: {actor: slow, config: {session_key: "{{payload.key}}"}}
  - {name: to-flaky, when: {source: hook, events: [work]}, then: {actor: flaky}}
  - {name: to-agent, when: {source: hook, events: [agent-work]}, then: {actor: agent}}
  - {name: when-ended, when: {source: agent, events: [actor.stopped]}, then: {actor: ended}}
"""

AGENT = """#!/bin/sh
echo "$ORGLOOP_RUN_ID" >> "$RUNS_BEGUN"
sleep 0.3
echo "$ORGLOOP_RUN_ID" >> "$RUNS_ENDED"
echo done
"""


class Load:
    """Senders that go on, whatever happens to the daemon, and remember which events got a 200."""

    def __init__(self, organization: Organization) -> None:
        self.accepted: list[str] = []
        self._organization = organization
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        sent = 0
        while not self._ending.is_set():
            sent += 1
            kind = "agent-work" if sent % 40 == 1 else "work"
            try:
                status, answer = self._organization.post(
                    "hook", {"type": kind, "key": f"k{sent % 7}", "n": sent}
                )
            except (OSError, AssertionError, ValueError):
                self._ending.wait(0.02)
                continue
            if status == 200:
                self.accepted.append(answer["event_id"])


def test_whatever_got_its_200_survives_every_kill(
    organization: Organization, sink: Sink, tmp_path: Path
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    agent = AGENT.replace("$RUNS_BEGUN", str(begun)).replace("$RUNS_ENDED", str(ended))
    organization.environ = {"SINK": sink.url}
    organization.write({"orgloop.yaml": PROJECT, "bin/agent": agent})
    chance = random.Random(7)
    organization.start()
    with Load(organization) as load:
        for _ in range(KILLS):
            _some_load(load, chance.uniform(0.05, 0.8))
            organization.kill()
            organization.start()
    _until_all_is_done(organization)
    with organization.reader() as reader:
        _nothing_is_lost(reader, load.accepted)
        runs = reader.runs(Query(limit=100_000))
    assert organization.stop() == 0
    _each_delivery_was_taken(sink)
    # Agents outlived the daemon, each ran once, and the end of each is known once.
    started = Counter(begun.read_text().split())
    assert set(started.values()) == {1}
    assert Counter(ended.read_text().split()) == started
    assert {run.id for run in runs if run.outcome == "success"} == set(started)


def _some_load(load: Load, seconds: float) -> None:
    """At least so many seconds, and at least one more event taken."""
    already, until = len(load.accepted), time.monotonic() + seconds
    wait_for("load", lambda: time.monotonic() > until and len(load.accepted) > already)


def _until_all_is_done(organization: Organization) -> None:
    def done() -> bool:
        with organization.reader() as reader:
            return not [state for state in reader.counts() if state != "total"]

    wait_for("every delivery to reach its end", done, patience=120)


def _nothing_is_lost(reader: Reader, accepted: list[str]) -> None:
    """Every answered event is there, once, with all its deliveries at their end; what a run caused, too."""
    assert len(accepted) == len(set(accepted))
    for event_id in accepted:
        event = reader.event(event_id)
        assert event is not None, f"{event_id} got a 200 and is gone"
        deliveries = reader.deliveries(Query(event_id=event_id))
        assert len(deliveries) == event.routes == 2
        assert {delivery.state for delivery in deliveries} == {State.DELIVERED}
    stops = Counter(
        event.document["payload"]["run_id"]
        for event in reader.events(Query(source="agent", limit=100_000))
        if event.type == "actor.stopped"
    )
    assert set(stops.values()) <= {1}, "a run ends exactly once"


def _each_delivery_was_taken(sink: Sink) -> None:
    """At least once; a kill between an answer and its commit may repeat what was in flight, no more."""
    again = sum(times - 1 for times in sink.taken.values())
    assert again <= KILLS * 64
