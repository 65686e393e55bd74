"""When the journal is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from orgloop.plugin import Delivered, DeliverOutcome, Retry, Throttled, Unavailable, Wake
from tests.runtime.engine import NOON, HandClock, engine, turn, until
from tests.runtime.fakes import Stage

PROJECT: Final = """
sources: [{id: in, connector: receiver}, {id: busy, connector: receiver}]
actors: [{id: taker, connector: taker}, {id: other, connector: taker}]
routes:
  - {name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}
  - {name: load, when: {source: busy, events: ["*"]}, then: {actor: other}}
"""


async def test_what_is_due_does_not_wait_for_a_moment_without_news(tmp_path: Path) -> None:
    tries = []

    async def say(wake: Wake) -> DeliverOutcome:
        tries.append(wake.attempt)
        return Delivered() if wake.attempt > 1 else Retry(reason="500", after_ms=1_000)

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        await until(lambda: it.transitions(), "the first try")

        async def load() -> None:
            while len(tries) < 2:
                await it.emit(source="busy")

        senders = [asyncio.create_task(load()) for _ in range(8)]
        await turn()
        it.clock.advance(1)
        try:
            await until(lambda: len(tries) == 2, "the second try, while events come without a pause")
        finally:
            for sender in senders:
                sender.cancel()


class SetClock(HandClock):
    """A clock that somebody sets. Time goes on all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.set_by = 0

    def monotonic(self) -> float:
        return (self.ms - self.set_by) / 1000

    def set_back(self, ms: int) -> None:
        self.ms -= ms
        self.set_by -= ms


@pytest.mark.parametrize(
    "answer",
    [
        Retry(reason="500", after_ms=2_000),
        Throttled(until=NOON + 2_000),
        Unavailable(reason="refused"),
    ],
    ids=["a retry", "a throttled one", "a pause"],
)
async def test_a_clock_that_was_set_back_makes_nothing_wait_for_it(
    tmp_path: Path, answer: DeliverOutcome
) -> None:
    answers = [answer]

    async def say(wake: Wake) -> DeliverOutcome:
        return answers.pop() if answers else Delivered()

    clock = SetClock()
    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say}), clock=clock) as it:
        await it.emit()
        await until(lambda: it.transitions(), "the first try")
        clock.set_back(3_600_000)
        await it.pass_time(1)
        await it.pass_time(1)
        await it.delivered()
