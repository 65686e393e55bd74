"""How many wakes an actor has at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from orgloop.journal.model import Settlement
from orgloop.plugin import Delivered, DeliverOutcome, Wake
from tests.runtime.engine import Engine, engine, turn, until
from tests.runtime.fakes import Stage

PROJECT: Final = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
"""


async def send_more_than_it_takes(running: Engine) -> int:
    """One event for each slot and one more. Returns how many slots there are."""
    slots = running.runtime.wiring.actors["taker"].spec.kind.concurrency
    for n in range(slots + 1):
        await running.emit(n)
    return slots


async def test_no_more_than_it_takes(tmp_path: Path) -> None:
    answered = asyncio.Event()

    async def answer(wake: Wake) -> DeliverOutcome:
        await answered.wait()
        return Delivered()

    stage = Stage(answers={"taker": answer})
    async with engine(tmp_path, PROJECT, stage) as running:
        wakes = stage.wakes["taker"]
        slots = await send_more_than_it_takes(running)
        await until(lambda: len(wakes) == slots, "a wake for each slot")
        for _ in range(5):
            await turn()
        assert len(wakes) == slots
        answered.set()
        await until(lambda: len(wakes) == slots + 1, "the last wake")


async def test_an_answer_makes_room_while_it_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, written = Stage(), asyncio.Event()
    async with engine(tmp_path, PROJECT, stage) as running:
        settle = running.journal.settle

        async def slow(settlement: Settlement) -> bool:
            await written.wait()
            return await settle(settlement)

        monkeypatch.setattr(running.journal, "settle", slow)
        slots = await send_more_than_it_takes(running)
        await until(lambda: len(stage.wakes["taker"]) == slots + 1, "the last wake")
        written.set()
        await until(lambda: running.states() == ["delivered"] * (slots + 1), "all delivered")
