"""kill -9 under load: whatever got its 200 reaches its end, and every run ends exactly once."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from orgloop.core.deliveries.delivery import CRASHES_BEFORE_HOLD, State
from orgloop.core.deliveries.transition import HoldReason
from orgloop.journal.model import DeliveryRow, EventRow, Query
from orgloop.journal.protocols import Reader
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

KILLS = int(os.environ.get("ORGLOOP_TEST_KILLS", "6"))
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
  - {id: many, connector: webhook, config: {url: "${SINK}/many"}}
routes:
  - name: to-slow
    when: {source: hook, events: [work, agent-work]}
    then: {actor: slow, config: {session_key: "{{payload.key}}"}}
  - name: to-many
    when: {source: hook, events: [work, agent-work]}
    then: {actor: many, batch: {key: "{{payload.key}}", window: 100ms, max_wait: 1s, max_events: 20}}
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
    """Senders that go on, whatever happens to the daemon. Each sends its next event once this one got a 200.

    `accepted` are the ids that were answered, by sender and number.
    """

    def __init__(self, organization: Organization) -> None:
        self.accepted: dict[tuple[int, int], str] = {}
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

    def _send(self, sender: int) -> None:
        number = 0
        while not self._ending.is_set():
            event = {"type": "agent-work" if number % 40 == 1 else "work", "key": f"k{number % 7}"}
            try:
                status, answer = self._organization.post(
                    "hook",
                    {**event, "sender": sender, "number": number},
                    {"Idempotency-Key": f"{sender}-{number}"},
                )
            except (OSError, AssertionError, ValueError, http.client.HTTPException):
                status, answer = 0, {}
            if status == 200:
                self.accepted[sender, number] = answer["event_id"]
                number += 1
            else:
                self._ending.wait(0.02)


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
    released = _until_all_is_done(organization)
    with organization.reader() as reader:
        order = _nothing_is_lost(reader, load.accepted)
        batches = reader.deliveries(Query(route="to-many", limit=100_000))
        runs = reader.runs(Query(limit=100_000))
        stopped = [event for event in reader.events(Query(source="agent", limit=100_000)) if _is_stop(event)]
    assert organization.stop() == 0
    _each_delivery_was_taken(sink)
    _keys_kept_their_order(sink, order, released)
    _each_batch_was_one_wake(sink, batches)
    # Agents outlived the daemon, each ran once, and the end of each is known once.
    started = Counter(begun.read_text().split())
    assert set(started.values()) == {1}
    assert Counter(ended.read_text().split()) == started
    assert {run.id for run in runs if run.outcome == "success"} == set(started)
    assert Counter(event.document["payload"]["run_id"] for event in stopped) == started


def _some_load(load: Load, seconds: float) -> None:
    """At least so many seconds, and at least one more event taken."""
    already, until = len(load.accepted), time.monotonic() + seconds
    wait_for("load", lambda: time.monotonic() > until and len(load.accepted) > already)


def _until_all_is_done(organization: Organization) -> set[str]:
    """Returns what had to be released: what was in the air at three kills looks like poison, and is held."""
    released: set[str] = set()

    def only_held() -> bool:
        with organization.reader() as reader:
            return set(reader.counts()) <= {"total", State.HELD}

    while True:
        wait_for("every delivery to reach its end", only_held, patience=120 + 2 * KILLS)
        with organization.reader() as reader:
            held = reader.deliveries(Query(states=[State.HELD], limit=100_000))
        if not held:
            return released
        assert {(one.reason, one.crashes) for one in held} == {(HoldReason.CRASHES, CRASHES_BEFORE_HOLD)}
        released |= {one.id for one in held}
        organization.command("held", "release", "--all", "--reason", HoldReason.CRASHES, "--yes")


def _nothing_is_lost(reader: Reader, accepted: Mapping[tuple[int, int], str]) -> list[str]:
    """Every answered event is there, once, with all its deliveries at their end. Returns these in order."""
    events = reader.events(Query(source="hook", limit=100_000))
    sent = Counter((one.document["payload"]["sender"], one.document["payload"]["number"]) for one in events)
    assert set(sent.values()) == {1}, "nothing is there twice, however often it was sent"
    ids = {one.id for one in events}
    assert [id for id in accepted.values() if id not in ids] == [], "these got a 200 and are gone"
    assert len(set(accepted.values())) == len(accepted)
    deliveries = reader.deliveries(Query(source="hook", limit=100_000))
    assert Counter(one.event_id for one in deliveries) == {one.id: one.routes for one in events}
    assert {one.routes for one in events} == {3}
    assert {one.state for one in deliveries} == {State.DELIVERED}
    return [one.id for one in sorted(deliveries, key=lambda one: int(one.cursor))]


def _is_stop(event: EventRow) -> bool:
    return event.type == "actor.stopped"


def _each_delivery_was_taken(sink: Sink) -> None:
    """At least once; a kill between an answer and its commit may repeat what was in flight, no more."""
    again = sum(times - 1 for times in sink.taken.values())
    assert again <= KILLS * 64


def _each_batch_was_one_wake(sink: Sink, rows: Sequence[DeliveryRow]) -> None:
    """Each event was in one wake, with the same others however often that was tried, and in order."""
    event_of = {row.id: row.event_id for row in rows}
    members = {row.lead: [event_of[id] for id in row.members or [row.id]] for row in rows}
    assert sum(map(len, members.values())) == len(rows)
    assert max(map(len, members.values())) > 1
    seen: dict[str, list[str]] = {}
    for path, headers, body in sink.bodies:
        if path == "/many":
            events = [event["id"] for event in body.get("events", [body["event"]])]
            assert len({event["payload"]["key"] for event in body.get("events", [body["event"]])}) == 1
            assert seen.setdefault(headers["x-orgloop-delivery"], events) == events
    assert seen == members
    places = {row.event_id: int(row.cursor) for row in rows}
    assert all(sorted(events, key=places.__getitem__) == events for events in seen.values())


def _keys_kept_their_order(sink: Sink, order: Sequence[str], released: Collection[str]) -> None:
    """What was taken first of each key came first; who is released joins the tail."""
    places = {id: place for place, id in enumerate(order)}
    first: dict[str, str] = {}
    for path, headers, body in sink.bodies:
        if path == "/slow":
            first.setdefault(headers["x-orgloop-delivery"], body["event"]["payload"]["key"])
    for key in set(first.values()):
        came = [places[id] for id, own in first.items() if own == key and id not in released]
        assert came == sorted(came)
