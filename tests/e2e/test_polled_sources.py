"""A list and a directory, polled by a daemon that is killed again and again: each item is one event."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orgloop.journal.model import Query
from tests.e2e.organization import Organization, wait_for

ROUNDS = 2
EACH = 5

PROJECT = """
metadata: {name: polled}
sources:
  - id: desk
    connector: http
    poll: {interval: 1s}
    config: {url: "${DESK}", params: {page: "{{ page }}"}, max_pages: 2}
  - id: inbox
    connector: files
    poll: {interval: 1s}
    config: {directory: ./inbox, settle: 0s}
actors:
  - {id: taker, connector: process, config: {command: ["true"]}}
routes: []
"""


class Desk:
    """A list of numbers in pages of four."""

    def __init__(self) -> None:
        self.items: list[int] = [0]
        self.asked = 0
        self.url = ""

    def was_asked_since(self, number: int) -> bool:
        return self.asked > number

    def page(self, path: str) -> bytes:
        self.asked += 1
        at = (int(path.rpartition("=")[2]) - 1) * 4
        return json.dumps([{"id": one} for one in self.items[at : at + 4]]).encode()


@pytest.fixture
def desk() -> Iterator[Desk]:
    served = Desk()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.page(self.path)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/list"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def told(organization: Organization) -> Counter[str]:
    """How many events there are of each item and each file."""
    with organization.reader() as reader:
        return Counter(str(one.entity) for one in reader.events(Query(limit=1000)))


def began(organization: Organization) -> bool:
    """Whether each source has looked once."""
    with organization.reader() as reader:
        return len([one for one in reader.sources() if not one.errors]) == 2


def test_each_item_and_each_file_is_one_event_whenever_the_daemon_dies(
    organization: Organization, desk: Desk
) -> None:
    organization.write({"orgloop.yaml": PROJECT, "inbox/0": "old"})
    organization.environ["DESK"] = desk.url
    organization.start()
    wait_for("the first look of both", lambda: began(organization))
    expected: set[str] = set()
    for round in range(ROUNDS):
        seen = desk.asked
        for number in range(1, EACH + 1):
            id = round * EACH + number
            desk.items.append(id)
            (organization.root / "inbox" / f"file-{id}").write_text("new")
            expected |= {str(id), f"file-{id}"}
        if round:
            wait_for("a poll", partial(desk.was_asked_since, seen))
        organization.kill()
        organization.start()
    wait_for("all events", lambda: set(told(organization)) >= expected)
    seen = desk.asked
    wait_for("two more looks", lambda: desk.asked > seen + 2 * len(desk.items) // 4)
    assert organization.stop() == 0
    assert told(organization) == Counter(expected), "one event each, and none of what was there before"
