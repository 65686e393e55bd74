"""Whatever happens in whatever order: nothing is lost, nothing happens twice, keys keep their order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orgloop.core.deliveries.admission import (
    NEVER,
    Go,
    Ledger,
    LimitScope,
    ScopeLevel,
    Unit,
    Verdict,
    Wait,
    WaitCause,
    Waiting,
    Want,
    Window,
)
from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.breaker import QUICK_MS, BreakerPolicy, Sign
from orgloop.core.deliveries.delivery import BLOCKING, FINISHED, Facts, IllegalMove, State, move
from orgloop.core.deliveries.on_busy import OnBusy, Turn
from orgloop.core.deliveries.queue_limit import Overflow, QueueLimit
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Drop,
    DropReason,
    Hold,
    HoldReason,
    Interrupted,
    NotStarted,
    Ready,
    Rejected,
    Released,
    Retried,
    Retry,
    RunEnded,
    Skipped,
    Throttled,
    Transition,
    Unavailable,
)
from orgloop.errors import Conflict
from orgloop.journal.model import (
    START,
    ClaimedWake,
    Claims,
    ClaimWant,
    DeliveryRow,
    PauseKind,
    Prepared,
    Query,
    Repeats,
)
from orgloop.journal.protocols import Journal
from tests.journal.build import POLICY, accept, applied, delivery, event, run_end, run_start, settlement
from tests.journal.stores import MEMORY, STORES, Store

T = TypeVar("T")

ACTORS = ("one", "two")
ROUTES = ("first", "second")
KEYS = st.sampled_from([None, "a", "b"])
BATCHES = st.builds(
    lambda most, thing: Batching(
        key="b", policy=BatchPolicy(window_ms=4, max_wait_ms=10, max_events=most), thing=thing
    ),
    st.sampled_from([2, 4, 4]),
    st.sampled_from([None, None, "comment"]),
)
"""How a delivery is collected. The engine puts the session key into the key of a batch: see `collected`."""

MEETINGS = st.sampled_from(["batch"] * 4 + [one for one in OnBusy if one is not OnBusy.QUEUE])
DROP_KEYS = st.sampled_from([None, None, "p", "q"])
NEEDLESS = st.sampled_from([(), (), (), *(((route, key),) for route in ROUTES for key in "pq")])

ONCE = st.sampled_from([(), (("x", 5),), (("x", 5), ("y", 50))])
PATIENCE = 30

OUTCOMES = st.sampled_from(
    [
        Delivered(),
        Skipped(reason="x"),
        Rejected(reason="x"),
        Retry(reason="x", after_ms=0),
        Retry(reason="x", after_ms=3),
        Throttled(until=40),
        Unavailable(reason="x"),
        Interrupted(crash=False),
        Hold(reason=HoldReason.NO_SOP),
    ]
)
ENDS = st.sampled_from(
    [
        RunEnded(),
        NotStarted(outcome=Retry(reason="x", after_ms=0)),
        NotStarted(outcome=Unavailable(reason="x")),
        NotStarted(outcome=Rejected(reason="x")),
        NotStarted(outcome=Interrupted(crash=False)),
        # It was lost, and another one goes on.
        Interrupted(crash=True),
    ]
)
PREPARED: st.SearchStrategy[Transition] = st.sampled_from(
    [Ready(), Ready(), Drop(reason=DropReason.TRANSFORM), Hold(reason=HoldReason.TRANSFORM)]
)
HANDS = st.sampled_from([Released(), Retried(), Discarded()])
VERDICTS = st.lists(
    st.sampled_from([Go(), Go(), *ScopeLevel, Hold(reason=HoldReason.BUDGET)]), min_size=1, max_size=4
)
"""What a guard says: a level means that the wake's scope of that level is full."""
BREAKER = BreakerPolicy(failure_threshold=2, cooldown_ms=5)
SIGNS = st.sampled_from([None, *(Sign(failed=failed, policy=BREAKER) for failed in (True, True, False))])
DEPTH = 3
"""Of the second route, so many may wait."""
OVERFLOWS = st.builds(
    lambda one: QueueLimit(depth=DEPTH, overflow=one, setting="x"), st.sampled_from(Overflow)
)
REPEATS = st.sampled_from([None, None, Repeats("x", 1), Repeats("y", 0)])
PAUSABLE = [
    *(LimitScope(level=ScopeLevel.ROUTE, name=name) for name in ROUTES),
    *(LimitScope(level=ScopeLevel.ACTOR, name=name) for name in ACTORS),
]
CAP = 7
TREE = "/tree"


class Life(RuleBasedStateMachine):
    """One journal, two claimers, a clock that is told what time it is."""

    store: ClassVar[Store]

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = TemporaryDirectory()
        self.stack = AsyncExitStack()
        opening = self.store.open(Path(self.directory.name) / "home")
        self.opened = self.do(self.stack.enter_async_context(opening))
        self.look = self.opened.reader()
        self.now = 0
        self.number = 0
        self.accepted: dict[str, str] = {}
        self.last: dict[str, DeliveryRow] = {}
        self.states: dict[str, State] = {}
        self.taken: set[str] = set()
        self.fixed: set[str] = set()
        self.collected: set[str] = set()
        self.loose: set[str] = set()
        self.places: dict[str, int] = {}
        self.pruned: Counter[State] = Counter()
        self.awake: list[ClaimedWake] = []
        self.runs: dict[str, ClaimedWake] = {}
        self.charged: dict[str, Want] = {}
        self.full: dict[LimitScope, int] = {}
        self.totals: Counter[str] = Counter()
        self.forgotten: set[str] = set()
        self.came = 0
        self.held_back: dict[LimitScope, int] = {}
        self.failing: Counter[str] = Counter()
        self.routes = dict(zip(ROUTES, ACTORS, strict=True))

    @property
    def journal(self) -> Journal:
        return self.opened.journal

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    def teardown(self) -> None:
        if hasattr(self, "look"):
            self.look.close()
            self.do(self.stack.aclose())
            self.loop.close()
            self.directory.cleanup()

    def rows(self) -> dict[str, DeliveryRow]:
        """All deliveries. Each has the place of its acceptance; what comes back goes last."""
        rows = self.look.deliveries(Query(after=START, limit=100_000))
        for row in rows:
            before = self.states.get(row.id)
            comes_back = row.state in BLOCKING and before not in BLOCKING
            if before is None or comes_back:
                self.number += 1
                self.places[row.id] = self.number
            self.states[row.id] = row.state
        return {row.id: row for row in rows}

    def waiting(self, route: str) -> int:
        """How many deliveries of a route wait."""
        rows = self.look.deliveries(Query(route=route, after=START, limit=100_000))
        return sum(row.state in (State.PENDING, State.PREPARING) for row in rows)

    def meeting(self, data: st.DataObject, key: str | None) -> dict[str, Any]:
        """How one that may become pending meets others of its route: a route has batches, or `on_busy`."""
        how = data.draw(MEETINGS)
        if not isinstance(how, OnBusy):
            return {"batch": collected(data.draw(BATCHES), key)}
        return {"turn": Turn(key=str(key), on_busy=how), "ordered": data.draw(st.booleans())}

    # what can happen

    @precondition(lambda self: len(self.accepted) > 8)
    @rule()
    def all_comes_to_an_end(self) -> None:
        """Whatever happened: all routes are there, what is held or dead goes on, every wake goes well."""
        for run_id, wake in self.runs.items():
            self.do(self.journal.end_run(run_end(wake, run_id, at=self.now)))
            self.gives_back(wake.id, ran=True)
        for wake in self.awake:
            self.do(self.journal.settle(settlement(wake, Delivered(), at=self.now)))
            self.gives_back(wake.id, ran=False)
        self.runs.clear()
        self.awake.clear()
        self.the_project_changes(dict(zip(ROUTES, ACTORS, strict=True)), set())
        for scope in PAUSABLE:
            self.a_person_unpauses(scope)
        for row in self.rows().values():
            again: Transition = Retried() if row.state is State.DEAD else Released()
            with suppress(Conflict):
                self.do(self.journal.operate(row.id, again, self.now))
        seen: list[str] = []
        for _ in range(PATIENCE):
            self.now += 1_000
            for route in ROUTES:
                found = self.do(self.journal.to_prepare(route, 1_000))
                ready = [Prepared(id=one.id, transition=Ready(), key="a") for one in found]
                self.do(self.journal.prepared(ready, self.now))
                self.loose -= {one.id for one in ready}
            wants = [ClaimWant(actor=actor, slots=100) for actor in ACTORS]
            wakes = self.do(self.journal.claim(wants, self.now)).wakes
            self.taken |= everybody(wakes)
            self.fixed |= everybody(wakes)
            seen += [id_ for wake in wakes for id_ in (wake.id, *(other.id for other in wake.others))]
            for wake in wakes:
                works = Sign(failed=False, policy=BREAKER)
                assert self.do(self.journal.settle(settlement(wake, Delivered(), at=self.now, sign=works)))
                self.failing[wake.actor] = 0
            if all(row.state in FINISHED for row in self.rows().values()):
                break
        assert {row.id for row in self.rows().values() if row.state not in FINISHED} == set()
        assert len(seen) == len(set(seen))

    @rule(ms=st.integers(1, 20) | st.sampled_from([1_000, QUICK_MS]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(
        data=st.data(),
        count=st.integers(1, 5),
        identity=st.sampled_from([None, None, "i", "j"]),
        request=st.sampled_from([None, None, "r"]),
        is_replay=st.sampled_from([False, False, False, True]),
    )
    def events_come(
        self, data: st.DataObject, count: int, identity: str | None, request: str | None, is_replay: bool
    ) -> None:
        """From a source, or once more because a person said so: then without identity and dedup keys."""
        events = []
        identity, request = (None, None) if is_replay else (identity, request)
        for _ in range(count):
            made = []
            for route in data.draw(st.sets(st.sampled_from(ROUTES), min_size=1)):
                self.number += 1
                state = data.draw(
                    st.sampled_from(
                        [State.PENDING, State.PENDING, State.PREPARING, State.HELD, State.DROPPED]
                    )
                )
                key = data.draw(KEYS)
                made.append(
                    delivery(
                        str(self.number),
                        route=route,
                        actor=self.routes.get(route, ACTORS[0]),
                        runs=True,
                        state=state,
                        reason="" if state in BLOCKING else "untrusted",
                        key=key,
                        once=() if is_replay else data.draw(ONCE),
                        **self.meeting(data, key),
                        drop_key=data.draw(DROP_KEYS),
                        queue=data.draw(OVERFLOWS) if route == ROUTES[1] else None,
                    )
                )
            self.number += 1
            trace, needless = data.draw(st.sampled_from("tuv")), data.draw(NEEDLESS)
            hops, repeats = data.draw(st.integers(0, 4)), data.draw(REPEATS)
            new = event(str(self.number), *made, identity=identity, trace=trace, needless=needless, hops=hops)
            events.append(new._replace(repeats=None if is_replay else repeats, is_replay=is_replay))
        before = self.waiting(ROUTES[1])
        answers = self.do(accept(self.journal, *events, at=self.now, request=request))
        assert self.waiting(ROUTES[1]) <= max(before, DEPTH)
        self.came += 0 if is_replay else sum(not answer.duplicate for answer in answers)
        assert sum(row.events for row in self.look.sources()) == self.came
        for answer, new in zip(answers, events, strict=True):
            assert answer.duplicate == (answer.event_id != new.id)
            if not answer.duplicate:
                self.loose |= {made.id for made in new.deliveries if not made.ordered}
                self.accepted.update({made.id: made.route for made in new.deliveries})
                self.collected |= {made.id for made in new.deliveries if made.batch is not None}

    @rule(slots=st.integers(0, 3), verdicts=VERDICTS, later=st.integers(0, 20))
    def both_claim(self, slots: int, verdicts: Sequence[Verdict | ScopeLevel], later: int) -> None:
        before = self.rows()
        paused = {row.actor for row in self.look.pauses()}
        said = list(verdicts)
        going: list[Want] = []

        def admit(want: Want, ledger: Ledger) -> Verdict:
            mine = {want.scope(level) for level in ScopeLevel}
            assert [one for one, until in self.full.items() if one in mine and until > self.now] == []
            self.check_ledger(want, ledger, going)
            said.append(said.pop(0))
            verdict = self.verdict(said[-1], want, later)
            if isinstance(verdict, Go):
                going.append(want)
            return verdict

        wants = [
            ClaimWant(actor=actor, slots=slots, admit=admit, tree=TREE, reserve={Unit.USD: CAP})
            for actor in ACTORS
        ]

        async def claim() -> Sequence[Claims]:
            return await asyncio.gather(*(self.journal.claim(wants, self.now) for _ in range(2)))

        claims = self.do(claim())
        wakes = [wake for claimed in claims for wake in claimed.wakes]
        assert len({wake.id for wake in wakes}) == len(wakes)
        assert len(going) == len(wakes)
        assert not any(
            self.is_held_back(ScopeLevel.ROUTE, wake.route) or self.is_held_back(ScopeLevel.ACTOR, wake.actor)
            for wake in wakes
        )
        held = {id_ for claimed in claims for id_ in claimed.held}
        for wake in wakes:
            self.check_claim(wake, before, held)
            self.charged[wake.id] = wanted(wake)
            self.totals[wake.trace_id] += 1
        # A probe that has gone on for long has closed its breaker.
        paused &= {row.actor for row in self.look.pauses()}
        for actor in ACTORS:
            mine = [wake for wake in wakes if wake.actor == actor]
            assert len(mine) <= (1 if actor in paused else 2 * slots)
        self.awake += wakes
        self.taken |= everybody(wakes)
        self.fixed |= everybody(wakes)

    def verdict(self, said: Verdict | ScopeLevel, want: Want, later: int) -> Verdict:
        if not isinstance(said, ScopeLevel):
            return said
        scope = want.scope(said)
        if scope is None:
            return Go()
        until = self.full[scope] = self.now + later if later else NEVER
        reason = Waiting(
            scope=scope, unit=Unit.RUNS, window=Window.HOUR, limit=1, until=until, setting="limits.runs"
        )
        return Wait(reasons=[reason])

    def check_ledger(self, want: Want, ledger: Ledger, going: Sequence[Want]) -> None:
        charged = [*self.charged.values(), *going]
        for level in ScopeLevel:
            scope = want.scope(level)
            if scope is not None:
                mine = [other for other in charged if same(scope, other.scope(level))]
                room = ledger.room(scope, Unit.USD, Window.AT_ONCE, CAP, CAP * 3)
                assert (room.used, room.free_at == self.now) == (CAP * len(mine), len(mine) < 3)
        if want.trace not in self.forgotten:
            total = self.totals[want.trace] + sum(other.trace == want.trace for other in going)
            scope = LimitScope(level=ScopeLevel.TRACE, name=want.trace)
            assert ledger.room(scope, Unit.RUNS, Window.EVER, 1, 1_000).used == total
        assert set(ledger.busy_trees()) == ({TREE} if charged else set())

    def gives_back(self, id: str, *, ran: bool) -> None:
        """A wake's charge is settled: what was full for it is looked at again."""
        want = self.charged.pop(id)
        self.totals[want.trace] -= not ran
        mine = [want.scope(level) for level in ScopeLevel]
        self.full = {
            scope: until
            for scope, until in self.full.items()
            if not any(same(scope, other) for other in mine)
        }

    def check_claim(self, wake: ClaimedWake, before: dict[str, DeliveryRow], held: set[str]) -> None:
        row = before[wake.id]
        assert [other.id for other in wake.others] == list(row.members[1:])
        assert [other.seq for other in wake.others] == sorted(other.seq for other in wake.others)
        assert (row.state, row.due <= self.now) == (State.PENDING, True)
        assert wake.facts == wake.facts._replace(
            attempts=row.attempts, crashes=row.crashes, state=State.RUNNING
        )
        if wake.key is None or wake.id in self.collected | self.loose:
            # A batch has the place of its first one, which may have left it.
            return
        ahead = [
            other.id
            for other in before.values()
            if (other.actor, other.key) == (row.actor, row.key)
            and other.state in BLOCKING
            and self.places[other.id] < self.places[row.id]
            and other.id not in held | self.loose
        ]
        assert ahead == [], f"{wake.id} was claimed before {ahead}"

    @precondition(lambda self: self.awake)
    @rule(data=st.data(), transition=OUTCOMES, sign=SIGNS)
    def a_try_ends(self, data: st.DataObject, transition: Transition, sign: Sign | None) -> None:
        wake = data.draw(st.sampled_from(self.awake))
        self.awake.remove(wake)
        before = self.rows()[wake.id]
        written = settlement(wake, transition, at=self.now, pause_until=self.now + 5, sign=sign)
        open_until = self.open_until(wake.actor)
        assert self.do(self.journal.settle(written))
        self.shows(wake.actor, sign, self.now, open_until)
        assert not self.do(self.journal.settle(written))
        self.gives_back(wake.id, ran=False)
        after = self.rows()[wake.id]
        assert (before.state, after.state, after.due) == (State.RUNNING, written.move.state, written.move.due)

    @precondition(lambda self: self.awake)
    @rule(data=st.data())
    def a_run_starts(self, data: st.DataObject) -> None:
        wake = data.draw(st.sampled_from(self.awake))
        self.awake.remove(wake)
        self.number += 1
        run_id = f"run_{self.number}"
        session = None if wake.key is None else (wake.key, run_id)
        assert self.do(self.journal.start_run(run_start(wake, run_id, at=self.now, session=session)))
        self.runs[run_id] = wake

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), transition=ENDS, sign=SIGNS)
    def a_run_ends(self, data: st.DataObject, transition: Transition, sign: Sign | None) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.runs)))
        wake = self.runs.pop(run_id)
        self.gives_back(wake.id, ran=not isinstance(transition, NotStarted))
        end = run_end(wake, run_id, transition=transition, at=self.now, pause_until=self.now + 5, sign=sign)
        open_until = self.open_until(wake.actor)
        run = self.look.run(run_id)
        assert run is not None
        assert self.do(self.journal.end_run(end))
        self.shows(wake.actor, sign, run.started_at, open_until)
        assert not self.do(self.journal.end_run(end))

    def open_until(self, actor: str) -> int | None:
        """When the breaker of an actor lets a probe through, if it is open."""
        pauses = {row.actor: row for row in self.look.pauses() if row.kind is PauseKind.BREAKER}
        return pauses[actor].until if actor in pauses else None

    def shows(self, actor: str, sign: Sign | None, began: int, open_until: int | None) -> None:
        """A wake has shown how its actor is: its breaker is as the rule says."""
        if sign is None:
            return
        if not sign.failed:
            self.failing[actor] = 0
            assert self.open_until(actor) is None
        elif open_until is None or began >= open_until:
            self.failing[actor] += 1
            still_open = open_until is not None or self.failing[actor] >= BREAKER.failure_threshold
            assert (self.open_until(actor) is not None) == still_open
        else:
            assert self.open_until(actor) == open_until

    @rule(scope=st.sampled_from(PAUSABLE), until=st.sampled_from([None, 5, 50]))
    def a_person_pauses(self, scope: LimitScope, until: int | None) -> None:
        end = None if until is None else self.now + until
        self.do(self.journal.pause(scope, end, "ada", self.now))
        self.held_back[scope] = NEVER if end is None else end

    @rule(scope=st.sampled_from(PAUSABLE))
    def a_person_unpauses(self, scope: LimitScope) -> None:
        was = self.held_back.pop(scope, 0)
        resumed = self.do(self.journal.unpause(scope, self.now))
        # One that is over by itself may have been forgotten already.
        assert resumed or was <= self.now

    def is_held_back(self, level: ScopeLevel, name: str) -> bool:
        return self.held_back.get(LimitScope(level=level, name=name), 0) > self.now

    @rule(actor=st.sampled_from(ACTORS))
    def a_person_resumes(self, actor: str) -> None:
        paused = {row.actor for row in self.look.pauses()}
        paused |= {
            row.waiting.scope.name
            for row in self.look.waits()
            if (row.waiting.cause, row.waiting.scope.level) == (WaitCause.PAUSED, ScopeLevel.ACTOR)
        }
        self.held_back.pop(LimitScope(level=ScopeLevel.ACTOR, name=actor), None)
        assert self.do(self.journal.resume_actor(actor, self.now)) == (actor in paused)
        assert actor not in {row.actor for row in self.look.pauses()}
        self.failing[actor] = 0

    @rule(route=st.sampled_from(ROUTES), data=st.data(), limit=st.integers(1, 3))
    def transforms_run(self, route: str, data: st.DataObject, limit: int) -> None:
        found = self.do(self.journal.to_prepare(route, limit))
        results = []
        for one in found:
            key = data.draw(KEYS)
            results.append(
                Prepared(
                    id=one.id,
                    transition=data.draw(PREPARED),
                    key=key,
                    once=data.draw(ONCE),
                    **self.meeting(data, key),
                )
            )
        self.collected |= {one.id for one in results if one.batch is not None}
        self.loose -= {one.id for one in results}
        self.loose |= {one.id for one in results if not one.ordered}
        self.do(self.journal.prepared(results, self.now))
        states = self.rows()
        assert all(states[one.id].state is not State.PREPARING for one in found)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), transition=HANDS)
    def a_person_decides(self, data: st.DataObject, transition: Transition) -> None:
        row = self.rows()[data.draw(st.sampled_from(sorted(self.accepted)))]
        fixed = row.id in self.taken
        try:
            expected = move(facts(row, fixed=fixed), transition, POLICY, self.now, 0.0)
        except IllegalMove:
            expected = None
        try:
            done = self.do(self.journal.operate(row.id, transition, self.now))
        except Conflict:
            assert expected is None
        else:
            owner = self.rows().get(done.detail.partition(" ")[0])
            if isinstance(transition, Released) and done.reason == DropReason.DUPLICATE:
                # What was held as untrusted owned no key: in the meantime another one may.
                assert row.reason == "untrusted"
                assert owner is None or owner.route == row.route
            else:
                assert done == expected

    @rule()
    def we_die_and_come_back(self) -> None:
        before = self.rows()
        self.look.close()
        self.do(self.opened.restart())
        self.look = self.opened.reader()
        self.do(self.journal.recover(self.now))
        after = self.rows()
        for id_, row in before.items():
            if row.state is State.RUNNING:
                expected = move(facts(row), Interrupted(crash=True), POLICY, self.now, 0.0)
                assert (after[id_].state, after[id_].due, after[id_].crashes, after[id_].reason) == (
                    expected.state,
                    expected.due,
                    expected.crashes,
                    expected.reason,
                )
            else:
                assert after[id_].state is row.state
        self.full = {}
        for wake in self.awake:
            self.gives_back(wake.id, ran=False)
            late = settlement(wake, Delivered(), at=self.now)
            assert not self.do(self.journal.settle(late))
        self.awake.clear()
        assert {run.run_id for run in self.do(self.journal.open_runs())} == set(self.runs)

    @rule(
        routes=st.dictionaries(st.sampled_from(ROUTES), st.sampled_from(ACTORS)),
        changed=st.sets(st.sampled_from(ROUTES)),
    )
    def the_project_changes(self, routes: dict[str, str], changed: set[str]) -> None:
        self.routes = routes
        actors = dict.fromkeys(ACTORS, True)
        self.do(self.journal.apply(applied(self.now), routes, self.now, actors=actors, changed=changed))
        self.full = {}
        for row in self.rows().values():
            if row.state in (State.PENDING, State.PREPARING):
                assert row.route in routes
            if row.state is State.HELD:
                assert not (row.reason == "removed" and row.route in routes)
            if row.attempts == 0 and row.route in routes and row.state in (State.PENDING, State.PREPARING):
                assert row.actor == routes[row.route]
                assert not (row.route in changed and row.state is State.PENDING)

    @rule()
    def what_waited_too_long_expires(self) -> None:
        held = Counter(row.state for row in self.rows().values())[State.HELD]
        assert self.do(self.journal.expire(self.now, held_before=self.now + 1)) == held

    @rule(limit=st.integers(1, 3))
    def what_is_finished_is_forgotten(self, limit: int) -> None:
        before = self.rows()
        self.do(self.journal.prune(self.now, seen_before=self.now - 50, limit=limit))
        after = self.rows()
        for id_ in before.keys() - after.keys():
            assert before[id_].state in FINISHED
            self.pruned[before[id_].state] += 1
            del self.accepted[id_]
            self.last.pop(id_, None)
        left = {event.trace_id for event in self.look.events(Query(limit=100_000))}
        self.forgotten |= self.totals.keys() - left

    # what always holds

    @invariant()
    def every_delivery_is_there_once(self) -> None:
        assert set(self.rows()) == set(self.accepted)

    @invariant()
    def what_is_finished_never_changes(self) -> None:
        rows = self.rows()
        for id_, row in self.last.items():
            if row.state in FINISHED:
                assert rows[id_] == row
        self.last = rows

    @invariant()
    def a_key_has_one_head_and_only_the_head_is_awake(self) -> None:
        queues: dict[tuple[str, str], list[DeliveryRow]] = {}
        for row in self.rows().values():
            if row.state not in BLOCKING or row.lead != row.id:
                assert not row.head
            elif row.key is None or row.id in self.loose:
                assert row.head
            else:
                queues.setdefault((row.actor, row.key), []).append(row)
        for queue in queues.values():
            heads = [row for row in queue if row.head]
            assert len(heads) == 1
            if any(row.id in self.collected for row in queue):
                continue
            awake = [row for row in queue if row.state in (State.RUNNING, State.STARTED)]
            assert heads == (awake or [min(queue, key=lambda row: self.places[row.id])])

    @invariant()
    def members_are_where_their_lead_is(self) -> None:
        rows = self.rows()
        for row in rows.values():
            lead = rows[row.lead]
            assert lead.lead == lead.id
            if lead is not row:
                assert (row.key, row.head) == (None, False)
                # When a member is due is not asked: its lead may have become a head since they joined.
                same = ("route", "actor", "state", "attempts", "failures", "crashes", "reason")
                assert [getattr(row, name) for name in same] == [getattr(lead, name) for name in same]
            if row.members and row.state not in FINISHED:
                assert row.id in lead.members
                assert row.members == lead.members

    @invariant()
    def what_collects_has_never_been_claimed_and_is_not_full(self) -> None:
        for row in self.rows().values():
            if row.state is State.PREPARING:
                # Who is in a wake is not fixed any more: it is prepared anew for another configuration.
                self.fixed.discard(row.id)
            if row.batch_until is not None:
                assert (row.state, row.lead, row.id in self.fixed) == (State.PENDING, row.id, False)
                assert len(row.members) < 4
                assert row.due <= max(row.batch_until, self.now)

    @invariant()
    def what_runs_is_in_somebodys_hands(self) -> None:
        rows = self.rows()
        assert {id_ for id_, row in rows.items() if row.state is State.RUNNING} == everybody(self.awake)
        started = {id_ for id_, row in rows.items() if row.state is State.STARTED}
        assert started == everybody(self.runs.values())

    @invariant()
    def what_goes_on_is_charged_and_nothing_else(self) -> None:
        leads = [row for row in self.rows().values() if row.lead == row.id]
        busy = {row.id for row in leads if row.state in (State.RUNNING, State.STARTED)}
        assert busy == set(self.charged)

    @invariant()
    def what_is_full_is_written_down(self) -> None:
        found: dict[bool, dict[LimitScope, int]] = {True: {}, False: {}}
        for wait in self.look.waits():
            if wait.waiting.until > self.now:
                found[wait.waiting.cause is WaitCause.PAUSED][wait.waiting.scope] = wait.waiting.until
        for is_pause, expected in ((False, self.full), (True, self.held_back)):
            assert found[is_pause] == {scope: until for scope, until in expected.items() if until > self.now}

    @invariant()
    def counts_agree(self) -> None:
        rows = self.rows().values()
        counts, stats = self.look.counts(), self.look.route_stats()
        finished = Counter(row.state for row in rows if row.state in FINISHED) + self.pruned
        assert counts["total"] == {state: finished[state] for state in FINISHED}
        told = {
            (state, route): n
            for state, routes in counts.items()
            for route, n in routes.items()
            if state != "total"
        }
        assert told == Counter((row.state, row.route) for row in rows if row.state not in FINISHED)
        groups = Counter[tuple[State, str, str]]()
        for group in self.look.backlog():
            groups[group.state, group.route, group.actor] += group.count
        assert groups == Counter(
            (row.state, row.route, row.actor) for row in rows if row.state not in FINISHED
        )
        assert sum(fired for fired, _ in stats.values()) == len(self.accepted) + self.pruned.total()

    @invariant()
    def nothing_hangs_in_the_air(self) -> None:
        assert self.opened.faults() == []
        rows = self.rows()
        ended = {step.delivery_id: step.state for step in self.look.steps(Query(after=START, limit=100_000))}
        astray = {id_ for id_, state in ended.items() if rows[id_].state not in (state, State.RUNNING)}
        assert astray == set()


def everybody(wakes: Iterable[ClaimedWake]) -> set[str]:
    return {id_ for wake in wakes for id_ in (wake.id, *(other.id for other in wake.others))}


def collected(batch: Batching, key: str | None) -> Batching:
    """Never two session keys in one batch."""
    return replace(batch, key=f"{batch.key} {key}")


def facts(row: DeliveryRow, *, fixed: bool = False) -> Facts:
    """`fixed`: it was claimed before, so who is in its wake stays."""
    return Facts(
        state=row.state,
        accepted_at=row.accepted_at,
        age_from=row.age_from,
        attempts=row.attempts,
        failures=row.failures,
        crashes=row.crashes,
        reason=row.reason,
        members=1 if fixed else len(row.members) or 1,
    )


def wanted(wake: ClaimedWake) -> Want:
    return Want(
        actor=wake.actor,
        route=wake.route,
        trace=wake.trace_id,
        key=wake.key,
        hops=wake.hops,
        age_from=0,
        tree=TREE,
    )


def same(scope: LimitScope, other: LimitScope | None) -> bool:
    """Whether room in one is room in the other. A work tree is the same for every actor that waits for it."""
    if other is None:
        return False
    tree = scope.level is ScopeLevel.WORKTREE
    return replace(scope, actor="") == replace(other, actor="") if tree else scope == other


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_whatever_happens(store: Store) -> None:
    examples, steps = (60, 40) if store is MEMORY else (6, 30)
    machine = type("LifeOnStore", (Life,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
