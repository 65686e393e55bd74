"""Routes whose events are collected: one wake gets all of them, in order, and is told of as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.transition import Discarded
from orgloop.journal.model import Query
from orgloop.operations.views.chain import read_chain
from orgloop.operations.views.waits import Waits
from orgloop.plugin import Draft, Mark, Pass, RunSpec, Wake, WakeSession
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Stage, draft


def project(
    *, actor: str = "taker", key: str = "{{payload.pr}}", window: str = "2m", more: str = "", steps: str = ""
) -> str:
    connector = "taker" if actor == "taker" else "agent"
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: {actor}, connector: {connector}}}, {{id: other, connector: taker}}]
routes:
  - name: collected
    when: {{source: in, events: ["*"]}}
    transforms: [{steps}]
    then: {{actor: {actor}, batch: {{key: "{key}", window: {window}, max_wait: 5m}}{more}}}
  - name: ended
    when: {{source: {actor if connector == "agent" else "in"}, events: [actor.stopped]}}
    then: {{actor: other}}
"""


async def come(it: Engine, *numbers: int, pr: int = 1, **more: Any) -> list[str]:
    return [await it.emit(number, pr=pr, **more) for number in numbers]


def numbers(wake: Wake) -> list[int]:
    return [event.payload["n"] for event in wake.events]


def written(it: Engine, entity: str, n: int, action: str) -> Any:
    names = {"platform": "fake", "author": "ann", "native_event": "comment", "native_action": action}
    made = Draft(provenance=names, payload={"n": n, "pr": 1}, entity=entity)
    return it.runtime.intake.take("in", [made])


async def test_one_wake_gets_all_events_in_order_once_no_more_come(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        await come(it, 1, 2)
        await it.pass_time(60)
        await come(it, 3)
        await come(it, 9, pr=2)
        await it.pass_time(119)
        assert it.stage.wakes["taker"] == []
        await it.pass_time(2)
        await it.delivered(4)
        first, second = sorted(it.stage.wakes["taker"], key=lambda wake: len(wake.events), reverse=True)
        assert (numbers(first), numbers(second)) == ([1, 2, 3], [9])


async def test_a_batch_that_never_rests_is_due_after_its_longest_wait(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        for number in range(5):
            await come(it, number)
            await it.pass_time(60)
        await until(lambda: it.stage.wakes["taker"], "the wake")
        assert numbers(it.stage.wakes["taker"][0]) == [0, 1, 2, 3, 4]


async def test_edits_of_one_comment_are_its_last_text(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        for n, (entity, action) in enumerate(
            [("c1", "created"), ("c2", "created"), ("c1", "edited"), ("c1", "edited"), ("c2", "deleted")]
        ):
            await written(it, entity, n, action)
        await it.pass_time(121)
        await it.settled("dropped", "delivered", "dropped", "delivered", "delivered")
        assert numbers(it.stage.wakes["taker"][0]) == [1, 3, 4]
        assert [row.reason for row in it.rows() if row.reason] == ["superseded"] * 2


async def test_slow_transforms_come_before_it_and_keep_the_order(tmp_path: Path) -> None:
    held: list[Any] = []

    async def slow(document: Any) -> Any:
        held.append(document["payload"]["n"])
        return Pass()

    steps = "{ref: slow, config: {name: wait}}"
    async with engine(tmp_path, project(steps=steps), Stage(steps={"wait": slow})) as it:
        await written(it, "c1", 1, "created")
        await come(it, 2)
        await written(it, "c1", 3, "edited")
        await it.settled("dropped", "pending", "pending")
        await it.pass_time(121)
        await until(lambda: it.stage.wakes["taker"], "the wake")
        assert (sorted(held), numbers(it.stage.wakes["taker"][0])) == ([1, 2, 3], [2, 3])


async def test_what_has_no_key_goes_alone_and_says_why(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        await it.emit(1)
        (row,) = await it.delivered(1)
        assert [(step["name"], step["result"]) for step in row.steps] == [("batch.key", "no_key")]


async def test_two_session_keys_are_never_in_one_wake(tmp_path: Path) -> None:
    more = ', config: {session_key: "{{payload.who}}"}'
    async with engine(tmp_path, project(more=more)) as it:
        for number, who in enumerate(["ann", "bob", "ann"]):
            await come(it, number, who=who)
        await it.pass_time(121)
        await it.delivered(3)
        wakes = {wake.session.key: numbers(wake) for wake in it.stage.wakes["taker"] if wake.session}
        assert wakes == {"ann": [0, 2], "bob": [1]}


def keeps_file(root: Path) -> Any:
    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        script = f"cp $ORGLOOP_EVENT_FILE {root}/file; cp $ORGLOOP_PROMPT_FILE {root}/prompt; "
        script += (
            f"printf %s $ORGLOOP_EVENT_COUNT > {root}/count; while [ ! -e {root}/gate ]; do sleep 0.01; done"
        )
        return RunSpec(argv=["sh", "-c", script], cwd="/")

    return program


async def chains(it: Engine) -> list[str]:
    """Three events, the second of a chain that has a run behind it."""
    first = await it.emit(1, pr=1)
    mark = Mark(run_id="run_x", actor="x", event_id="evt_x", trace_id="trc_0000000000000009", hops=3)
    (second,) = await it.runtime.intake.take("in", [replace(draft(2, pr=1), cause=mark)])
    return [first, second.event_id, await it.emit(3, pr=1)]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_reads_all_events_and_what_follows_it_names_all_of_them(
    tmp_path: Path, restarted: bool
) -> None:
    stage = Stage(programs={"agent": keeps_file(tmp_path)})
    text = project(actor="agent")
    async with engine(tmp_path, text, stage, on_disk=True) as it:
        ids = await chains(it)
        await it.pass_time(121)
        await until(lambda: (tmp_path / "count").exists() and (tmp_path / "count").read_text(), "the run")
        clock = it.clock
        if not restarted:
            (tmp_path / "gate").touch()
            await it.delivered(4)
    (tmp_path / "gate").touch()
    async with engine(tmp_path, text, Stage(), on_disk=True, clock=clock) as it:
        await it.delivered(4)
        stopped = it.events(source="agent")[-1]
    assert stopped.type == "actor.stopped"
    assert stopped.document["parents"] == ids
    assert (stopped.trace_id, stopped.hops) == ("trc_0000000000000009", 5), "the longest chain goes on"
    file = json.loads((tmp_path / "file").read_text())
    assert (file["id"], [event["id"] for event in file["events"]]) == (ids[0], ids)
    assert (tmp_path / "count").read_text() == "3"
    prompt = (tmp_path / "prompt").read_text()
    assert "3 events came together" in prompt
    assert [prompt.index(f'id="{id}"') for id in ids] == sorted(prompt.index(f'id="{id}"') for id in ids)


async def test_each_chain_shows_the_run_and_its_own_follow_up(tmp_path: Path) -> None:
    async with engine(tmp_path, project(actor="agent")) as it:
        await chains(it)
        await it.pass_time(121)
        await it.delivered(4)
        (run,) = it.runs()
        for event in it.events(source="in"):
            chain = read_chain(it.reader, event.trace_id)
            (node,) = [one for root in chain.roots for one in root.deliveries if root.row.id == event.id]
            assert node.run is not None
            assert node.run.id == run.id
            followed = {one.row.type for one in node.events}
            assert ("actor.stopped" in followed) is (event.trace_id == "trc_0000000000000009")


async def test_one_that_is_discarded_while_it_waits_is_not_in_the_wake(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        await come(it, 1, 2, 3)
        await it.runtime.operate(it.rows()[0].id, Discarded())
        await it.pass_time(121)
        await it.settled("discarded", "delivered", "delivered")
        assert numbers(it.stage.wakes["taker"][0]) == [2, 3]


async def test_why_it_waits_is_told_of_who_leads_and_who_follows(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        await come(it, 1, 2)
        waits = Waits(it.reader, it.clock.now(), lambda: True)
        lead, member = it.rows()
        assert "2 events" in waits.why(lead)
        assert "2m" in waits.why(lead)
        assert "batch" in waits.why(member)
        assert lead.id in waits.why(member)


@pytest.mark.parametrize("window", ["2m", "3m"])
async def test_a_changed_window_collects_anew_and_an_unchanged_one_goes_on(
    tmp_path: Path, window: str
) -> None:
    async with engine(tmp_path, project()) as it:
        await come(it, 1, 2)
        await it.pass_time(60)
        moved = await it.apply(project(window=window))
        assert moved.get("prepared", 0) == (2 if window == "3m" else 0)
        await until(lambda: it.states() == ["pending"] * 2, "they are prepared")
        await it.pass_time(61)
        if window == "3m":
            assert it.stage.wakes["taker"] == []
            await it.pass_time(120)
        await it.delivered(2)
        assert numbers(it.stage.wakes["taker"][0]) == [1, 2]


async def test_steps_of_the_wake_are_there_for_each_event(tmp_path: Path) -> None:
    async with engine(tmp_path, project(actor="agent")) as it:
        await come(it, 1, 2)
        await it.pass_time(121)
        await it.delivered(3)
        for row in it.rows(route="collected"):
            steps = it.reader.steps(Query(delivery_id=row.id))
            assert [step.transition for step in reversed(steps)] == ["started", "begun", "run_ended"]
            assert {step.run_id for step in steps} == {it.runs()[0].id}
