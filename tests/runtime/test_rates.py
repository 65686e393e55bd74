"""`max_rate`: how often a route wakes its actor. What exceeds it waits, says so, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.core.deliveries.admission import Unit
from orgloop.operations.views.waits import Waits
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage


def project(connector: str, *, actor: str = "", route: str = "") -> str:
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: {connector}{actor}}}]
routes: [{{name: all, when: {{source: in, events: ["*"]}}, then: {{actor: one{route}}}}}]
"""


@pytest.mark.parametrize(
    ("connector", "where"),
    [
        ("taker", {"route": ", delivery: {max_rate: 2/m}"}),
        ("taker", {"actor": ", delivery: {max_rate: 2/m}"}),
        ("agent", {"route": ", delivery: {max_rate: 2/m}"}),
    ],
    ids=str,
)
async def test_what_exceeds_the_rate_waits_for_the_minute(
    connector: str, where: dict[str, str], tmp_path: Path
) -> None:
    stage = Stage()
    async with engine(tmp_path, project(connector, **where), stage) as it:
        for n in range(3):
            await it.emit(n)
        await it.settled("delivered", "delivered", "pending")
        await until(it.reader.waits, "the rate is told")
        (wait,) = it.reader.waits()
        assert (wait.waiting.unit, wait.waiting.limit) == (Unit.WAKES, 2)
        (row,) = it.rows(states=("pending",))
        why = Waits(it.reader, it.clock.now(), lambda: True).why(row)
        assert "Limit of 2 wakes a minute for route all reached. Work continues at" in why
        assert "delivery.max_rate`" in why
        await it.pass_time(59)
        assert it.states().count("pending") == 1
        await it.pass_time(3)
        await it.delivered(3)
        assert stage.texts("one") == [0, 1, 2]


async def test_another_rate_counts_at_once_when_it_is_applied(tmp_path: Path) -> None:
    async with engine(tmp_path, project("taker", route=", delivery: {max_rate: 1/h}")) as it:
        for n in range(3):
            await it.emit(n)
        await it.settled("delivered", "pending", "pending")
        await it.apply(project("taker"))
        await it.delivered(3)
