"""Reloads under load: the project changes again and again while webhooks come; nothing is lost or twice."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from orgloop.core.deliveries.delivery import State
from orgloop.daemon.client import Client
from orgloop.journal.model import Query
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

EVENTS: Final = 2_000
RELOADS: Final = 8
SENDERS: Final = 4

PROJECT: Final = """
metadata: {{name: reload}}
sources:
  - {{id: hook, connector: webhook, config: {{}}}}
actors:
  - {{id: first, connector: webhook, config: {{url: "${{SINK}}/ok", headers: {{X-Turn: "{turn}"}}}}}}
  - {{id: second, connector: webhook, config: {{url: "${{SINK}}/ok"}}}}
transforms:
  - {{name: mark, type: enrich, config: {{set: {{payload.turn: {turn}}}}}}}
routes:
  - name: {name}
    {renamed}
    when: {{source: hook, events: [work]}}
    transforms: [mark]
    then: {{actor: {actor}, config: {{session_key: "{key}:{{{{payload.key}}}}"}}}}
  - name: other
    when: {{source: hook, events: [work]}}
    then: {{actor: second}}
"""


def project(turn: int) -> str:
    """The project at its nth turn: another name, actor, transform and key each time."""
    now, before = ("even", "odd") if turn % 2 == 0 else ("odd", "even")
    return PROJECT.format(
        turn=turn,
        name=now,
        renamed=f"renamed_from: {before}",
        actor="first" if turn % 3 else "second",
        key="k" if turn % 4 else "other",
    )


class Senders:
    """Threads that send numbered webhooks. `accepted` are the ids that were answered, by number."""

    def __init__(self, port: int) -> None:
        self.accepted: dict[int, str] = {}
        self.others: Counter[int] = Counter()
        self._port = port
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while (number := next(self._numbers)) < EVENTS:
                body = json.dumps({"type": "work", "key": f"k{number % 7}", "number": number})
                headers = {"Content-Type": "application/json", "Idempotency-Key": str(number)}
                connection.request("POST", "/webhook/hook", body, headers)
                answer = connection.getresponse()
                content: Mapping[str, str] = json.loads(answer.read())
                if answer.status == 200:
                    self.accepted[number] = content["event_id"]
                else:
                    self.others[answer.status] += 1
        finally:
            connection.close()


def test_reloads_under_load_lose_nothing_and_deliver_nothing_twice(
    organization: Organization, sink: Sink
) -> None:
    organization.environ = {"SINK": sink.url}
    organization.write({"orgloop.yaml": project(0)})
    organization.start()
    client = Client.of_home(organization.home)
    assert client is not None
    moved: Counter[str] = Counter()
    with Senders(organization.port) as senders:
        for turn in range(1, RELOADS + 1):
            due = EVENTS * turn // (RELOADS + 1)
            wait_for("load", lambda due=due: len(senders.accepted) >= due)  # type: ignore[misc]
            organization.write({"orgloop.yaml": project(turn)})
            moved.update(client.apply(organization.root))
    assert senders.others == {}
    assert len(senders.accepted) == EVENTS
    assert moved["renamed"] > 0, "no work waited at any reload: the test shows nothing"
    assert moved["held"] == 0

    def is_done() -> bool:
        with organization.reader() as reader:
            return set(reader.counts()) <= {"total"}

    wait_for("every delivery to reach its end", is_done, patience=120)
    with organization.reader() as reader:
        events = reader.events(Query(source="hook", limit=10 * EVENTS))
        deliveries = reader.deliveries(Query(limit=10 * EVENTS))
    assert organization.stop() == 0
    assert sorted(one.document["payload"]["number"] for one in events) == list(range(EVENTS))
    assert {one.id for one in events} == set(senders.accepted.values())
    # Each configuration has two routes for it, whatever they are called.
    assert set(Counter(one.event_id for one in deliveries).values()) == {2}
    assert {one.state for one in deliveries} == {State.DELIVERED}
    assert sink.taken == {one.id: 1 for one in deliveries}
