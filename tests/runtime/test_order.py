"""Wakes of one key: in the order of acceptance, one at a time, whatever becomes of each."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.plugin import Delivered, DeliverOutcome, Rejected, Retry, Skipped, Throttled, Unavailable, Wake
from tests.runtime.engine import NOON, Engine, engine, turn, until
from tests.runtime.fakes import Stage

PROJECT: Final = """
defaults: {delivery: {timeout: 10m, retry: {max_attempts: 100, initial_delay: 5s}}}
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes:
  - name: all
    when: {source: in, events: ["*"]}
    transforms: [{ref: slow}]
    then: {actor: taker, config: {session_key: "{{payload.key}}"}}
transforms: [{name: slow, type: package, package: slow}]
"""

UNFINISHED: Final[list[DeliverOutcome | None]] = [
    Retry(reason="500"),
    Retry(reason="no answer", known=False),
    Throttled(until=NOON + 3_000),
    Unavailable(reason="refused"),
    None,
]
"""None is an exception."""
FINISHED: Final[list[DeliverOutcome]] = [Delivered(), Skipped(reason="no"), Rejected(reason="never")]


class Asked:
    """Wakes that wait for their answer. An overlap within a key fails here."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[DeliverOutcome | None]] = {}
        self.key_of: dict[int, str] = {}
        self.ended: defaultdict[str, list[int]] = defaultdict(list)

    async def answer(self, wake: Wake) -> DeliverOutcome:
        n, key = wake.event.payload["n"], wake.event.payload["key"]
        overlaps = [other for other in self.waiting if self.key_of[other] == key]
        assert not overlaps, f"{n} of key {key} overlaps {overlaps}"
        self.key_of[n] = key
        self.waiting[n] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self.waiting[n]
        finally:
            del self.waiting[n]
        if outcome is None:
            raise RuntimeError("broken")
        if outcome in FINISHED:
            self.ended[key].append(n)
        return outcome


@settings(max_examples=25, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=8),
    script=st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from([*UNFINISHED, *FINISHED])),
        max_size=30,
    ),
)
def test_a_key_is_woken_in_acceptance_order_and_never_twice_at_once(keys: list[str], script: Any) -> None:
    async def play() -> None:
        asked = Asked()
        with tempfile.TemporaryDirectory() as root:
            async with engine(Path(root), PROJECT, Stage(answers={"taker": asked.answer})) as it:
                for n, key in enumerate(keys):
                    await it.emit(n, key=key)
                await _answer_all(it, asked, list(script))
                states = [row.state.value for row in it.rows()]
                assert set(states) <= {"delivered", "dropped", "dead"}, states
        for key in set(keys):
            assert asked.ended[key] == [n for n, its in enumerate(keys) if its == key]

    asyncio.run(play())


async def _answer_all(it: Engine, asked: Asked, script: list[tuple[int, DeliverOutcome | None]]) -> None:
    """Answer in the order and with the outcomes of the script, at last with success, until all is over."""
    open_states = ("preparing", "pending", "running")

    def left() -> bool:
        return any(state in open_states for state in it.states())

    for _ in range(400):
        if not left():
            return
        if not asked.waiting:
            it.clock.advance(10)
            it.runtime.dispatcher.wake_all()
            await turn()
            continue
        which, outcome = script.pop(0) if script else (0, FINISHED[0])
        waiting = sorted(asked.waiting)
        asked.waiting[waiting[which % len(waiting)]].set_result(outcome)
        await turn()
    raise AssertionError(f"no end in sight: {it.states()}")


async def test_the_first_of_a_key_keeps_its_place_while_it_waits_for_a_retry(tmp_path: Path) -> None:
    answers: list[DeliverOutcome] = [Retry(reason="500"), Delivered(), Delivered(), Delivered()]

    async def say(wake: Wake) -> DeliverOutcome:
        return answers.pop(0)

    project = PROJECT.replace("    transforms: [{ref: slow}]\n", "")
    async with engine(tmp_path, project, Stage(answers={"taker": say})) as it:
        await it.emit(0, key="a")
        await until(lambda: it.transitions() == ["retry"], "the failure")
        await it.emit(1, key="a")
        await it.emit(2, key="b")
        await it.settled("pending", "pending", "delivered")
        await it.pass_time(20)
        await it.delivered(3)
        assert it.stage.texts("taker") == [0, 2, 0, 1]


async def test_what_came_while_an_actor_was_away_is_delivered_in_order(
    tmp_path: Path,
) -> None:
    there = False

    async def say(wake: Wake) -> DeliverOutcome:
        return Delivered() if there else Unavailable(reason="connection refused")

    project = PROJECT.replace("    transforms: [{ref: slow}]\n", "").replace('"{{payload.key}}"', "one")
    async with engine(tmp_path, project, Stage(answers={"taker": say})) as it:
        for n in range(5):
            await it.emit(n)
        await until(lambda: it.reader.pauses(), "the pause")
        assert it.stage.texts("taker") == [0]
        for _ in range(3):
            await it.pass_time(31)
            await until(lambda: not it.runtime.dispatcher.in_flight, "the probe")
        probing = len(it.stage.texts("taker"))
        assert set(it.stage.texts("taker")) == {0}, "one wake probes, the others wait"
        there = True
        await it.pass_time(31)
        await it.delivered(5)
        assert it.stage.texts("taker")[probing:] == [0, 1, 2, 3, 4]
        assert [row.attempts for row in it.rows()] == [1] * 5
        assert it.reader.pauses() == []
        assert it.clock.now() > NOON
