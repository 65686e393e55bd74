"""What an actor answers, through the real executor, to the journal."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Interrupted, Released, Started
from orgloop.journal.model import Query
from orgloop.plugin import (
    Delivered,
    DeliverOutcome,
    Limited,
    NotBegun,
    Ref,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
    Wake,
)
from orgloop.runtime.support.supervisor import MAX_ERROR_TEXT
from tests.runtime.engine import NOON, Engine, engine, until
from tests.runtime.fakes import Stage

PROJECT = """
defaults: {delivery: {timeout: 1s, retry: {max_attempts: 3, backoff: fixed, initial_delay: 10s}}}
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
"""

NO_OUTCOME: Final = "the actor returned a {}, which is not an outcome"

BEGAN: Final = (
    "an error of its connector: `deliver` returned a {}, and only an actor that has runs begins one. "
    "Report this to the connector's author"
)

TABLE: list[tuple[Any, State, int, str]] = [
    (Delivered(detail="200 OK"), State.DELIVERED, 1, "200 OK"),
    (Skipped(reason="nothing to do"), State.DROPPED, 1, "nothing to do"),
    (Rejected(reason="never"), State.DEAD, 1, "never"),
    (Retry(reason="500"), State.PENDING, 1, "500"),
    (Throttled(until=NOON + 60_000, reason="429"), State.PENDING, 0, "429"),
    (Unavailable(reason="refused"), State.PENDING, 0, "refused"),
    (Limited(account="a", until=NOON + 60_000), State.PENDING, 0, "usage limit"),
    (ConnectionError("it broke"), State.PENDING, 1, "ConnectionError: it broke"),
    (asyncio.CancelledError(), State.PENDING, 1, "CancelledError"),
    (SystemExit(3), State.PENDING, 1, "SystemExit: 3"),
    (None, State.PENDING, 1, NO_OUTCOME.format("NoneType")),
    ("delivered", State.PENDING, 1, NO_OUTCOME.format("str")),
    (Delivered(detail=201), State.DELIVERED, 1, "201"),  # type: ignore[arg-type]
    (Retry(reason=OSError("broke")), State.PENDING, 1, "OSError: broke"),  # type: ignore[arg-type]
    (Rejected(reason="x" * 10**6), State.DEAD, 1, "x" * MAX_ERROR_TEXT),
    (Started(run_id="run_1"), State.DEAD, 1, BEGAN.format("Started")),
    (NotBegun(outcome=Retry(reason="500")), State.DEAD, 1, BEGAN.format("NotBegun")),
    (Ref(id="job_1"), State.DEAD, 1, BEGAN.format("Ref")),
    (Interrupted(crash=False), State.PENDING, 1, NO_OUTCOME.format("Interrupted")),
    # What no row can hold is kept as well as it can be: nobody else would end the try.
    (Delivered(detail="200 \udce9"), State.DELIVERED, 1, "200 ?"),
    (Skipped(reason="\ud800"), State.DROPPED, 1, "?"),
    (Rejected(reason=None), State.DEAD, 1, "None"),  # type: ignore[arg-type]
    (Retry(reason="500", after_ms=2.5), State.PENDING, 1, "500"),  # type: ignore[arg-type]
    (Throttled(until="later", reason="429"), State.PENDING, 1, "429"),  # type: ignore[arg-type]
    (Throttled(until=10**30, reason="429"), State.PENDING, 1, "429"),
    (Throttled(until=NOON + 60_000, reason="\udce9"), State.PENDING, 0, "?"),
    (Unavailable(reason="\udce9"), State.PENDING, 0, "?"),
    (RuntimeError("\udce9"), State.PENDING, 1, "RuntimeError: ?"),
]


@pytest.mark.parametrize(("answer", "state", "attempts", "detail"), TABLE, ids=lambda it: ascii(it)[:40])
async def test_each_answer_becomes_its_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: Any, state: State, attempts: int, detail: str
) -> None:
    # Tests side by side tell each other of their logs, and cannot tell what is no Unicode.
    caplog.set_level(logging.CRITICAL + 1)

    async def say(wake: Wake) -> DeliverOutcome:
        if isinstance(answer, BaseException):
            raise answer
        outcome: DeliverOutcome = answer
        return outcome

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        await until(lambda: it.transitions(), "an outcome")
        (row,) = it.rows()
        assert (row.state, row.attempts, row.detail) == (state, attempts, detail)
        await until(lambda: not it.runtime.dispatcher.in_flight, "a free slot")


async def test_a_usage_limit_parks_its_account_whatever_its_words(tmp_path: Path) -> None:
    async def say(wake: Wake) -> DeliverOutcome:
        return Limited(account="\ud800", until=NOON + 60_000, reason="x" * (MAX_ERROR_TEXT + 1))

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        await until(lambda: it.transitions(), "an outcome")
        (row,) = it.rows()
        assert (row.state, row.age_from) == ("pending", NOON)
        assert [(one.account, one.until) for one in it.reader.parked()] == [("actor taker", NOON + 60_000)]
        assert it.transitions() == ["limited"]


async def test_a_wake_that_takes_too_long_is_an_unknown_outcome_under_the_same_idempotency_key(
    tmp_path: Path,
) -> None:
    async def say(wake: Wake) -> DeliverOutcome:
        if wake.attempt == 1:
            await asyncio.Event().wait()
        return Delivered()

    project = PROJECT.replace("timeout: 1s", "timeout: 20ms")
    async with engine(tmp_path, project, Stage(answers={"taker": say})) as it:
        await it.emit()
        await until(lambda: it.transitions() == ["retry"], "the time-out")
        await it.pass_time(11)
        await it.delivered()
        first, second = it.stage.wakes["taker"]
        assert first.idempotency_key == second.idempotency_key
        assert (first.attempt, second.attempt) == (1, 2)


async def test_a_known_failure_is_tried_again_under_a_new_key_until_the_attempts_are_used_up(
    tmp_path: Path,
) -> None:
    async def say(wake: Wake) -> DeliverOutcome:
        return Retry(reason="500")

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        for tries in (1, 2, 3):
            await until(lambda n=tries: len(it.transitions()) == n, f"try {tries}")  # type: ignore[misc]
            await it.pass_time(11)
        (row,) = await it.settled("dead")
        assert (row.attempts, row.reason) == (3, "attempts")
        assert len({wake.idempotency_key for wake in it.stage.wakes["taker"]}) == 3
        assert len({wake.delivery_id for wake in it.stage.wakes["taker"]}) == 1


async def test_a_wake_that_cannot_be_made_is_held_and_does_not_keep_its_slot(tmp_path: Path) -> None:
    sop = tmp_path / "sop.md"
    sop.write_text("---\nrender: true\n---\nDo {{payload.n}}\n")
    project = PROJECT.replace("then: {actor: taker}", "then: {actor: mind}, with: {prompt_file: sop.md}")
    project = project.replace("connector: taker", "connector: mind").replace("id: taker", "id: mind")
    async with engine(tmp_path, project) as it:
        sop.write_text("---\nrender: true\n---\nDo {{ }}\n")
        await it.emit()
        (row,) = await it.settled("held")
        assert row.reason == "config"
        assert "the prompt cannot be composed: TemplateError" in row.detail
        await until(lambda: not it.runtime.dispatcher.in_flight, "a free slot")


async def test_a_wake_whose_prompt_file_is_gone_is_held_and_goes_on_once_released(tmp_path: Path) -> None:
    sop = tmp_path / "sop.md"
    sop.write_text("Be kind.\n")
    project = PROJECT.replace("then: {actor: taker}", "then: {actor: mind}, with: {prompt_file: sop.md}")
    project = project.replace("connector: taker", "connector: mind").replace("id: taker", "id: mind")
    async with engine(tmp_path, project) as it:
        sop.unlink()
        await it.emit()
        (row,) = await it.settled("held")
        assert (row.reason, it.stage.wakes["mind"]) == ("no_sop", [])
        sop.mkdir()
        await it.emit(2)
        (_, folder) = await it.settled("held", "held")
        assert folder.reason == "no_sop"
        sop.rmdir()
        sop.write_text("Be kinder.\n")
        await release(it, row.id)
        await it.settled("delivered", "held")
        assert it.stage.wakes["mind"][0].prompt.startswith("Be kinder.\n")
        steps = it.reader.steps(Query(delivery_id=row.id, limit=1))
        assert it.reader.sop(steps[0].sop_hash or "") == "Be kinder.\n", "it is known with what it was woken"


async def release(it: Engine, delivery_id: str) -> None:
    await it.runtime.operate(delivery_id, Released())


async def test_a_failing_delivery_keeps_nothing_else_from_being_delivered(tmp_path: Path) -> None:
    """Neither the other routes of its event nor the other events of its request or poll."""

    async def fail(wake: Wake) -> DeliverOutcome:
        raise RuntimeError("broken")

    project = PROJECT.replace(
        'routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]',
        """  - {id: broken, connector: taker}
routes:
  - {name: first, when: {source: in, events: ["*"]}, then: {actor: broken}}
  - {name: second, when: {source: in, events: ["*"]}, then: {actor: taker}}
""",
    ).replace("actors: [{id: taker, connector: taker}]", "actors:\n  - {id: taker, connector: taker}")
    async with engine(tmp_path, project, Stage(answers={"broken": fail})) as it:
        for n in range(3):
            await it.emit(n)
        await it.delivered(3, route="second")
        await until(lambda: len(it.stage.wakes["broken"]) == 3, "the other route")
        assert it.stage.texts("taker") == [0, 1, 2]
        assert it.runtime.supervisor.troubles == {}


async def test_each_try_of_a_delivery_has_its_mark(tmp_path: Path) -> None:
    """What an actor without runs writes is found again by it, and continues the trace."""
    answers: list[DeliverOutcome] = [Retry(reason="timeout", known=False), Retry(reason="500"), Delivered()]

    async def answer(wake: Wake) -> DeliverOutcome:
        return answers.pop(0)

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": answer})) as it:
        await it.emit()
        for tries in (1, 2):
            await until(lambda tries=tries: len(it.stage.wakes["taker"]) == tries, "a try")  # type: ignore[misc]
            await it.settled("pending")
            await it.pass_time(11)
        (row,) = await it.delivered()
        first, *others = it.stage.wakes["taker"]
        assert {wake.marker for wake in others} == {first.marker}
        mark = it.runtime._marker.find(first.marker or "")
        assert mark is not None
        assert mark.provenance == {"delivery_id": row.id, "run_actor": "taker"}
        assert (mark.event_id, mark.trace_id, mark.hops) == (first.event.id, first.event.trace_id, 0)


async def test_a_skip_is_no_failure(tmp_path: Path) -> None:
    async def say(wake: Wake) -> DeliverOutcome:
        return Skipped(reason="not mine")

    async with engine(tmp_path, PROJECT, Stage(answers={"taker": say})) as it:
        await it.emit()
        (row,) = await it.settled("dropped")
        assert (row.reason, row.failures) == ("skipped", 0)
        assert it.runtime.counters.errors == {}


async def test_a_target_that_hangs_delays_nobody_else(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def hang(wake: Wake) -> DeliverOutcome:
        if wake.event.payload["n"] == 0:
            await gate.wait()
        return Delivered()

    project = PROJECT.replace("timeout: 1s", "timeout: 60s")
    async with engine(tmp_path, project, Stage(answers={"taker": hang})) as it:
        for n in range(5):
            await it.emit(n)
        await it.settled("running", *["delivered"] * 4)
        gate.set()
        await it.delivered(5)
