"""When the journal is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from orgloop.plugin import Delivered, Outcome, Retry, Wake
from tests.runtime.engine import engine, turn, until
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

    async def say(wake: Wake) -> Outcome:
        tries.append(wake.attempt)
        return Delivered() if wake.attempt > 1 else Retry(reason="500", after_ms=1_000)

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        await until(lambda: it.happenings(), "the first try")

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
