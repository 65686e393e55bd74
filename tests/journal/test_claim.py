"""Finding work: order, slots, guards, pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from orgloop.core.deliveries.admission import (
    NEVER,
    Go,
    Ledger,
    LimitScope,
    Room,
    ScopeLevel,
    Unit,
    Verdict,
    Wait,
    Waiting,
    Want,
    Window,
)
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Hold,
    HoldReason,
    Interrupted,
    Limited,
    NotStarted,
    Rejected,
    Released,
    Retry,
    RunEnded,
    Skipped,
    Throttled,
    Unavailable,
)
from orgloop.journal.model import Claims, ClaimWant, Query
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.verbs.claim import MOST_HELD, PAGE
from tests.journal.build import (
    DAY,
    HOUR,
    accept,
    applied,
    claim,
    claim_one,
    delivery,
    enter,
    event,
    row,
    run_end,
    run_start,
    settle,
    settlement,
)

GONE = Unavailable(reason="refused")


def names(claims: Claims) -> list[str]:
    return [wake.id.removeprefix("dlv_") for wake in claims.wakes]


async def admitted(
    journal: Journal,
    admit: Callable[[Want, Ledger], Verdict],
    *,
    slots: int = 10,
    now: int = 0,
    actor: str = "actor",
    tree: str | None = None,
    cap: int = 0,
) -> Claims:
    want = ClaimWant(actor=actor, slots=slots, admit=admit, tree=tree, reserve={Unit.USD: cap})
    return await journal.claim([want], now)


def go(_: Want, __: Ledger) -> Verdict:
    return Go()


def full(level: ScopeLevel, name: str = "", *, actor: str = "", until: int = NEVER) -> Wait:
    """The verdict that this scope has no room."""
    reason = Waiting(
        scope=LimitScope(level=level, name=name, actor=actor),
        unit=Unit.RUNS,
        window=Window.AT_ONCE if until == NEVER else Window.HOUR,
        limit=1,
        until=until,
        setting="limits.runs",
    )
    return Wait(reasons=[reason])


HOME_FULL = full(ScopeLevel.NODE)


def used(ledger: Ledger, level: ScopeLevel, name: str = "", window: Window = Window.AT_ONCE) -> int:
    return _room(ledger, level, name, window).used


def _room(ledger: Ledger, level: ScopeLevel, name: str, window: Window) -> Room:
    return ledger.room(LimitScope(level=level, name=name), Unit.RUNS, window, 1, 100)


async def test_a_claim_carries_all_that_waking_needs(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a", delivery("1", key="k"), trace="t", hops=2), at=3)
    wake = await claim_one(journal, now=5)
    assert (wake.id, wake.token, wake.event_id, wake.route, wake.actor) == (
        "dlv_1",
        1,
        "evt_a",
        "route",
        "actor",
    )
    assert (wake.key, wake.trace_id, wake.hops, wake.session_id, wake.pause_tries) == (
        "k",
        "trc_t",
        2,
        None,
        0,
    )
    assert wake.document == b'{"id":"evt_a"}'
    assert (wake.facts.state, wake.facts.accepted_at, wake.facts.age_from) == (State.RUNNING, 3, 3)
    assert (row(reader, "1").state, row(reader, "1").changed_at) == ("running", 5)


async def test_a_changed_event_goes_to_the_actor_as_it_was_changed(journal: Journal) -> None:
    await enter(journal, "1", document={"changed": 1})
    assert (await claim_one(journal)).document == b'{"changed":1}'


async def test_the_oldest_due_come_first_up_to_the_slots(journal: Journal) -> None:
    for name, at in (("1", 5), ("2", 3), ("3", 4), ("4", 99)):
        await enter(journal, name, at=at)
    claims = await journal.claim([ClaimWant(actor="actor", slots=2)], 10)
    assert names(claims) == ["2", "3"]
    assert names(await journal.claim([ClaimWant(actor="actor", slots=9)], 10)) == ["1"]


async def test_each_actor_has_its_own_slots(journal: Journal) -> None:
    for name in "123":
        await enter(journal, f"a{name}", actor="a")
        await enter(journal, f"b{name}", actor="b")
    claims = await journal.claim([ClaimWant(actor="a", slots=1), ClaimWant(actor="b", slots=2)], 0)
    assert names(claims) == ["a1", "b1", "b2"]


async def test_only_a_keys_head_is_claimed_and_the_next_one_follows_it(journal: Journal) -> None:
    for name in "123":
        await enter(journal, name, key="k")
    for name in "123":
        (wake,) = await claim(journal)
        assert wake.id == f"dlv_{name}"
        assert await claim(journal) == []
        await settle(journal, wake, Delivered())


async def test_a_head_that_waits_for_a_retry_keeps_the_others_waiting(journal: Journal) -> None:
    await enter(journal, "1", key="k")
    await enter(journal, "2", key="k")
    await settle(journal, await claim_one(journal), Retry(reason="500", after_ms=50))
    assert await claim(journal, now=49) == []
    assert (await claim_one(journal, now=50)).id == "dlv_1"


async def test_two_claimers_never_get_the_same_wake(journal: Journal) -> None:
    for number in range(40):
        await enter(journal, str(number))
    claims = await asyncio.gather(*(claim(journal, slots=7) for _ in range(8)))
    claimed = [wake.id for wakes in claims for wake in wakes]
    assert len(claimed) == len(set(claimed)) == 40


async def test_next_due_is_the_next_time_at_which_something_is_due(journal: Journal) -> None:
    assert (await journal.claim([ClaimWant(actor="actor", slots=1)], 0)).next_due is None
    await enter(journal, "1")
    await enter(journal, "2")
    for wake in await claim(journal):
        await settle(journal, wake, Throttled(until=7_000 if wake.id == "dlv_1" else 6_000))
    assert (await journal.claim([ClaimWant(actor="actor", slots=1)], 10)).next_due == 6_000
    assert (await journal.claim([ClaimWant(actor="other", slots=1)], 10)).next_due is None


async def test_no_slot_claims_nothing_but_says_when_to_look_again(journal: Journal) -> None:
    await enter(journal, "1")
    await enter(journal, "2", at=30)
    claims = await journal.claim([ClaimWant(actor="actor", slots=0)], 10)
    assert (claims.wakes, claims.next_due) == ([], 30)


async def test_a_claimer_that_is_cancelled_gives_its_wakes_back(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1")
    claiming = asyncio.ensure_future(claim(journal))
    later = asyncio.ensure_future(journal.checkpoint("source"))
    await asyncio.wait({claiming, later}, timeout=0)
    claiming.cancel()
    await later
    assert (await claim_one(journal)).facts.crashes == 0
    assert [step.transition for step in reader.steps(Query())] == ["interrupted"]


class TestGuard:
    async def test_it_is_asked_with_what_is_wanted_and_what_goes_on(self, journal: Journal) -> None:
        await enter(journal, "1", hops=2, at=5, runs=True, key="k")
        await enter(journal, "2", runs=True, route="second", at=6)
        asked: list[tuple[Want, list[int], set[str]]] = []

        def admit(want: Want, ledger: Ledger) -> Verdict:
            counts = [
                used(ledger, ScopeLevel.NODE),
                used(ledger, ScopeLevel.ACTOR, "actor"),
                used(ledger, ScopeLevel.ROUTE, "route"),
                used(ledger, ScopeLevel.ROUTE, "second"),
                used(ledger, ScopeLevel.TRACE, "trc_1"),
                used(ledger, ScopeLevel.TRACE, "trc_1", Window.EVER),
                used(ledger, ScopeLevel.ORGANIZATION, window=Window.HOUR),
            ]
            asked.append((want, counts, set(ledger.busy_trees())))
            return Go()

        await admitted(journal, admit, tree="/work", now=10, cap=7)
        (first, before, free), (second, after, busy) = asked
        assert first == Want(
            actor="actor",
            route="route",
            trace="trc_1",
            key="k",
            hops=2,
            age_from=5,
            tree="/work",
            needs={Unit.USD: 7},
        )
        assert second.route == "second"
        assert (before, free) == ([0] * 7, set())
        assert (after, busy) == ([1, 1, 1, 0, 1, 1, 1], {"/work"})

    async def test_what_was_claimed_before_counts(self, journal: Journal) -> None:
        await enter(journal, "1", runs=True, actor="other")
        await enter(journal, "2", runs=False, actor="webhook")
        await admitted(journal, go, actor="other", tree="/a")
        await claim(journal, actor="webhook")
        await enter(journal, "3", runs=True)
        seen: list[object] = []

        def admit(_: Want, ledger: Ledger) -> Verdict:
            seen.extend(
                [used(ledger, ScopeLevel.NODE), used(ledger, ScopeLevel.ACTOR, "actor"), *ledger.busy_trees()]
            )
            return HOME_FULL

        await admitted(journal, admit)
        assert seen == [1, 0, "/a"]

    async def test_runs_of_the_last_hour_count_unless_they_never_began(self, journal: Journal) -> None:
        counts: list[int] = []

        def admit(_: Want, ledger: Ledger) -> Verdict:
            counts.append(used(ledger, ScopeLevel.ORGANIZATION, window=Window.HOUR))
            return full(ScopeLevel.ROUTE, "route")

        for name, transition in (("1", RunEnded()), ("2", NotStarted(outcome=Rejected(reason="no program")))):
            await enter(journal, name, runs=True)
            (wake,) = (await admitted(journal, go, now=100)).wakes
            await journal.start_run(run_start(wake, f"run_{name}", at=100))
            await journal.end_run(run_end(wake, f"run_{name}", transition=transition, at=200))
        await enter(journal, "3", runs=True)
        for now in (100 + HOUR - 1, 100 + HOUR):
            await admitted(journal, admit, now=now)
            await journal.apply(applied(), {"route": "actor"}, now, actors={"actor": True})
        assert counts == [1, 0]

    async def test_runs_of_a_time_that_is_to_come_again_use_up_no_hour(self, journal: Journal) -> None:
        """The clock was set back: or else all that is due would wait until it has caught up."""
        await enter(journal, "1", runs=True)
        await admitted(journal, go, now=100 * HOUR)
        await enter(journal, "2", runs=True)
        counts: list[int] = []

        def admit(_: Want, ledger: Ledger) -> Verdict:
            counts.append(used(ledger, ScopeLevel.ORGANIZATION, window=Window.HOUR))
            return full(ScopeLevel.ROUTE, "route")

        for now in (HOUR, 100 * HOUR):
            await admitted(journal, admit, now=now)
            await journal.apply(applied(), {"route": "actor"}, now, actors={"actor": True})
        assert counts == [0, 1]

    async def test_one_that_must_wait_is_left_and_the_full_scope_is_written_down(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", runs=True)
        claims = await admitted(journal, lambda _, __: HOME_FULL, now=4)
        assert (claims.wakes, claims.next_due) == ([], None)
        assert row(reader, "1").state == "pending"
        (wait,) = reader.waits()
        assert (wait.waiting, wait.since) == (HOME_FULL.reasons[0], 4)

    async def test_another_routes_wake_may_go_while_one_route_waits(self, journal: Journal) -> None:
        for number in range(PAGE + 5):
            await enter(journal, f"a{number}", route="full", runs=True)
        await enter(journal, "b", route="free", runs=True)
        asked: list[str] = []

        def admit(want: Want, _: Ledger) -> Verdict:
            asked.append(want.route)
            return full(ScopeLevel.ROUTE, "full") if want.route == "full" else Go()

        assert names(await admitted(journal, admit)) == ["b"]
        assert asked == ["full", "free"]

    async def test_what_the_whole_actor_must_wait_for_is_asked_once(self, journal: Journal) -> None:
        for number in range(3):
            await enter(journal, str(number), route=f"route-{number}", runs=True)
        asked: list[str] = []

        def admit(want: Want, _: Ledger) -> Verdict:
            asked.append(want.route)
            return HOME_FULL

        for _ in range(2):
            await admitted(journal, admit)
        assert asked == ["route-0"]

    async def test_many_routes_that_must_wait_are_not_looked_at_again_at_once(self, journal: Journal) -> None:
        routes = [f"route-{number}" for number in range(12)]
        for route in routes:
            some = (event(f"{route}-{n}", delivery(f"{route}-{n}", route=route)) for n in range(PAGE))
            await accept(journal, *some)
        await enter(journal, "free", route="free", runs=True)

        def admit(want: Want, _: Ledger) -> Verdict:
            return Go() if want.route == "free" else full(ScopeLevel.ROUTE, want.route)

        claims = await admitted(journal, admit)
        assert (names(claims), claims.next_due) == (["free"], None)

    async def test_one_that_the_guard_holds_waits_for_a_person_and_its_keys_next_goes(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", runs=True, key="k", hops=9)
        await enter(journal, "2", runs=True, key="k")

        def admit(want: Want, _: Ledger) -> Verdict:
            return Hold(reason=HoldReason.HOPS, detail="too many") if want.hops else Go()

        claims = await admitted(journal, admit, now=4)
        assert (claims.held, names(claims)) == (["dlv_1"], ["2"])
        held = row(reader, "1")
        assert (held.state, held.reason, held.detail, held.changed_at) == ("held", "hops", "too many", 4)
        assert [step.transition for step in reader.steps(Query(delivery_id="dlv_1"))] == ["hold"]

    async def test_what_a_person_waived_is_told_to_it(self, journal: Journal) -> None:
        await enter(journal, "1", runs=True)
        await admitted(journal, lambda _, __: Hold(reason=HoldReason.HOPS))
        await journal.operate("dlv_1", Released(), 5)
        await admitted(journal, lambda _, __: Hold(reason=HoldReason.BUDGET), now=6)
        await journal.operate("dlv_1", Released(), 7)
        waived: list[object] = []

        def admit(want: Want, _: Ledger) -> Verdict:
            waived.append(want.waived)
            return Go()

        await admitted(journal, admit, now=10)
        assert waived == [("hops", "budget")]

    async def test_many_held_ones_are_held_in_several_claims(self, journal: Journal) -> None:
        total = MOST_HELD + 3
        await accept(journal, *(event(str(n), delivery(str(n), runs=True)) for n in range(total)))

        def hold(_: Want, __: Ledger) -> Verdict:
            return Hold(reason=HoldReason.BUDGET)

        first = await admitted(journal, hold, now=7)
        second = await admitted(journal, hold, now=7)
        assert (len(first.held), first.next_due) == (MOST_HELD, 7)
        assert (len(second.held), second.next_due) == (3, None)


class TestPause:
    async def pause(self, journal: Journal, *, at: int = 0, until: int = 100) -> None:
        wake = (await claim(journal, now=at, slots=1))[0]
        await settle(journal, wake, GONE, at=at, pause_until=until)

    async def test_nothing_of_a_paused_actor_is_claimed_before_its_end(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        await enter(journal, "2")
        await self.pause(journal)
        (pause,) = reader.pauses()
        assert (pause.actor, pause.since, pause.until, pause.tries, pause.reason) == (
            "actor",
            0,
            100,
            1,
            "refused",
        )
        claims = await journal.claim([ClaimWant(actor="actor", slots=9)], 99)
        assert (claims.wakes, claims.next_due) == ([], 100)

    async def test_a_pause_without_work_wakes_nobody(self, journal: Journal) -> None:
        await enter(journal, "1")
        await self.pause(journal)
        await journal.apply(applied(), {}, 5, actors={})
        assert (await journal.claim([ClaimWant(actor="actor", slots=9)], 10)).next_due is None

    async def test_after_it_one_wake_probes_and_says_how_often_that_was_tried(self, journal: Journal) -> None:
        for name in "123":
            await enter(journal, name)
        await self.pause(journal)
        (probe,) = await claim(journal, now=100)
        assert probe.pause_tries == 1
        assert await claim(journal, now=100) == []

    async def test_a_probe_that_nobody_answers_extends_it(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        await self.pause(journal)
        await settle(journal, await claim_one(journal, now=100), GONE, at=101, pause_until=300)
        (pause,) = reader.pauses()
        assert (pause.since, pause.until, pause.tries) == (0, 300, 2)

    async def test_wakes_that_fail_together_are_one_try(self, journal: Journal, reader: Reader) -> None:
        for name in "123":
            await enter(journal, name)
        for number, wake in enumerate(await claim(journal)):
            await settle(journal, wake, GONE, at=10 + number, began=0, pause_until=100 + number)
        (pause,) = reader.pauses()
        assert (pause.until, pause.tries) == (100, 1)

    @pytest.mark.parametrize(
        ("transition", "left"),
        [
            (Delivered(), 0),
            (Skipped(reason="x"), 0),
            (Rejected(reason="x"), 0),
            (Retry(reason="x"), 0),
            (Throttled(until=900), 0),
            (Limited(account="a", until=900), 0),
            (Interrupted(crash=False), 1),
            (Hold(reason=HoldReason.NO_SOP), 1),
        ],
    )
    async def test_whatever_reaches_the_actor_ends_it(
        self, journal: Journal, reader: Reader, transition: Delivered, left: int
    ) -> None:
        await enter(journal, "1")
        await self.pause(journal)
        await settle(journal, await claim_one(journal, now=100), transition, at=101)
        assert len(reader.pauses()) == left

    async def test_once_it_is_over_all_slots_are_used_again(self, journal: Journal) -> None:
        for name in "1234":
            await enter(journal, name)
        await self.pause(journal)
        (probe,) = await claim(journal, now=100)
        await settle(journal, probe, Delivered(), at=101)
        assert len(await claim(journal, now=101)) == 3

    async def test_a_probe_that_was_interrupted_lets_the_next_one_probe(self, journal: Journal) -> None:
        await enter(journal, "1")
        await self.pause(journal)
        await settle(journal, await claim_one(journal, now=100), Interrupted(crash=False), at=101)
        assert (await claim_one(journal, now=101)).pause_tries == 1

    async def test_a_run_that_is_only_committed_is_still_a_probe(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", runs=True)
        await enter(journal, "2", runs=True)
        await self.pause(journal)
        (probe,) = await claim(journal, now=100)
        await journal.start_run(run_start(probe, "run_1", at=101))
        assert len(reader.pauses()) == 1
        assert await claim(journal, now=102) == []
        failed = run_end(probe, "run_1", transition=NotStarted(outcome=GONE), at=103, pause_until=400)
        await journal.end_run(failed)
        (pause,) = reader.pauses()
        assert (pause.until, pause.tries) == (400, 2)

    async def test_a_run_that_says_something_ends_it(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", runs=True)
        await enter(journal, "2", runs=True)
        await self.pause(journal)
        await journal.start_run(run_start(await claim_one(journal, now=100), "run_1", at=101))
        await journal.note_run("run_1", last_line="hello", offset=6, at=102)
        assert len(await claim(journal, now=103)) == 1
        assert reader.pauses() == []

    async def test_a_run_that_shows_no_work_does_not_end_it(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", runs=True)
        await enter(journal, "2", runs=True)
        await self.pause(journal)
        await journal.start_run(run_start(await claim_one(journal, now=100), "run_1", at=101))
        await journal.note_run("run_1", last_line="hello", offset=6, at=102, alive=False)
        assert await claim(journal, now=103) == []
        assert len(reader.pauses()) == 1

    async def test_a_pause_that_was_ended_too_early_goes_on_where_it_was(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", runs=True)
        await self.pause(journal)
        (probe,) = await claim(journal, now=100)
        await journal.start_run(run_start(probe, "run_1", at=101))
        await journal.note_run("run_1", last_line="hello", offset=6, at=102)
        gone = NotStarted(outcome=GONE)
        await journal.end_run(
            run_end(probe, "run_1", transition=gone, at=103, pause_until=400, pause_tries=probe.pause_tries)
        )
        (pause,) = reader.pauses()
        assert (pause.until, pause.tries) == (400, 2)

    async def test_a_run_that_went_on_before_it_is_no_probe(self, journal: Journal) -> None:
        for name in "123":
            await enter(journal, name, runs=True)
        (first,) = await claim(journal, slots=1)
        await journal.start_run(run_start(first, "run_1"))
        await journal.note_run("run_1", last_line="hello", offset=6, at=1)
        await self.pause(journal, at=2)
        assert len(await claim(journal, now=100)) == 1

    async def test_a_run_that_never_spoke_and_went_on_before_it_is_no_probe(self, journal: Journal) -> None:
        for name in "123":
            await enter(journal, name, runs=True)
        (silent,) = await claim(journal, slots=1)
        await journal.start_run(run_start(silent, "run_1"))
        await self.pause(journal, at=2)
        assert len(await claim(journal, now=100)) == 1

    async def test_while_a_probe_is_out_it_is_looked_at_again_soon(self, journal: Journal) -> None:
        await enter(journal, "1", runs=True)
        await enter(journal, "2", runs=True)
        await self.pause(journal)
        await claim_one(journal, now=100)
        claims = await journal.claim([ClaimWant(actor="actor", slots=9)], 100)
        assert (claims.wakes, claims.next_due) == ([], 1_100)

    async def test_age_does_not_run_while_nobody_answers(self, journal: Journal, reader: Reader) -> None:
        for name, key in (("1", "k"), ("2", "k"), ("3", None)):
            await enter(journal, name, key=key, at=10, runs=True)
        await self.pause(journal, at=50)
        ages: list[int] = []

        def admit(want: Want, ledger: Ledger) -> Verdict:
            ages.append(DAY - want.age_from - ledger.waited(want.age_from))
            return Go()

        for _ in range(3):
            (wake,) = (await admitted(journal, admit, now=DAY)).wakes
            await settle(journal, wake, Delivered(), at=DAY)
        assert ages == [40, 40, 40], "also what waits behind another one"

    async def test_what_came_during_a_pause_is_as_old_as_if_it_came_at_its_end(
        self, journal: Journal
    ) -> None:
        await enter(journal, "1")
        await self.pause(journal)
        await enter(journal, "2", at=HOUR, runs=True)
        await settle(journal, await claim_one(journal, now=DAY), Delivered(), at=DAY)
        waited: list[int] = []

        def admit(want: Want, ledger: Ledger) -> Verdict:
            waited.append(ledger.waited(want.age_from))
            return Go()

        await admitted(journal, admit, now=DAY)
        assert waited == [DAY - HOUR]

    async def test_a_pause_needs_a_time(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1")
        await settle(journal, await claim_one(journal), GONE)
        assert reader.pauses() == []

    async def test_the_token_of_an_earlier_claim_settles_nothing(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1")
        first = await claim_one(journal)
        await settle(journal, first, Interrupted(crash=False))
        second = await claim_one(journal)
        assert second.token > first.token
        assert not await journal.settle(settlement(first, GONE, pause_until=100))
        assert reader.pauses() == []
        assert await journal.settle(settlement(second, Delivered()))
