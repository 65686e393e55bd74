"""Transforms through the real engine: their order, their failures, and what they must not do to others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.transition import Released
from orgloop.plugin import Change, Discard, Failure, Pass, TransformResult
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage, draft


def project(kind: str, more: str = "", then: str = "{actor: taker}") -> str:
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: taker, connector: taker}}]
transforms: [{{name: step, type: package, package: {kind}}}]
routes: [{{name: all, when: {{source: in, events: ["*"]}}, transforms: [{{ref: step{more}}}], then: {then}}}]
"""


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("kind", ["quick", "slow"])
@pytest.mark.parametrize(
    ("result", "policy", "state", "reason"),
    [
        (Pass(), "pass", "delivered", ""),
        (Discard(reason="noise"), "pass", "dropped", "transform"),
        (Failure(reason="broke"), "pass", "delivered", ""),
        (Failure(reason="broke"), "drop", "dropped", "transform"),
        (Failure(reason="broke"), "hold", "held", "transform"),
        (Failure(reason="broke"), "halt", "held", "transform"),
        (RuntimeError("broke"), "hold", "held", "transform"),
        (SystemExit(3), "hold", "held", "transform"),
        (RuntimeError("broke"), "pass", "delivered", ""),
        (None, "hold", "held", "transform"),
        (Change(document=[]), "hold", "held", "transform"),  # type: ignore[arg-type]
        (Change(document={"type": 7}), "hold", "held", "transform"),
        (Change(document={"payload": nested(300)}), "pass", "held", "transform"),
        (Change(document={"payload": {"n": 2}}), "pass", "delivered", ""),
        (Change(document={"payload": {"n": object()}}), "pass", "held", "transform"),
        (Failure(reason="\udce9"), "hold", "held", "transform"),
        (RuntimeError("\udce9"), "hold", "held", "transform"),
        (Discard(reason="\udce9"), "pass", "dropped", "transform"),
        (Pass(once="\udce9", window_ms=1_000), "hold", "delivered", ""),
        (Pass(once=7, window_ms=1_000), "hold", "held", "transform"),  # type: ignore[arg-type]
        (Pass(once="key", window_ms=10**30), "hold", "held", "transform"),
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_what_a_step_says_decides_by_the_policy_of_its_route(
    tmp_path: Path, kind: str, result: Any, policy: str, state: str, reason: str
) -> None:
    async def work(document: Mapping[str, Any]) -> TransformResult:
        if isinstance(result, BaseException):
            raise result
        found: TransformResult = result
        return found

    text = project(kind, f", on_error: {policy}", "{actor: taker, config: {session_key: '{{payload.n}}'}}")
    async with engine(tmp_path, text, Stage(steps={"step": work})) as it:
        await it.emit()
        (row,) = await it.settled(state)
        assert row.reason == reason
        assert it.runtime.supervisor.troubles == {}


async def test_a_step_that_is_cancelled_from_within_has_failed(tmp_path: Path) -> None:
    async def work(document: Mapping[str, Any]) -> TransformResult:
        raise asyncio.CancelledError

    async with engine(tmp_path, project("slow", ", on_error: hold"), Stage(steps={"step": work})) as it:
        await it.emit()
        (row,) = await it.settled("held")
        assert row.detail == "step: CancelledError"


@pytest.mark.parametrize("step", ["slow", "quick"])
async def test_what_is_held_for_a_transform_is_prepared_again_once_released(
    tmp_path: Path, step: str
) -> None:
    calls: list[object] = []

    async def work(document: Mapping[str, Any]) -> TransformResult:
        calls.append(document["id"])
        return Pass() if len(calls) == 3 else Failure(reason="broke")

    async with engine(tmp_path, project(step, ", on_error: hold"), Stage(steps={"step": work})) as it:
        event = await it.emit(7)
        (row,) = await it.settled("held")
        await it.runtime.operate(row.id, Released())
        await until(lambda: len(calls) == 2, "its transforms again")
        await it.settled("held")
        await it.runtime.operate(row.id, Released())
        await it.delivered()
        assert calls == [event] * 3
        assert it.stage.texts("taker") == [7]


async def test_a_person_may_leave_out_the_transform_that_failed(tmp_path: Path) -> None:
    calls = []

    async def work(document: Mapping[str, Any]) -> TransformResult:
        calls.append(document["id"])
        return Failure(reason="broke")

    async with engine(tmp_path, project("slow", ", on_error: hold"), Stage(steps={"step": work})) as it:
        event = await it.emit(7)
        (row,) = await it.settled("held")
        await it.runtime.operate(row.id, Released(skip=True))
        await it.delivered()
        assert calls == [event], "it is not prepared again"
        assert it.stage.texts("taker") == [7]


async def test_slow_steps_run_at_once_and_commit_in_acceptance_order(tmp_path: Path) -> None:
    gates = {n: asyncio.Event() for n in range(4)}
    begun = []

    async def work(document: Mapping[str, Any]) -> TransformResult:
        begun.append(document["payload"]["n"])
        await gates[document["payload"]["n"]].wait()
        return Pass()

    then = "{actor: taker, config: {session_key: one}}"
    async with engine(tmp_path, project("slow", then=then), Stage(steps={"step": work})) as it:
        for n in range(3):
            await it.emit(n)
        await until(lambda: len(begun) == 3, "all to be at work")
        gates[2].set()
        gates[1].set()
        await it.emit(3)
        await until(lambda: len(begun) == 4, "the last to be at work")
        await it.settled(*["preparing"] * 4)
        gates[0].set()
        gates[3].set()
        await it.delivered(4)
        assert it.stage.texts("taker") == [0, 1, 2, 3]


async def test_what_its_sender_gave_up_while_it_was_written_is_prepared_and_delivered(tmp_path: Path) -> None:
    async with engine(tmp_path, project("slow")) as it:
        sending = asyncio.ensure_future(it.emit())
        written = asyncio.ensure_future(it.journal.checkpoint("in"))
        await asyncio.wait({sending, written}, timeout=0)
        sending.cancel()
        await written
        await it.delivered()
        assert sending.cancelled()


async def test_a_route_whose_steps_hang_delays_no_other_route(tmp_path: Path) -> None:
    async def hang(document: Mapping[str, Any]) -> TransformResult:
        await asyncio.Event().wait()
        return Pass()

    text = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
transforms:
  - {name: stuck, type: package, package: slow, config: {name: stuck}}
  - {name: fine, type: package, package: slow, config: {name: fine}}
routes:
  - {name: first, when: {source: in, events: ["*"]}, transforms: [{ref: stuck}], then: {actor: taker}}
  - {name: second, when: {source: in, events: ["*"]}, transforms: [{ref: fine}], then: {actor: taker}}
"""
    async with engine(tmp_path, text, Stage(steps={"stuck": hang})) as it:
        await it.runtime.intake.take("in", [draft(n) for n in range(40)])
        await it.delivered(40, route="second")
        assert it.states(route="first") == ["preparing"] * 40


async def test_two_routes_with_the_same_dedup_each_deliver_once(tmp_path: Path) -> None:
    text = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}, {id: other, connector: taker}]
transforms: [{name: once, type: package, package: dedup, config: {key: payload.n, window: 10m}}]
routes:
  - {name: first, when: {source: in, events: ["*"]}, transforms: [{ref: once}], then: {actor: taker}}
  - {name: second, when: {source: in, events: ["*"]}, transforms: [{ref: once}], then: {actor: other}}
"""
    async with engine(tmp_path, text) as it:
        await it.emit(1)
        await it.emit(1)
        await it.settled("delivered", "delivered", "dropped", "dropped")
        assert (it.stage.texts("taker"), it.stage.texts("other")) == ([1], [1])
        assert {row.reason for row in it.rows()[2:]} == {"duplicate"}
        it.clock.advance(601)
        await it.emit(1)
        await until(lambda: it.stage.texts("taker") == [1, 1], "a delivery after the window")


async def test_what_one_route_does_to_an_event_no_other_route_sees(tmp_path: Path) -> None:
    text = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}, {id: other, connector: taker}]
transforms: [{name: add, type: package, package: enrich, config: {set: {provenance.team: red, payload.x: 1}}}]
routes:
  - {name: first, when: {source: in, events: ["*"]}, transforms: [{ref: add}], then: {actor: taker}}
  - {name: second, when: {source: in, events: ["*"]}, then: {actor: other}}
"""
    async with engine(tmp_path, text) as it:
        await it.emit()
        await it.delivered(2)
        (changed,), (plain,) = it.stage.wakes["taker"], it.stage.wakes["other"]
        assert changed.event.provenance["team"] == "red"
        assert "team" not in plain.event.provenance
        assert plain.event.payload == {"n": 1}
        (event,) = it.events()
        assert "team" not in event.document["provenance"]
        assert (changed.event.id, changed.event.trace_id) == (plain.event.id, plain.event.trace_id)


@pytest.mark.parametrize(
    ("author", "state"),
    [("team_member", "delivered"), ("system", "delivered"), ("external", "held"), ("bot", "held")],
)
async def test_only_the_team_wakes_where_the_route_demands_trust(
    tmp_path: Path, author: str, state: str
) -> None:
    text = project("quick").replace('events: ["*"]', 'events: ["*"], trust: team')
    async with engine(tmp_path, text) as it:
        await it.emit(author_type=author)
        (row,) = await it.settled(state)
        if state == "held":
            assert (row.reason, it.stage.wakes["taker"]) == ("untrusted", [])
            await it.runtime.operate(row.id, Released())
            await it.delivered()


@pytest.mark.parametrize("kind", ["quick", "slow"])
@pytest.mark.parametrize(
    ("actor", "only", "state"),
    [
        ("taker", "", "dropped"),
        ("another", "", "delivered"),
        ("taker", ", filter: {provenance.author_type: self}", "delivered"),
        ("taker", ", filter: {provenance.run_actor: taker}", "delivered"),
    ],
)
async def test_nobody_is_woken_by_their_own_words(
    tmp_path: Path, kind: str, actor: str, only: str, state: str
) -> None:
    text = project(kind).replace('events: ["*"]', f'events: ["*"]{only}')
    own = {"author_type": "self", "run_actor": actor, "run_id": "run_1"}
    async with engine(tmp_path, text) as it:
        given = draft()
        await it.runtime.intake.take("in", [replace(given, provenance={**given.provenance, **own})])
        (row,) = await it.settled(state)
        assert row.reason == ("own_words" if state == "dropped" else "")


async def test_what_was_preparing_at_a_stop_is_prepared_at_the_next_start(
    tmp_path: Path,
) -> None:
    async def hang(document: Mapping[str, Any]) -> TransformResult:
        await asyncio.Event().wait()
        return Pass()

    async with engine(tmp_path, project("slow"), Stage(steps={"step": hang}), on_disk=True) as it:
        await it.emit(1)
        await it.emit(2)
        await it.settled("preparing", "preparing")
    async with engine(tmp_path, project("slow"), on_disk=True) as it:
        await it.delivered(2)
        assert it.stage.texts("taker") == [1, 2]
        assert [row.crashes for row in it.rows()] == [0, 0]


KEYS = """
sources: [{id: in, connector: receiver}]
actors: [{id: taker, connector: taker}]
routes:
  - name: all
    when: {source: in, events: ["*"]}
    transforms: [{ref: dedup, config: {key: payload.id}}]
    then:
      actor: taker
      config:
        session_key: "pr:{{payload.pr}}"
        thread_id: "{{payload.pr}}"
        sticky: "about {{payload.pr}}"
        text: "{{payload.pr}}"
"""


async def test_a_key_of_which_a_part_has_no_value_is_no_key(tmp_path: Path) -> None:
    """Events that have nothing to do with each other would share a session, or be each other's duplicates."""
    one = {"id": 1, "pr": 7}
    payloads: list[dict[str, Any]] = [{}, {}, {"pr": None}, {"id": None, "pr": ""}, one, one]
    async with engine(tmp_path, KEYS, Stage()) as it:
        for payload in payloads:
            await it.emit(**payload)
        await until(lambda: all(row.state in ("delivered", "dropped") for row in it.rows()), "the ends")
        rows = {row.id: row for row in it.rows()}
        found = [(row.key, [(step["name"], step["result"]) for step in row.steps]) for row in rows.values()]
        no_dedup, no_session = ("dedup", "no_key"), ("session_key", "no_key")
        assert sorted(found, key=repr) == sorted(
            [
                *([(None, [no_dedup, no_session])] * 4),
                *([("pr:7", [("dedup", "once")])] * 2),
            ],
            key=repr,
        )
        configs = [dict(wake.config) for wake in it.stage.wakes["taker"]]
        assert configs.count({"text": ""}) == 4
        assert {"session_key": "pr:7", "thread_id": "7", "sticky": "about 7", "text": 7} in configs
        told = [row.steps[-1]["reason"] for row in rows.values() if row.key is None]
        assert set(told) == {"no value at payload.pr"}
        assert [row.reason for row in rows.values() if row.state == "dropped"] == ["duplicate"]
