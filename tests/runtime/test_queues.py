"""`queue_depth`: what is too much is held, dropped or refused, and told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orgloop.plugin import Delivered, DeliverOutcome, Wake
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        ("", ["running", "pending", "held"]),
        (", overflow: refuse", ["running", "pending", "dropped"]),
        (", overflow: drop_oldest", ["running", "dropped", "pending"]),
    ],
)
async def test_what_is_too_much_of_a_route_is_told(
    overflow: str, expected: list[str], tmp_path: Path
) -> None:
    answered = asyncio.Event()

    async def answer(wake: Wake) -> DeliverOutcome:
        await answered.wait()
        return Delivered()

    project = f"""
defaults: {{delivery: {{queue_depth: 1{overflow}}}}}
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: taker}}]
loggers: [{{name: log, type: fake}}]
routes:
  - {{name: all, when: {{source: in, events: ["*"]}}, then: {{actor: one, config: {{session_key: k}}}}}}
"""
    stage = Stage(answers={"one": answer})
    async with engine(tmp_path, project, stage) as it:
        await it.emit(0)
        await it.settled("running")
        for n in (1, 2):
            await it.emit(n)
        rows = await it.settled(*expected)
        assert "defaults.delivery.queue_depth is 1" in next(row.detail for row in rows if row.reason)
        assert {row.reason for row in rows} == {"", "overflow"}
        await until(lambda: [one for one in stage.records if "queue_depth" in str(one)], "a record of it")
        answered.set()
