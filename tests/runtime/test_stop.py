"""Stopping, dying, and starting again: nothing is lost, and a planned stop counts nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from orgloop.errors import JournalUnavailable
from orgloop.journal.model import ClaimWant
from orgloop.journal.sqlite import SqliteJournal
from orgloop.plugin import Context, Delivered, DeliverOutcome, Page, Wake
from tests.runtime.engine import NOON, engine, turn, until
from tests.runtime.fakes import Stage, draft

PROJECT = """
sources: [{id: in, connector: receiver}, {id: polled, connector: poller}, {id: heard, connector: listener}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
"""


async def for_ever(*_: Any) -> Any:
    await asyncio.Event().wait()


async def test_an_idle_engine_stops_at_once_and_closes_everything(tmp_path: Path) -> None:
    stage = Stage(listens={"heard": for_ever}, polls={"polled": for_ever})
    async with engine(tmp_path, PROJECT, stage) as it:
        await until(lambda: len(stage.opened) == 4, "all to be open")
        began = time.monotonic()
        await it.runtime.stop()
        assert time.monotonic() - began < 1
        assert sorted(stage.closed) == ["heard", "in", "polled", "taker"]
        await it.runtime.stop()
        assert sorted(stage.closed) == ["heard", "in", "polled", "taker"]
        assert it.runtime.life().ended_at == NOON


async def test_a_stop_before_the_start_is_fine(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, start=False) as it:
        await it.runtime.stop()


async def test_what_is_in_flight_at_a_stop_is_handed_back_and_counts_nothing(tmp_path: Path) -> None:
    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project, Stage(answers={"taker": for_ever}), on_disk=True) as it:
        await it.emit(1)
        await it.settled("running")
        await it.runtime.stop(grace=0)
    async with engine(tmp_path, project, on_disk=True) as it:
        (row,) = await it.delivered(1)
        assert (row.attempts, row.crashes) == (1, 0)
        assert it.transitions() == ["interrupted", "delivered"]


async def test_what_ends_within_the_grace_of_a_stop_is_written(tmp_path: Path) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def say(wake: Wake) -> DeliverOutcome:
        begun.set()
        await gate.wait()
        await turn()
        return Delivered()

    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project, Stage(answers={"taker": say}), on_disk=True) as it:
        await it.emit(1)
        await begun.wait()
        stopping = asyncio.create_task(it.runtime.stop(grace=10))
        gate.set()
        await stopping
    async with engine(tmp_path, project, on_disk=True) as it:
        assert it.transitions() == ["delivered"]
        assert it.stage.wakes == {}


async def test_an_answer_that_is_being_written_at_a_stop_is_not_handed_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project, on_disk=True) as it:
        settle, calls = it.journal.settle, []

        async def slow_at_first(settlement: Any) -> bool:
            calls.append(settlement)
            if len(calls) == 1:
                await asyncio.Event().wait()
            return await settle(settlement)

        monkeypatch.setattr(it.journal, "settle", slow_at_first)
        await it.emit(1)
        await until(lambda: calls, "the answer")
        await it.runtime.stop(grace=0)
    async with engine(tmp_path, project, on_disk=True) as it:
        assert it.transitions() == ["delivered"]
        assert it.stage.wakes == {}


async def test_an_actor_that_ignores_a_stop_does_not_keep_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.dispatch.dispatcher.HAND_BACK", 0.05)
    monkeypatch.setattr("orgloop.runtime.dispatch.dispatcher.GIVE_UP", 0.05)
    gate = asyncio.Event()

    async def deaf(wake: Wake) -> DeliverOutcome:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        return Delivered()

    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project, Stage(answers={"taker": deaf})) as it:
        await it.emit(1)
        await it.settled("running")
        began = time.monotonic()
        await it.runtime.stop(grace=0)
        assert time.monotonic() - began < 1
        gate.set()


async def test_a_journal_that_cannot_write_does_not_keep_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.dispatch.dispatcher.HAND_BACK", 0.05)
    monkeypatch.setattr("orgloop.runtime.dispatch.dispatcher.GIVE_UP", 0.05)

    async def refuse(*args: Any, **more: Any) -> Any:
        raise JournalUnavailable("the disk is full", hint="")

    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project) as it:
        for verb in ("settle", "beat", "claim"):
            monkeypatch.setattr(it.journal, verb, refuse if verb != "claim" else it.journal.claim)
        await it.emit(1)
        await until(lambda: it.stage.wakes["taker"], "the wake")
        began = time.monotonic()
        await it.runtime.stop(grace=0)
        assert time.monotonic() - began < 1


async def test_an_outcome_waits_in_memory_until_the_journal_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project) as it:
        settle, failures = it.journal.settle, [1, 2]

        async def refuse(settlement: Any) -> bool:
            if failures:
                failures.pop()
                raise JournalUnavailable("the disk is full", hint="")
            return await settle(settlement)

        monkeypatch.setattr(it.journal, "settle", refuse)
        await it.emit(1)
        for pause in (0.1, 0.2):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s")  # type: ignore[misc]
            await it.pass_time(pause)
        await it.delivered(1)
        assert len(it.stage.wakes["taker"]) == 1, "the actor is not woken again for it"


@pytest.mark.parametrize(("deaths", "state"), [(1, "delivered"), (2, "delivered"), (3, "held")])
async def test_a_wake_that_deaths_interrupt_is_tried_again_until_it_looks_like_poison(
    tmp_path: Path, deaths: int, state: str
) -> None:
    project = PROJECT.replace(", {id: heard, connector: listener}", "")

    async def die(journal: SqliteJournal) -> None:
        """What a daemon leaves that claims, and is killed."""
        for _ in range(deaths):
            claims = await journal.claim([ClaimWant(actor="taker", slots=10)], NOON + 10)
            assert len(claims.wakes) == 1
            await journal.recover(NOON + 10)

    async with engine(tmp_path, project, Stage(opens={"taker": for_ever}), on_disk=True) as it:
        await it.emit(1)
        await it.settled("pending")
    async with engine(tmp_path, project, on_disk=True, before=die) as it:
        it.clock.ms += 20
        it.runtime.dispatcher.wake_all()
        (row,) = await it.settled(state)
        assert (row.crashes, row.reason) == (deaths, "crashes" if deaths == 3 else "")


async def test_a_stop_in_the_middle_of_a_claim_gives_it_back(tmp_path: Path) -> None:
    project = PROJECT.replace(", {id: heard, connector: listener}", "")
    async with engine(tmp_path, project, on_disk=True) as it:
        claim, asked = it.journal.claim, asyncio.Event()

        async def announced(*args: Any) -> Any:
            asked.set()
            return await claim(*args)

        it.journal.claim = announced  # type: ignore[method-assign, assignment]
        asked.clear()
        await it.emit(1)
        await asked.wait()
        await it.runtime.stop(grace=0)
    async with engine(tmp_path, project, on_disk=True) as it:
        (row,) = await it.delivered(1)
        assert (row.crashes, row.attempts) == (0, 1)


async def test_a_poll_that_a_stop_interrupts_is_asked_again_from_its_checkpoint(tmp_path: Path) -> None:
    seen = []

    async def poll(checkpoint: str | None) -> Page:
        seen.append(checkpoint)
        if checkpoint is None:
            return Page(events=[draft(1)], checkpoint="a", more=True)
        await asyncio.Event().wait()
        return Page()

    project = PROJECT.replace(", {id: heard, connector: listener}", "").replace(
        "source: in", "source: polled"
    )
    async with engine(tmp_path, project, Stage(polls={"polled": poll}), on_disk=True) as it:
        await it.delivered(1)
        await until(lambda: seen == [None, "a"], "the second poll")
    async with engine(tmp_path, project, Stage(polls={"polled": poll}), on_disk=True) as it:
        await until(lambda: seen == [None, "a", "a"], "the poll after the restart")
        assert len(it.events()) == 1


async def test_a_source_that_ignores_a_stop_does_not_keep_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.intake.sources.CLOSE_TIMEOUT", 0.05)
    gate = asyncio.Event()

    async def deaf(ctx: Context) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    async with engine(tmp_path, PROJECT, Stage(listens={"heard": deaf})) as it:
        await until(lambda: "heard" in it.stage.opened, "the source")
        began = time.monotonic()
        await it.runtime.stop()
        assert time.monotonic() - began < 1
        gate.set()
