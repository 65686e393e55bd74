"""A configuration that is replaced while work waits, goes on, and comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.transition import Released
from orgloop.errors import Conflict, JournalUnavailable, PluginError
from orgloop.plugin import (
    Change,
    Delivered,
    DeliverOutcome,
    Page,
    Pass,
    Retry,
    TransformResult,
    Unavailable,
    Wake,
)
from tests.runtime.engine import Engine, engine, turn, until
from tests.runtime.fakes import Stage, draft

HEAD = "sources: [{id: in, connector: receiver}]\n"
STEPS = """
transforms:
  - {name: quick, type: package, package: quick, config: {name: NAME}}
  - {name: slow, type: package, package: slow, config: {name: NAME}}
"""


def project(*routes: str, actors: str = "{id: taker, connector: taker}", more: str = "") -> str:
    return f"{HEAD}actors: [{actors}]\nroutes: [{', '.join(routes)}]\n{more}"


def route(name: str = "all", actor: str = "taker", more: str = "") -> str:
    return f'{{name: {name}, when: {{source: in, events: ["*"]}}, then: {{actor: {actor}}}{more}}}'


class Gate:
    """Wakes wait in front of it."""

    def __init__(self, outcome: DeliverOutcome | None = None) -> None:
        self.opened = asyncio.Event()
        self.outcome = outcome or Delivered()

    async def answer(self, wake: Wake) -> DeliverOutcome:
        await self.opened.wait()
        return self.outcome


async def away(wake: Wake) -> DeliverOutcome:
    return Unavailable(reason="refused")


async def test_a_removed_route_holds_its_work_and_releases_it_when_it_is_back(tmp_path: Path) -> None:
    stage = Stage(answers={"taker": away})
    async with engine(tmp_path, project(route()), stage) as it:
        await it.emit(1)
        await it.emit(2)
        await until(lambda: it.reader.pauses(), "the pause")
        assert await it.apply(project(route("another"))) == {"held": 2}
        assert {row.reason for row in await it.settled("held", "held")} == {"removed"}
        stage.answers.clear()
        assert await it.apply(project(route())) == {"released": 2}
        await it.pass_time(31)
        await it.delivered(2)
        assert it.stage.texts("taker")[-2:] == [1, 2]


async def test_a_part_that_cannot_be_made_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route())) as it:
        await it.delivered(0)
        before = it.runtime.wiring
        broken = project(route("new", "fresh"), actors="{id: fresh, connector: taker}")
        broken += "loggers: [{name: log, type: fake, config: {note: fine}}]\n"
        new = it.organization(broken)
        object.__setattr__(new.loggers[0].settings, "note", "broken")
        with pytest.raises(PluginError, match="cannot be opened"):
            await it.runtime.apply(new)
        assert it.runtime.wiring is before
        await it.emit(1)
        await it.delivered(1)
        assert it.stage.opened == ["in", "taker"] or it.stage.opened == ["taker", "in"]
        applied = it.reader.applied()
        assert applied is not None
        assert list(applied.snapshot["routes"]) == ["all"]


async def test_a_journal_that_cannot_write_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: Any, **more: Any) -> Any:
        raise JournalUnavailable("the disk is full", hint="")

    async with engine(tmp_path, project(route())) as it:
        before = it.runtime.wiring
        with monkeypatch.context() as patch:
            patch.setattr(it.journal, "apply", refuse)
            with pytest.raises(JournalUnavailable):
                await it.apply(project(route("new")))
        assert it.runtime.wiring is before
        await it.emit(1)
        await it.delivered(1, route="all")


async def test_unchanged_parts_go_on_and_changed_ones_are_replaced(tmp_path: Path) -> None:
    actors = "{id: taker, connector: taker}, {id: other, connector: taker, config: {note: NOTE}}"
    async with engine(tmp_path, project(route(), actors=actors.replace("NOTE", "one"))) as it:
        await until(lambda: len(it.stage.opened) == 3, "all to be open")
        await it.apply(project(route(), actors=actors.replace("NOTE", "two")))
        await until(lambda: it.stage.closed == ["other:one"], "the old one to close")
        await until(lambda: it.stage.opened[3:] == ["other:two"], "the new one to open")
        await it.apply(project(route()))
        await until(lambda: it.stage.closed == ["other:one", "other:two"], "the removed one to close")


async def test_an_actor_is_closed_only_after_what_it_was_woken_for(tmp_path: Path) -> None:
    gate = Gate()
    actors = "{id: taker, connector: taker, config: {note: NOTE}}"
    stage = Stage(answers={"taker:one": gate.answer})
    async with engine(tmp_path, project(route(), actors=actors.replace("NOTE", "one")), stage) as it:
        await it.emit(1)
        await it.settled("running")
        await it.apply(project(route(), actors=actors.replace("NOTE", "two")))
        await it.emit(2)
        await it.settled("running", "delivered")
        assert it.stage.closed == []
        gate.opened.set()
        await it.delivered(2)
        await until(lambda: it.stage.closed == ["taker:one"], "the old one to close")


async def test_a_wake_in_flight_of_an_actor_that_is_gone_goes_on_to_the_new_one(tmp_path: Path) -> None:
    gate = Gate(Retry(reason="500", after_ms=0))
    stage = Stage(answers={"taker": gate.answer})
    async with engine(tmp_path, project(route()), stage) as it:
        await it.emit(1)
        await it.settled("running")
        await it.apply(project(route(actor="fresh"), actors="{id: fresh, connector: taker}"))
        gate.opened.set()
        (row,) = await it.delivered(1)
        assert (row.actor, row.attempts) == ("fresh", 2)


async def test_a_wake_claimed_for_an_actor_that_is_gone_goes_on_to_the_new_one(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route())) as it:
        claimed, go_on = _slow_claim(it)
        await it.emit(1)
        await claimed.wait()
        await it.apply(project(route(actor="fresh"), actors="{id: fresh, connector: taker}"))
        go_on.set()
        await it.delivered(1)
        assert it.stage.texts("fresh") == [1]


def _slow_claim(it: Engine) -> tuple[asyncio.Event, asyncio.Event]:
    """Claims that find something are told, and wait for leave."""
    claim = it.journal.claim
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any) -> Any:
        claims = await claim(*args)
        if claims.wakes:
            claimed.set()
            await go_on.wait()
        return claims

    it.journal.claim = slowly  # type: ignore[method-assign, assignment]
    return claimed, go_on


async def test_a_wake_in_flight_of_a_route_that_is_gone_is_held_and_not_forgotten(tmp_path: Path) -> None:
    gate = Gate(Retry(reason="500", after_ms=0))
    stage = Stage(answers={"taker": gate.answer})
    async with engine(tmp_path, project(route()), stage) as it:
        await it.emit(1)
        await it.settled("running")
        await it.apply(project(route("new", "fresh"), actors="{id: fresh, connector: taker}"))
        gate.opened.set()
        (row,) = await it.settled("held")
        assert row.reason == "removed"


async def test_an_event_that_was_matched_before_a_reload_and_written_after_it_is_not_lost(
    tmp_path: Path,
) -> None:
    """As happens to those that wait for the writer while the new configuration overtakes them."""
    async with engine(tmp_path, project(route())) as it:
        late = it.runtime.intake.acceptance("in", [draft(1)])
        await it.apply(project(route("all", "fresh"), actors="{id: fresh, connector: taker}"))
        await it.runtime.intake.commit(late)
        await it.delivered(1)
        assert it.stage.texts("fresh") == [1]
        late = it.runtime.intake.acceptance("in", [draft(2)])
        await it.apply(project(route("other", "last"), actors="{id: last, connector: taker}"))
        await it.runtime.intake.commit(late)
        await it.settled("delivered", "held")


async def test_released_work_of_an_actor_that_is_gone_goes_to_the_one_there_is(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route("all", more=""), actors="{id: taker, connector: mind}")) as it:
        it.clock.ms += 1
        row = await _stale(it)
        await it.apply(project(route(actor="fresh"), actors="{id: fresh, connector: taker}"))
        await it.runtime.operate(row, Released())
        await it.delivered(1)


async def test_released_work_of_a_route_and_an_actor_that_are_gone_does_not_vanish(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route(), actors="{id: taker, connector: mind}")) as it:
        row = await _stale(it)
        await it.apply(project(route("new", "fresh"), actors="{id: fresh, connector: taker}"))
        await it.runtime.operate(row, Released())
        await until(lambda: it.rows()[0].reason == "removed", "somebody to see it")


async def _stale(it: Engine) -> str:
    """The id of a delivery that was held, since its event was a day old."""
    late = it.runtime.intake.acceptance("in", [draft(1)])
    it.clock.ms += 2 * 86_400_000
    await it.runtime.intake.commit(late)
    (row,) = await it.settled("held")
    assert row.reason == "stale"
    return row.id


@pytest.mark.parametrize("kind", ["quick", "slow"])
async def test_what_waits_is_prepared_again_when_its_transforms_change(tmp_path: Path, kind: str) -> None:
    """Also if all of them run within the accept transaction: for this there is no such transaction."""

    async def mark(document: Mapping[str, Any]) -> TransformResult:
        return Change(document={**document, "payload": {"n": "new"}})

    stage = Stage(answers={"taker": away}, steps={"new": mark})
    with_step = route(more=f", transforms: [{{ref: {kind}}}]")
    text = project(with_step, more=STEPS)
    async with engine(tmp_path, text.replace("NAME", "old"), stage) as it:
        await it.emit("as it was")
        await until(lambda: it.reader.pauses(), "the pause")
        stage.answers.clear()
        assert await it.apply(text.replace("NAME", "new")) == {"prepared": 1}
        await it.settled("pending")
        await it.pass_time(31)
        await it.delivered(1)
        assert it.stage.texts("taker")[-1] == "new"
        assert it.stage.closed[-1:] == ["old"], "its transforms are closed"


async def test_what_was_preparing_goes_on_when_its_route_needs_no_slow_step_any_more(tmp_path: Path) -> None:
    async def hang(document: Mapping[str, Any]) -> TransformResult:
        await asyncio.Event().wait()
        return Pass()

    slow = project(route(more=", transforms: [{ref: slow}]"), more=STEPS.replace("NAME", "stuck"))
    async with engine(tmp_path, slow, Stage(steps={"stuck": hang})) as it:
        await it.emit(1)
        await it.settled("preparing")
        await it.apply(project(route()))
        await it.delivered(1)


async def test_a_source_that_is_gone_is_closed_and_one_that_is_new_begins(tmp_path: Path) -> None:
    async def poll(checkpoint: str | None) -> Page:
        return Page(events=[draft(5)], checkpoint="a") if checkpoint is None else Page()

    async with engine(tmp_path, project(route()), Stage(polls={"fresh": poll})) as it:
        text = project(route().replace("source: in", "source: fresh"))
        await it.apply(text.replace(HEAD, "sources: [{id: fresh, connector: poller}]\n"))
        await it.delivered(1)
        assert it.stage.closed == ["in"]
        assert set(it.runtime.sources.next_polls) <= {"fresh"}


async def test_an_actor_that_now_has_runs_counts_as_one_that_has(tmp_path: Path) -> None:
    """Also for a route of which nothing changed: its deliveries must take the slots of runs."""
    async with engine(tmp_path, project(route())) as it:
        await it.apply(project(route(), actors="{id: taker, connector: agent}"))
        await it.emit(1)
        await until(lambda: it.rows() and it.rows()[0].runs, "a delivery for a run")
        await it.delivered(1)


async def test_two_reloads_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route())) as it:
        names = ["one", "two", "three"]
        texts = [project(route(name, name), actors=f"{{id: {name}, connector: taker}}") for name in names]
        organizations = [it.organization(text) for text in texts]
        await asyncio.gather(*(it.runtime.apply(one) for one in organizations))
        assert list(it.runtime.wiring.routes) == ["three"]
        await until(lambda: set(it.stage.closed) >= {"taker", "one", "two"}, "the replaced ones to close")
        await it.emit(1)
        await it.delivered(1)
        assert it.stage.texts("three") == [1]


async def test_no_reload_once_the_engine_stops(tmp_path: Path) -> None:
    async with engine(tmp_path, project(route())) as it:
        organization = it.organization(project(route("new")))
        await it.runtime.stop()
        with pytest.raises(Conflict, match="is stopping"):
            await it.runtime.apply(organization)


async def test_an_actor_that_cannot_be_opened_lets_its_work_wait_and_catches_up_in_order(
    tmp_path: Path,
) -> None:
    failures = [OSError("no such host"), OSError("no such host")]

    async def open() -> None:
        if failures:
            raise failures.pop()

    async with engine(tmp_path, project(route()), Stage(opens={"taker": open})) as it:
        for n in range(3):
            await it.emit(n)
        await until(lambda: it.runtime.actors.failing, "the failure")
        assert it.runtime.actors.failing == {"taker": "OSError: no such host"}
        assert it.states() == ["pending"] * 3
        for pause in (1, 2):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s")  # type: ignore[misc]
            await it.pass_time(pause)
        await it.delivered(3)
        assert it.stage.texts("taker") == [0, 1, 2]
        assert it.runtime.actors.failing == {}
        assert [row.attempts for row in it.rows()] == [1, 1, 1]


async def test_a_wake_claimed_for_an_actor_that_was_replaced_waits_for_its_successor(tmp_path: Path) -> None:
    gate = asyncio.Event()
    actors = "{id: taker, connector: taker, config: {note: NOTE}}"
    stage = Stage(opens={"taker:two": gate.wait})  # type: ignore[dict-item]
    async with engine(tmp_path, project(route(), actors=actors.replace("NOTE", "one")), stage) as it:
        await until(lambda: "taker:one" in it.stage.opened, "the first actor")
        claimed, go_on = _slow_claim(it)
        await it.emit(1)
        await claimed.wait()
        await it.apply(project(route(), actors=actors.replace("NOTE", "two")))
        go_on.set()
        await it.settled("pending")
        await turn()
        assert it.transitions() == ["interrupted"]
        gate.set()
        (row,) = await it.delivered(1)
        assert row.attempts == 1
        assert [len(it.stage.wakes[name]) for name in ("taker:one", "taker:two")] == [0, 1]
