"""Events are never lost, doubled or kept from others by what goes wrong beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import HoldReason
from orgloop.errors import JournalUnavailable
from orgloop.journal.model import Query
from orgloop.plugin import Page
from tests.compat.feed import Feed, draft
from tests.compat.living import Living, living, until
from tests.config.project import write
from tests.connectors.github_bodies import DELIVERIES
from tests.e2e.sink import Sink

HEAD = """\
metadata: {name: faults}
defaults:
  poll_interval: 10ms
  delivery: {timeout: 2s, retry: {initial_delay: 10ms, max_delay: 20ms, max_attempts: 2}}
"""


def project(root: Path, text: str, **scripts: str) -> Path:
    """A project; scripts by name, without their `.sh`."""
    files = {f"{name}.sh": f"#!/bin/sh\n{body}\n" for name, body in scripts.items()}
    return write(root / "org", {"orgloop.yaml": HEAD + text, **files})


async def polled(org: Living, source: str, count: int) -> Sequence[str]:
    """The ids of a source's events, oldest first, once there are `count`."""
    return await until(
        lambda: ids if len(ids := [row.id for row in org.events(source)]) >= count else [], f"{count} events"
    )


async def test_what_fails_for_one_event_and_route_takes_nothing_from_the_others(
    tmp_path: Path, sink: Sink
) -> None:
    feed = Feed()
    feed.pages.append(Page(events=[draft("a", n=n) for n in range(3)], checkpoint="1"))
    root = project(
        tmp_path,
        """\
sources: [{id: feed, connector: feed}]
actors:
  - {id: broken, connector: webhook, config: {url: "${SINK}/status/500"}}
  - {id: refusing, connector: webhook, config: {url: "${SINK}/status/404"}}
  - {id: fine, connector: webhook, config: {url: "${SINK}/ok"}}
transforms:
  - {name: breaks, type: script, script: ./breaks.sh, on_error: halt}
routes:
  - {name: to-broken, when: {source: feed, events: ["*"]}, then: {actor: broken}}
  - {name: to-refusing, when: {source: feed, events: ["*"]}, then: {actor: refusing}}
  - {name: halted, when: {source: feed, events: ["*"]}, transforms: [breaks], then: {actor: fine}}
  - {name: to-fine, when: {source: feed, events: ["*"]}, then: {actor: fine}}
""",
        breaks="exit 3",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home", feed.connector) as org:
        for event in await polled(org, "feed", 3):
            found = await org.settled(event)
            assert {name: row.state for name, row in found.items()} == {
                "to-broken": State.DEAD,
                "to-refusing": State.DEAD,
                "halted": State.HELD,
                "to-fine": State.DELIVERED,
            }


async def test_a_checkpoint_moves_only_with_its_events(
    tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed()
    feed.gate.clear()
    page = Page(events=[draft("a")], checkpoint="7")
    feed.pages.extend([page, page])
    root = project(
        tmp_path,
        """\
sources: [{id: feed, connector: feed}]
actors: [{id: fine, connector: webhook, config: {url: "${SINK}/ok"}}]
routes: [{name: r, when: {source: feed, events: ["*"]}, then: {actor: fine}}]
""",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home", feed.connector) as org:
        accept = org.runtime.journal.accept
        refused: list[Any] = []

        async def full_once(acceptance: Any) -> Any:
            if refused:
                return await accept(acceptance)
            refused.append(acceptance)
            raise JournalUnavailable("the disk is full")

        monkeypatch.setattr(org.runtime.journal, "accept", full_once)
        feed.gate.set()
        (event,) = await polled(org, "feed", 1)
        await until(lambda: len(feed.checkpoints) > 2, "a poll after the commit")
        assert len(refused) == 1
        assert feed.checkpoints[:3] == [None, None, "7"]
        assert (await org.settled(event))["r"].state is State.DELIVERED


async def test_a_source_that_fails_to_poll_shows_and_goes_on_where_it_was(tmp_path: Path, sink: Sink) -> None:
    feed = Feed()
    feed.pages.extend(
        [Page(checkpoint="1"), ConnectionError("away"), Page(events=[draft("a")], checkpoint="2")]
    )
    root = project(tmp_path, "sources: [{id: feed, connector: feed}]\n")
    async with living(root, {}, tmp_path / "home", feed.connector) as org:
        await until(lambda: [one for one in org.reader.sources() if "away" in one.error], "the failure")
        await polled(org, "feed", 1)
        assert feed.checkpoints[:3] == [None, "1", "1"]
        await until(lambda: [one for one in org.reader.sources() if not one.error], "the recovery")


async def test_a_slow_poll_is_never_overtaken_by_the_next(tmp_path: Path) -> None:
    feed = Feed()
    root = project(tmp_path, "sources: [{id: feed, connector: feed, poll: {interval: 1ms}}]\n")
    async with living(root, {}, tmp_path / "home", feed.connector) as org:
        await until(lambda: len(feed.checkpoints) >= 2, "two polls")
        feed.gate.clear()
        await until(lambda: feed.going == 1, "a poll that takes long")
        asked, began = len(feed.checkpoints), time.monotonic()
        await until(lambda: time.monotonic() - began > 0.3, "three hundred intervals")
        assert len(feed.checkpoints) == asked
        feed.pages.append(Page(events=[draft("late")], checkpoint="9"))
        feed.gate.set()
        await polled(org, "feed", 1)
        assert feed.most == 1


async def test_what_a_webhook_brings_is_one_event_also_where_an_interval_is_written(
    tmp_path: Path, sink: Sink
) -> None:
    root = project(
        tmp_path,
        """\
sources: [{id: hooks, connector: webhook, poll: {interval: 10ms}, config: {buffer_dir: ./buffer}}]
actors: [{id: fine, connector: webhook, config: {url: "${SINK}/ok"}}]
routes: [{name: r, when: {source: hooks, events: ["*"]}, then: {actor: fine}}]
""",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home") as org:
        event = await org.send("hooks", {"type": "a"})
        await org.settled(event)
        last = await org.send("hooks", {"type": "b"})
        await org.settled(last)
        assert [row.id for row in org.events("hooks")] == [event, last]
        assert len(sink.bodies) == 2
        assert not (root / "buffer").exists()


async def test_two_routes_with_one_dedup_each_see_an_event_for_the_first_time(
    tmp_path: Path, sink: Sink
) -> None:
    root = project(
        tmp_path,
        """\
sources: [{id: hooks, connector: webhook}]
actors: [{id: fine, connector: webhook, config: {url: "${SINK}/ok"}}]
transforms: [{name: once, type: package, package: "@orgloop/transform-dedup", config: {key: [payload.id]}}]
routes:
  - {name: first, when: {source: hooks, events: ["*"]}, transforms: [once], then: {actor: fine}}
  - {name: second, when: {source: hooks, events: ["*"]}, transforms: [once], then: {actor: fine}}
""",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home") as org:
        first = await org.settled(await org.send("hooks", {"id": 1}))
        again = await org.settled(await org.send("hooks", {"id": 1}))
        assert {name: row.state for name, row in first.items()} == dict.fromkeys(
            ["first", "second"], State.DELIVERED
        )
        assert {name: row.state for name, row in again.items()} == dict.fromkeys(
            ["first", "second"], State.DROPPED
        )


async def test_what_failed_is_tried_again_and_is_no_duplicate_of_itself(tmp_path: Path, sink: Sink) -> None:
    root = project(
        tmp_path,
        """\
sources: [{id: hooks, connector: webhook}]
actors: [{id: flaky, connector: webhook, config: {url: "${SINK}/flaky"}}]
routes: [{name: r, when: {source: hooks, events: ["*"]}, transforms: [dedup], then: {actor: flaky}}]
""",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home") as org:
        found = (await org.settled(await org.send("hooks", {"id": 1})))["r"]
        assert (found.state, sink.tries[found.id]) == (State.DELIVERED, 2)


async def test_a_target_that_never_answers_holds_nobody_else_up(tmp_path: Path, sink: Sink) -> None:
    hung, over = asyncio.Event(), asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung.set()
        await over.wait()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    root = project(
        tmp_path,
        """\
sources: [{id: hooks, connector: webhook}]
actors:
  - {id: silent, connector: webhook, config: {url: "${SILENT}"}}
  - {id: fine, connector: webhook, config: {url: "${SINK}/ok"}}
routes:
  - {name: to-silent, when: {source: hooks, events: ["*"]}, then: {actor: silent}}
  - {name: to-fine, when: {source: hooks, events: ["*"]}, then: {actor: fine}}
""",
    )
    variables = {"SINK": sink.url, "SILENT": f"http://127.0.0.1:{port}"}
    async with living(root, variables, tmp_path / "home") as org:
        first = await org.send("hooks", {})
        await hung.wait()
        second = await org.send("hooks", {})
        for event in (first, second):
            rows = await until(
                lambda event=event: [  # type: ignore[misc]
                    row
                    for row in org.reader.deliveries(Query(event_id=event))
                    if (row.route, row.state) == ("to-fine", State.DELIVERED)
                ],
                "the other route",
            )
            assert len(rows) == 1
        given_up = await org.settled(first)
        assert given_up["to-silent"].state is State.DEAD
        over.set()
    listener.close()
    await listener.wait_closed()


async def test_an_agent_that_wakes_itself_is_held_though_each_run_is_an_event_of_its_own(
    tmp_path: Path,
) -> None:
    root = project(
        tmp_path,
        """\
sources: [{id: hooks, connector: webhook}]
actors: [{id: agent, connector: process, config: {command: ["true"], prompt: none}}]
routes:
  - {name: begin, when: {source: hooks, events: ["*"]}, then: {actor: agent}}
  - {name: again, when: {source: agent, events: [actor.stopped]}, then: {actor: agent}}
""",
    )
    text = (root / "orgloop.yaml").read_text()
    (root / "orgloop.yaml").write_text(text.replace("defaults:\n", "defaults:\n  limits: {max_hops: 2}\n"))
    async with living(root, {"PATH": "/usr/bin:/bin"}, tmp_path / "home") as org:
        await org.send("hooks", {})
        held = await until(
            lambda: [row for row in org.reader.deliveries(Query()) if row.state is State.HELD], "the hold"
        )
        assert [(row.route, row.reason) for row in held] == [("again", HoldReason.HOPS)]
        ends = await org.ended("agent", 2)
        assert [end["hops"] for end in ends] == [1, 2]
        assert len({end["trace_id"] for end in ends}) == 1


async def test_an_event_that_goes_to_many_routes_is_no_loop(tmp_path: Path, sink: Sink) -> None:
    names = [f"r{n}" for n in range(8)]
    routes = "".join(
        f"  - {{name: {name}, when: {{source: hooks, events: ['*']}}, then: {{actor: fine}}}}\n"
        for name in names
    )
    root = project(
        tmp_path,
        "sources: [{id: hooks, connector: webhook}]\n"
        'actors: [{id: fine, connector: webhook, config: {url: "${SINK}/ok"}}]\n'
        f"routes:\n{routes}",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home") as org:
        for _ in range(2):
            found = await org.settled(await org.send("hooks", {"type": "same"}))
            assert {name: row.state for name, row in found.items()} == dict.fromkeys(names, State.DELIVERED)


async def test_two_organizations_with_the_same_names_never_share_an_event(tmp_path: Path, sink: Sink) -> None:
    text = """\
sources: [{id: hooks, connector: webhook}]
actors: [{id: fine, connector: webhook, config: {url: "${SINK}"}}]
routes: [{name: r, when: {source: hooks, events: ["*"]}, then: {actor: fine}}]
"""
    one, two = project(tmp_path / "1", text), project(tmp_path / "2", text)
    async with living(one, {"SINK": f"{sink.url}/one"}, tmp_path / "home1") as first:
        async with living(two, {"SINK": f"{sink.url}/two"}, tmp_path / "home2") as second:
            await second.settled(await second.send("hooks", {}))
            assert first.events("hooks") == []
        event = await first.send("hooks", {})
        assert (await first.settled(event))["r"].state is State.DELIVERED
        assert [path for path, _, _ in sink.bodies] == ["/two", "/one"]


async def test_a_logger_hears_of_its_own_organization_only(tmp_path: Path) -> None:
    text = """\
sources: [{id: hooks, connector: webhook}]
loggers: [{name: own, type: file, config: {path: ./own.log}}]
"""
    one, two = project(tmp_path / "1", text), project(tmp_path / "2", text)
    async with living(one, {}, tmp_path / "home1") as first, living(two, {}, tmp_path / "home2") as second:
        events = {one: await first.send("hooks", {}), two: await second.send("hooks", {})}
    for root, event in events.items():
        lines = (root / "own.log").read_text("utf-8").splitlines()
        told = {line["event_id"] for line in map(orjson.loads, lines) if line.get("event_id")}
        assert told == {event}


async def test_a_character_that_arrives_in_two_parts_stays_one(tmp_path: Path) -> None:
    root = project(tmp_path, "sources: [{id: hooks, connector: webhook}]\n")
    async with living(root, {}, tmp_path / "home") as org:
        body = '{"type": "a", "text": "Straße 😀"}'.encode()
        cut = body.index("😀".encode()) + 2
        port = org.url.rpartition(":")[2]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        head = (
            f"POST /webhook/hooks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        writer.write(body[cut:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        assert org.events("hooks")[0].document["payload"]["text"] == "Straße 😀"


async def test_merges_and_closings_are_told_apart_by_routes(tmp_path: Path, sink: Sink) -> None:
    root = project(
        tmp_path,
        """\
sources: [{id: github, connector: github}]
actors: [{id: fine, connector: webhook, config: {url: "${SINK}/ok"}}]
routes:
  - {name: closed, when: {source: github, events: [pull_request.closed]}, then: {actor: fine}}
  - {name: merged, when: {source: github, events: [pull_request.merged]}, then: {actor: fine}}
  - {name: native, when: {source: github, events: [pull_request]}, then: {actor: fine}}
  - {name: glob, when: {source: github, events: ["pull_request.*"]}, then: {actor: fine}}
  - name: filtered
    when:
      source: github
      events: [resource.changed]
      filter: {provenance.platform_event: pull_request.closed}
    then: {actor: fine}
""",
    )
    async with living(root, {"SINK": sink.url}, tmp_path / "home") as org:
        woken = {}
        for name in ("pull_request.merged", "pull_request.closed"):
            event, body = DELIVERIES[name]
            id = await org.send("github", body, {"x-github-event": event, "x-github-delivery": name})
            woken[name] = set(await org.settled(id))
        assert woken == {
            "pull_request.merged": {"merged", "native", "glob"},
            "pull_request.closed": {"closed", "native", "glob", "filtered"},
        }
