"""A new configuration takes over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import pytest

from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Hold,
    HoldReason,
    Ready,
    Rejected,
    Released,
    Retried,
    Retry,
    Unavailable,
)
from orgloop.journal.model import Prepared, Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import DAY, applied, claim, claim_one, enter, row, run_end, run_start, settle

ACTORS: Mapping[str, bool] = {"actor": False, "agent": True}


async def apply(
    journal: Journal,
    routes: Mapping[str, str],
    *,
    now: int = 50,
    actors: Mapping[str, bool] = ACTORS,
    changed: Collection[str] = (),
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Mapping[str, int]:
    return await journal.apply(applied(now), routes, now, actors=actors, changed=changed, renamed=renamed)


async def test_what_is_applied_can_be_read_again(journal: Journal, reader: Reader) -> None:
    assert reader.applied() is None
    await apply(journal, {}, now=1)
    await apply(journal, {}, now=2)
    found = reader.applied()
    assert found is not None
    assert (found.at, found.project, found.root, found.snapshot) == (2, "project", "/project", {"routes": []})


async def test_the_same_configuration_moves_nothing(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", key="k")
    await enter(journal, "2", key="k")
    await enter(journal, "3", state=State.PREPARING)
    before = reader.deliveries(Query())
    assert await apply(journal, {"route": "actor"}) == {}
    assert reader.deliveries(Query()) == before
    assert reader.steps(Query()) == []


class TestRenamedRoute:
    async def test_all_of_its_work_is_that_of_the_new_name(self, journal: Journal, reader: Reader) -> None:
        """In whatever state; what is finished stays as it was."""
        await enter(journal, "done")
        await settle(journal, await claim_one(journal), Delivered())
        await enter(journal, "run", key="k")
        await enter(journal, "behind", key="k")
        await enter(journal, "prep", state=State.PREPARING)
        await enter(journal, "held", state=State.HELD, reason="untrusted")
        (wake,) = await claim(journal)
        await journal.start_run(run_start(wake, "run_1"))
        await enter(journal, "alone")
        batch = Batching(key="b", policy=BatchPolicy())
        for name in ("lead", "member"):
            await enter(journal, name, batch=batch)
        found = await apply(journal, {"new": "actor"}, renamed={"route": "new", "never": "new"})
        assert found == {"renamed": 7}
        routes = {one.id.removeprefix("dlv_"): one.route for one in reader.deliveries(Query(limit=50))}
        assert routes.pop("done") == "route"
        assert set(routes.values()) == {"new"}
        assert row(reader, "held").reason == "untrusted"
        run = reader.run("run_1")
        assert run is not None
        assert run.route == "new"
        assert await journal.end_run(run_end(wake, "run_1", at=60))
        assert [one.id for one in await claim(journal, now=60)] == ["dlv_alone", "dlv_behind"]
        # The batch is open still: it takes more events of the new name.
        await enter(journal, "third", route="new", batch=batch, at=61)
        assert row(reader, "third").lead == "dlv_lead"
        assert await apply(journal, {"new": "actor"}, renamed={"route": "new"}) == {}, "once"

    async def test_what_is_not_finished_is_counted_under_the_new_name(
        self, journal: Journal, reader: Reader
    ) -> None:
        """Also a try that was under way meanwhile, whose wake still has the old name."""
        await enter(journal, "under way", key="k")
        await enter(journal, "waits", key="k")
        await enter(journal, "held", state=State.HELD, reason="untrusted")
        (wake,) = await claim(journal)
        await apply(journal, {"new": "actor"}, renamed={"route": "new"})
        assert sum(one.count for one in reader.backlog() if one.route == "new") == 3
        await settle(journal, wake, Delivered())
        assert {one.route for one in reader.backlog()} == {"new"}
        assert sum(one.count for one in reader.backlog()) == 2
        await settle(journal, await claim_one(journal), Delivered())
        assert set(reader.counts()) == {"held", "total"}

    async def test_work_that_was_held_without_its_route_is_released(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        assert await apply(journal, {}) == {"held": 1}
        assert await apply(journal, {"new": "actor"}, renamed={"route": "new"}) == {
            "renamed": 1,
            "released": 1,
        }
        assert (row(reader, "1").route, row(reader, "1").state) == ("new", State.PREPARING)

    async def test_a_dedup_key_of_the_old_name_counts_for_the_new_one(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", once=(("x", DAY),))
        await apply(journal, {"new": "actor"}, renamed={"route": "new"})
        await enter(journal, "2", route="new", once=(("x", DAY),), at=60)
        assert (row(reader, "2").state, row(reader, "2").reason) == (State.DROPPED, "duplicate")

    async def test_two_open_batches_with_one_key_stay_two(self, journal: Journal, reader: Reader) -> None:
        batch = Batching(key="b", policy=BatchPolicy())
        await enter(journal, "1", batch=batch)
        await enter(journal, "2", route="new", batch=batch)
        assert await apply(journal, {"new": "actor"}, renamed={"route": "new"}) == {"renamed": 1}
        await enter(journal, "3", route="new", batch=batch)
        assert row(reader, "3").lead == "dlv_2"


class TestRemovedRoute:
    async def test_its_work_is_held_and_comes_back_with_it(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k")
        await enter(journal, "3", state=State.PREPARING)
        await enter(journal, "4", route="other")
        assert await apply(journal, {"other": "actor"}) == {"held": 3}
        held = row(reader, "1")
        assert (held.state, held.reason, held.changed_at, held.head) == ("held", "removed", 50, False)
        assert row(reader, "4").state == "pending"
        assert [wake.id for wake in await claim(journal, now=60)] == ["dlv_4"]
        assert await apply(journal, {"other": "actor", "route": "actor"}, now=70) == {"released": 3}
        assert [row(reader, name).state for name in "123"] == ["preparing"] * 3
        assert (row(reader, "1").age_from, row(reader, "1").head, row(reader, "2").head) == (70, True, False)
        await journal.prepared([Prepared(id=f"dlv_{name}", transition=Ready(), key="k") for name in "12"], 80)
        assert (await claim_one(journal, now=80)).id == "dlv_1"

    async def test_what_was_tried_already_is_not_prepared_again(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", document={"changed": 1})
        await settle(journal, await claim_one(journal), Retry(reason="500"))
        await apply(journal, {})
        assert await apply(journal, {"route": "actor"}, now=70) == {"released": 1}
        found = row(reader, "1")
        assert (found.state, found.attempts, found.document) == ("pending", 1, {"changed": 1})
        assert [step.transition for step in reader.steps(Query())] == ["released", "hold", "retry"]

    async def test_what_is_held_for_another_reason_stays_so(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", state=State.HELD, reason="untrusted")
        assert await apply(journal, {}) == {}
        assert await apply(journal, {"route": "actor"}) == {}
        assert (row(reader, "1").state, row(reader, "1").reason) == ("held", "untrusted")

    async def test_wakes_and_runs_under_way_are_left_alone(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        await enter(journal, "2")
        first, second = await claim(journal)
        await journal.start_run(run_start(second, "run_1"))
        assert await apply(journal, {}) == {}
        assert await settle(journal, first, Delivered())
        assert await journal.end_run(run_end(second, "run_1"))

    async def test_one_key_with_another_routes_work_goes_on(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k", route="other")
        await apply(journal, {"other": "actor"})
        assert (await claim_one(journal, now=60)).id == "dlv_2"


class TestChangedRoute:
    async def test_what_has_no_attempt_is_prepared_again(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", key="k", document={"changed": 1}, steps=[{"name": "t", "result": "change"}])
        assert await apply(journal, {"route": "actor"}, changed=["route"]) == {"prepared": 1}
        found = row(reader, "1")
        assert (found.state, found.document, found.steps) == ("preparing", None, ())
        assert [step.transition for step in reader.steps(Query())] == ["prepare"]

    async def test_what_is_preparing_or_waits_for_a_person_stays_as_it_is(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", state=State.PREPARING)
        await enter(journal, "2", state=State.HELD, reason="untrusted")
        assert await apply(journal, {"route": "actor"}, changed=["route"]) == {}
        assert [row(reader, name).state for name in "12"] == ["preparing", "held"]

    async def test_it_keeps_its_place_in_its_key_meanwhile(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k", route="other")
        await apply(journal, {"route": "actor", "other": "actor"}, changed=["route"])
        assert await claim(journal, now=60) == []
        await journal.prepared([Prepared(id="dlv_1", transition=Ready(), key="k")], 60)
        assert (await claim_one(journal, now=60)).id == "dlv_1"

    async def test_what_was_tried_keeps_what_it_was_tried_with(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        await settle(journal, await claim_one(journal), Retry(reason="500"))
        assert await apply(journal, {"route": "actor"}, changed=["route"]) == {}
        assert row(reader, "1").state == "pending"


async def test_nobody_waits_for_an_actor_that_is_gone(journal: Journal, reader: Reader) -> None:
    for name in ("stays", "goes"):
        await enter(journal, name, actor=name)
        wake = await claim_one(journal, actor=name)
        await settle(journal, wake, Unavailable(reason="refused"), pause_until=100)
    await journal.apply(applied(), {"route": "stays"}, 5, actors={"stays": False})
    assert [pause.actor for pause in reader.pauses()] == ["stays"]


async def test_what_waited_for_an_actor_that_is_gone_is_no_older_for_it(
    journal: Journal, reader: Reader
) -> None:
    for name in "12":
        await enter(journal, name, runs=True)
    (wake,) = await claim(journal, slots=1)
    await settle(journal, wake, Unavailable(reason="refused"), at=10, pause_until=100)
    await journal.apply(applied(), {"route": "new"}, DAY, actors={"new": True})
    assert [(row(reader, name).actor, row(reader, name).age_from) for name in "12"] == [("new", DAY - 10)] * 2


class TestOtherActor:
    async def test_what_has_no_attempt_goes_to_its_routes_actor(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k")
        await enter(journal, "3", state=State.PREPARING)
        assert await apply(journal, {"route": "agent"}) == {"repointed": 3}
        for name, head in (("1", True), ("2", False)):
            found = row(reader, name)
            assert (found.actor, found.runs, found.head, found.state) == ("agent", True, head, "pending")
        assert row(reader, "3").actor == "agent"
        assert (await claim_one(journal, actor="agent")).id == "dlv_1"

    async def test_it_takes_its_place_among_what_that_actor_has(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", key="k")
        await enter(journal, "2", key="k", actor="agent", runs=True, route="other")
        await enter(journal, "3", key="k")
        await apply(journal, {"route": "agent", "other": "agent"})
        assert [row(reader, name).head for name in "123"] == [True, False, False]

    async def test_what_was_tried_stays_with_the_actor_that_is_still_there(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        await settle(journal, await claim_one(journal), Retry(reason="500"))
        assert await apply(journal, {"route": "agent"}) == {}
        assert row(reader, "1").actor == "actor"

    @pytest.mark.parametrize("transition", [Retry(reason="500"), Rejected(reason="400")])
    async def test_what_was_tried_by_an_actor_that_is_gone_goes_to_its_routes_actor(
        self, journal: Journal, reader: Reader, transition: Retry | Rejected
    ) -> None:
        await enter(journal, "1")
        await settle(journal, await claim_one(journal), transition)
        assert await apply(journal, {"route": "agent"}, actors={"agent": True}) == {"repointed": 1}
        if row(reader, "1").state == "dead":
            await journal.operate("dlv_1", Retried(), 60)
        assert (await claim_one(journal, actor="agent", now=9_999)).id == "dlv_1"

    async def test_what_is_held_goes_there_too_and_its_expiry_is_not_put_off(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", key="k")
        await settle(journal, await claim_one(journal), Hold(reason=HoldReason.NO_SOP), at=10)
        await apply(journal, {"route": "agent"})
        assert (row(reader, "1").actor, row(reader, "1").changed_at) == ("agent", 10)
        await journal.operate("dlv_1", Released(), 60)
        assert (await claim_one(journal, actor="agent", now=60)).id == "dlv_1"

    async def test_an_actor_that_has_runs_now_is_known_as_such(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        await apply(journal, {"route": "actor"}, actors={"actor": True})
        assert row(reader, "1").runs
