"""Tests of sources: nothing is lost, nothing is told twice, nothing forged is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orgloop.plugin import (
    Draft,
    Inbound,
    Page,
    Poller,
    Receiver,
    Refused,
    dump_json,
)
from orgloop.testing.description import DEATHS, Described, Life, within
from orgloop.testing.engine import PROBE, Bench, Running, until
from orgloop.testing.other_side import OtherSide, as_it_is

BODIES: Final = (
    *(b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"\x00" * 64, b"[" * 100_000),
    *(b'{"action": null}', b'{"id": 1e400}', b'{"a": "\\ud800"}', b'{"a": ' + b"9" * 5_000 + b"}"),
)
"""Bodies that are no delivery of any system."""


class SourceTests(Described):
    """What a poller or a receiver keeps."""

    def test_each_thing_is_told_once_however_often_the_daemon_starts(self, tmp_path: Path) -> None:
        if self._describes("happen") and self._polls(tmp_path):
            asyncio.run(self._told(tmp_path, kills=()))

    def test_a_crash_around_the_commit_of_a_poll_loses_and_repeats_nothing(self, tmp_path: Path) -> None:
        if self._describes("happen") and self._polls(tmp_path):
            asyncio.run(self._told(tmp_path, kills=[life for life in DEATHS if life.commit == "accept"]))

    def test_a_poll_that_was_not_committed_tells_the_same_again(self, tmp_path: Path) -> None:
        if not (self._describes("happen") and self._polls(tmp_path)):
            return

        async def twice(side: OtherSide) -> None:
            source = await self._opened(self.connector.source, self.source_config(tmp_path), side)
            assert isinstance(source, Poller)
            checkpoint = (await within(source.poll(None), "poll")).checkpoint
            self.happen(tmp_path, 1)
            first, second = [await self._all(source, checkpoint) for _ in range(2)]
            assert first, "a thing happened, and the next poll tells nothing"
            assert _facts(first) == _facts(second), "the same checkpoint must tell the same again"
            for draft in first:
                self._require_sound(draft)
            await source.close()

        async def run() -> None:
            async with as_it_is() as side:
                await twice(side)

        asyncio.run(run())

    def test_a_delivery_that_comes_again_is_one_event_also_after_a_crash(self, tmp_path: Path) -> None:
        if self._requests(tmp_path):
            asyncio.run(self._received(tmp_path))

    def test_a_request_that_is_no_delivery_is_refused(self, tmp_path: Path) -> None:
        if not self._requests(tmp_path):
            return
        good = self.request(tmp_path, 1)
        assert good is not None

        async def refused() -> None:
            source = await self._opened(
                self.connector.source, self.source_config(tmp_path), OtherSide.answering()
            )
            assert isinstance(source, Receiver)
            for body in BODIES:
                for headers in ({}, good.headers):
                    forged = Inbound(method="POST", headers=headers, body=body, peer=good.peer)
                    try:
                        await within(source.receive(forged), "receive")
                        status = 200
                    except Refused as exc:
                        status = exc.status
                    assert status < 500, f"{body[:40]!r} was answered with {status}"
                    assert status >= 400 or not source.signed, f"the forged body {body[:40]!r} was taken"
            await source.close()

        asyncio.run(refused())

    async def _all(self, source: Poller, checkpoint: str | None) -> list[Draft]:
        """What polls tell from a checkpoint on, until there is no more."""
        found: list[Draft] = []
        while True:
            page = await within(source.poll(checkpoint), "poll")
            assert isinstance(page, Page), f"poll returned {page!r:.100}"
            found += page.events
            if not page.more:
                return found
            checkpoint = page.checkpoint

    def _require_sound(self, draft: Draft) -> None:
        assert draft.provenance.get("platform"), "an event's provenance needs `platform`"
        dump_json({"provenance": {**draft.provenance}, "payload": draft.payload})
        assert draft.key is None or len(draft.key) <= 1_000, "a key names a fact; it does not carry it"

    def _source_project(self, bench: Bench, config: Mapping[str, Any]) -> None:
        source: dict[str, Any] = {"id": "out", "connector": self.connector.name, "config": {**config}}
        if self._polls(bench.root):
            source["poll"] = {"interval": "100ms"}
        bench.write(
            {
                "sources": [source],
                "actors": [{"id": "taker", "connector": PROBE.name}],
                "routes": [
                    {"name": "all", "when": {"source": "out", "events": ["*"]}, "then": {"actor": "taker"}}
                ],
            }
        )

    async def _told(self, place: Path, kills: Sequence[Life]) -> None:
        bench = Bench(root=place, connector=self.connector, environ=self.environ)
        config = self.source_config(place)
        assert config is not None
        self._source_project(bench, config)
        async with bench.running() as it:
            await until(lambda: _polled(it), "a first poll")
            before = len(it.events("out"))
            self.happen(place, 1)
            await it.finished("all", before + 1)
        for number, life in enumerate(kills, 2):
            async with bench.running(life.commit, after=life.after) as it:
                self.happen(place, number)
                await until(lambda it=it: it.dead, f"its poll, to be killed {life}")  # type: ignore[misc]
        total = len(kills) + 2
        for start in ("the next", "one more"):
            async with bench.running() as it:
                if start == "the next":
                    self.happen(place, total)
                await it.finished("all", before + total)
                polls = it.reader.sources()[0].last_poll or 0
                await until(lambda it=it, polls=polls: _polled(it, polls), "another poll")  # type: ignore[misc]
                told = len(it.events("out")) - before
                assert told == total, f"{total} things happened, and {told} were told"

    async def _received(self, place: Path) -> None:
        bench = Bench(root=place, connector=self.connector, environ=self.environ)
        config = self.source_config(place)
        assert config is not None
        self._source_project(bench, config)
        lives: list[Life | None] = [None, *(life for life in DEATHS if life.commit == "accept")]
        for number, life in enumerate(lives, 1):
            request = self.request(place, number)
            assert request is not None
            async with bench.running(
                life.commit if life else "", after=life is not None and life.after
            ) as it:
                heard = await it.receive("out", request)
                assert heard == (life is None), (
                    f"a daemon that was killed {life}: the answer to the sender is wrong"
                )
            async with bench.running() as it:
                assert await it.receive("out", request), "a delivery that came again was refused"
                await it.finished("all", number)
                assert len(it.events("out")) == number, (
                    f"{number} deliveries, each of which came twice, are {len(it.events('out'))} events"
                )


def _polled(it: Running, since: int = 0) -> bool:
    return any((row.last_success or 0) > since for row in it.reader.sources() if row.source == "out")


def _facts(drafts: Sequence[Draft]) -> list[Any]:
    return [(draft.key, draft.type, dict(draft.provenance), draft.payload) for draft in drafts]
