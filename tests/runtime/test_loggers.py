"""Loggers: whatever they do, deliveries go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orgloop.core.records.record import Record, RecordPhase
from orgloop.journal.follow import Follower
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage

PROJECT = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
loggers:
  - {name: bad, type: fake, config: {note: bad}}
  - {name: good, type: fake, config: {note: good}}
"""


async def test_a_logger_that_blocks_slows_no_delivery_no_reload_and_no_stop(tmp_path: Path) -> None:
    gate = threading.Event()

    def block(records: Sequence[Record]) -> None:
        gate.wait()

    async with engine(tmp_path, PROJECT, Stage(logs={"bad": block})) as it:
        for n in range(20):
            await it.emit(n)
        await it.delivered(20)
        await until(lambda: len(it.stage.records) >= 60, "the other logger")
        began = time.monotonic()
        await it.apply(PROJECT.replace("{note: bad}", "{note: new}"))
        assert time.monotonic() - began < 0.9
        await it.emit(20)
        await it.delivered(21)
        began = time.monotonic()
        await it.runtime.stop()
        assert time.monotonic() - began < 1
        gate.set()


async def test_two_loggers_that_block_cost_a_stop_no_more_than_one(tmp_path: Path) -> None:
    gate = threading.Event()

    def block(records: Sequence[Record]) -> None:
        gate.wait()

    async with engine(tmp_path, PROJECT, Stage(logs={"bad": block, "good": block})) as it:
        await it.emit()
        await it.delivered(1)
        began = time.monotonic()
        await it.runtime.stop()
        assert time.monotonic() - began < 1.8
        gate.set()


async def test_a_logger_that_raises_is_counted_and_harms_nobody(tmp_path: Path) -> None:
    def fail(records: Sequence[Record]) -> None:
        raise OSError("disk full")

    async with engine(tmp_path, PROJECT, Stage(logs={"bad": fail})) as it:
        await it.emit()
        await it.delivered(1)
        bad, good = it.runtime.observer.threads
        await until(lambda: bad.failures, "the failure")
        assert bad.last_error == "OSError: disk full"
        await until(lambda: "deliver.success" in [one.phase for one in it.stage.records], "the other")
        assert good.failures == 0


async def test_a_logger_that_exits_has_failed_and_goes_on(tmp_path: Path) -> None:
    exits = [SystemExit(3)]

    def leave(records: Sequence[Record]) -> None:
        if exits:
            raise exits.pop()

    async with engine(tmp_path, PROJECT, Stage(logs={"bad": leave})) as it:
        bad, _ = it.runtime.observer.threads
        await it.emit()
        await until(lambda: bad.failures, "the failure")
        assert bad.last_error == "SystemExit: 3"
        await it.delivered(1)
        await it.emit()
        told = [RecordPhase.DELIVER_SUCCESS] * 3
        await until(lambda: [one.phase for one in it.stage.records if one.phase in told] == told, "both")


async def test_a_record_that_cannot_be_made_does_not_end_a_logger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, failures = Follower.next, [1, 2]

    def fail(self: Follower) -> list[Record]:
        if failures:
            failures.pop()
            raise KeyError("trace_id")
        return following(self)

    monkeypatch.setattr(Follower, "next", fail)
    monkeypatch.setattr("orgloop.runtime.support.loggers.LOOK_AGAIN", 0.01)
    async with engine(tmp_path, PROJECT) as it:
        await until(lambda: not failures, "the failures")
        await it.emit()
        await until(lambda: "deliver.success" in [one.phase for one in it.stage.records], "the record")
        assert sum(thread.failures for thread in it.runtime.observer.threads) == 2


async def test_a_stop_writes_what_there_is_and_closes(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT) as it:
        await it.emit()
        await it.delivered(1)
        await it.runtime.stop()
        assert {"logger bad", "logger good"} <= set(it.stage.closed)
        assert [one.phase for one in it.stage.records].count(RecordPhase.DELIVER_SUCCESS) == 2
