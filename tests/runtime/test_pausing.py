"""`pause`: the work of a route or an actor waits until a time, or until somebody resumes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.core.deliveries.admission import LimitScope, ScopeLevel
from orgloop.operations.views.waits import Waits
from tests.runtime.engine import Engine, engine, until
from tests.runtime.fakes import Stage

ALL = LimitScope(level=ScopeLevel.ROUTE, name="all")
ONE = LimitScope(level=ScopeLevel.ACTOR, name="one")


def project(connector: str, name: str = "all", renamed: str = "") -> str:
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: {connector}}}, {{id: two, connector: {connector}}}]
routes:
  - {{name: {name}{renamed}, when: {{source: in, events: ["*"]}}, then: {{actor: one}}}}
  - {{name: beside, when: {{source: in, events: ["*"]}}, then: {{actor: two}}}}
"""


async def pause(it: Engine, scope: LimitScope, seconds: int | None = None) -> None:
    end = None if seconds is None else it.clock.now() + seconds * 1000
    await it.runtime.journal.pause(scope, end, "ada: freeze", it.clock.now())


@pytest.mark.parametrize("connector", ["taker", "agent"])
@pytest.mark.parametrize("scope", [ALL, ONE], ids=str)
async def test_what_is_paused_waits_and_says_by_whom_until_it_is_resumed(
    connector: str, scope: LimitScope, tmp_path: Path
) -> None:
    async with engine(tmp_path, project(connector), Stage()) as it:
        await pause(it, scope)
        await it.emit()
        await it.delivered(route="beside")
        (row,) = await it.settled("pending", route="all")
        why = Waits(it.reader, it.clock.now(), lambda: True).why(row)
        assert "paused by ada: freeze" in why
        assert f"`orgloop resume {scope.name}`" in why
        # Neither time nor another configuration ends it.
        await it.pass_time(100_000)
        await it.apply(project(connector) + "defaults: {limits: {runs: 3}}")
        await it.emit()
        await it.delivered(2, route="beside")
        assert it.states(route="all") == ["pending", "pending"]
        if scope is ONE:
            assert await it.runtime.resume_actor("one")
            assert not await it.runtime.resume_actor("one")
        else:
            assert await it.runtime.journal.unpause(scope, it.clock.now())
            assert not await it.runtime.journal.unpause(scope, it.clock.now())
            it.runtime.dispatcher.wake_all()
        # The time of the pause is no part of its age.
        await it.delivered(2, route="all")


@pytest.mark.parametrize("connector", ["taker", "agent"])
@pytest.mark.parametrize("scope", [ALL, ONE], ids=str)
async def test_a_pause_with_an_end_is_over_by_itself(
    connector: str, scope: LimitScope, tmp_path: Path
) -> None:
    async with engine(tmp_path, project(connector)) as it:
        await pause(it, scope, 60)
        await it.emit()
        await it.settled("pending", route="all")
        await it.pass_time(59)
        assert it.states(route="all") == ["pending"]
        await it.pass_time(2)
        await it.delivered(route="all")
        await until(lambda: not it.reader.waits(), "the pause to be forgotten")


async def test_a_pause_survives_a_restart_and_a_new_name(tmp_path: Path) -> None:
    async with engine(tmp_path, project("taker"), on_disk=True) as it:
        await pause(it, ALL)
        await it.emit()
        await it.settled("pending", route="all")
    async with engine(tmp_path, project("taker"), on_disk=True) as it:
        await it.emit()
        await it.delivered(2, route="beside")
        await it.apply(project("taker", "new", ", renamed_from: all"))
        await it.emit()
        await it.delivered(3, route="beside")
        assert it.states(route="new") == ["pending"] * 3
        new = LimitScope(level=ScopeLevel.ROUTE, name="new")
        assert await it.runtime.journal.unpause(new, it.clock.now())
        it.runtime.dispatcher.wake_all()
        await it.delivered(3, route="new")
