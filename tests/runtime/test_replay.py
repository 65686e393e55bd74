"""A replay: the same event once more, whatever dedup, loops and its source say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.transition import Released
from orgloop.journal.model import EventRow
from orgloop.plugin import Pass, RunSpec, TransformResult, Wake, WakeSession
from tests.runtime.engine import Engine, engine
from tests.runtime.fakes import Stage


def project(kind: str = "quick") -> str:
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: taker, connector: taker}}, {{id: other, connector: taker}}]
transforms: [{{name: step, type: package, package: {kind}}}]
routes:
  - {{name: all, when: {{source: in, events: ["*"]}}, transforms: [{{ref: step}}], then: {{actor: taker}}}}
  - {{name: beside, when: {{source: in, events: ["*"], filter: {{payload.n: 2}}}}, then: {{actor: other}}}}
"""


async def once(document: Mapping[str, Any]) -> TransformResult:
    return Pass(once=str(document["payload"]["n"]), window_ms=1_000_000)


def known(it: Engine, id: str) -> EventRow:
    found = it.reader.event(id)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["quick", "slow"])
async def test_a_replay_neither_asks_for_dedup_keys_nor_takes_them(kind: str, tmp_path: Path) -> None:
    async with engine(tmp_path, project(kind), Stage(steps={"step": once})) as it:
        first = await it.emit()
        await it.delivered()
        replay = await it.runtime.inbound.replay(known(it, first))
        await it.delivered(2)
        await it.emit()
        rows = await it.settled("delivered", "delivered", "dropped")
        assert (rows[1].event_id, rows[2].reason) == (replay.id, "duplicate")
        assert rows[0].id in rows[2].detail
        # Also a replay of a replay is one, and only what is asked for is new.
        again = await it.runtime.inbound.replay(known(it, replay.id))
        assert known(it, again.id).document["replay_of"] == replay.id
        await it.settled("delivered", "delivered", "dropped", "delivered")


async def test_a_replay_that_comes_first_keeps_nobody_out(tmp_path: Path) -> None:
    async with engine(tmp_path, project(), Stage(steps={"step": once})) as it:
        first = await it.emit()
        await it.delivered()
        await it.pass_time(1_001)
        await it.runtime.inbound.replay(known(it, first))
        await it.delivered(2)
        await it.emit()
        await it.delivered(3)


async def test_a_replay_is_for_one_route_or_for_none(tmp_path: Path) -> None:
    async with engine(tmp_path, project()) as it:
        one, two = await it.emit(1), await it.emit(2)
        await it.delivered(3)
        made = await it.runtime.inbound.replay(known(it, one), "beside")
        assert (len(made.deliveries), it.reader.event(made.id)) == (0, None)
        made = await it.runtime.inbound.replay(known(it, two), "beside", dry_run=True)
        assert ([new.route for new in made.deliveries], it.reader.event(made.id)) == (["beside"], None)
        await it.runtime.inbound.replay(known(it, two), "beside")
        rows = await it.delivered(4)
        assert rows[-1].route == "beside"


@pytest.mark.parametrize("author", ["external", "team_member"])
async def test_a_replay_has_the_author_of_its_event(author: str, tmp_path: Path) -> None:
    """What an outsider wrote is held again, whoever replays it."""
    trusting = project().replace('events: ["*"]}', 'events: ["*"], trust: team}', 1)
    async with engine(tmp_path, trusting) as it:
        first = await it.emit(author_type=author)
        state = "delivered" if author == "team_member" else "held"
        await it.settled(state)
        await it.pass_time(50)
        source = it.reader.sources()
        replay = await it.runtime.inbound.replay(known(it, first))
        rows = await it.settled(state, state)
        assert {**known(it, first).document, "id": replay.id, "replay_of": first} == known(
            it, replay.id
        ).document
        # Nothing has come from the source since.
        assert it.reader.sources() == source
        if state == "held":
            await it.runtime.operate(rows[1].id, Released())
            await it.settled("held", "delivered")


def says(wake: Wake, session: WakeSession | None) -> RunSpec:
    return RunSpec(argv=["echo", "done"], cwd="/")


async def test_a_replay_does_not_make_its_chain_repeat_itself(tmp_path: Path) -> None:
    text = """
defaults: {limits: {max_repeats: 0}}
sources: [{id: in, connector: receiver}]
actors: [{id: one, connector: agent}, {id: taker, connector: agent}]
routes:
  - {name: begin, when: {source: in, events: ["*"]}, then: {actor: one}}
  - {name: tell, when: {source: one, events: [actor.stopped]}, then: {actor: taker}}
"""
    async with engine(tmp_path, text, Stage(programs={"one": says, "taker": says})) as it:
        await it.emit()
        await it.delivered(2)
        told = known(it, it.rows(route="tell")[0].event_id)
        replay = await it.runtime.inbound.replay(told)
        await it.delivered(3)
        assert (replay.hops, replay.trace_id) == (told.hops, told.trace_id)
        assert told.hops == 1
