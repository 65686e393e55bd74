"""Admission: who may start, who waits and for what, who is held for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from orgloop.core.deliveries.admission import (
    NEVER,
    Go,
    Limit,
    Limits,
    LimitScope,
    Room,
    ScopeLevel,
    Unit,
    Wait,
    Want,
    Window,
    admit,
    sentence,
)
from orgloop.core.deliveries.transition import Hold, HoldReason

NOW = 10**12
HOUR = 3_600_000
HOME = Limit(
    level=ScopeLevel.NODE, unit=Unit.RUNS, window=Window.AT_ONCE, most=4, setting="defaults.limits.runs"
)
ACTOR = Limit(level=ScopeLevel.ACTOR, unit=Unit.RUNS, window=Window.AT_ONCE, most=2, setting="limits.runs")
ROUTE = Limit(
    level=ScopeLevel.ROUTE, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="then.limits.runs"
)
HOURLY = Limit(
    level=ScopeLevel.ORGANIZATION, unit=Unit.RUNS, window=Window.HOUR, most=60, setting="budget.runs_per_hour"
)
TRACE = Limit(
    level=ScopeLevel.TRACE, unit=Unit.USD, window=Window.EVER, most=25_000_000, setting="budget.trace_usd"
)
DAY = Limit(
    level=ScopeLevel.ACCOUNT, unit=Unit.USD, window=Window.DAY, most=50_000_000, setting="budget.day_usd"
)


@dataclass(kw_only=True)
class Told:
    """A ledger that says what the test told it, and notes what it was asked."""

    used: Mapping[tuple[ScopeLevel, Unit, Window], int] = field(default_factory=dict)
    free_at: int = NEVER
    reserved: int = 0
    busy: Collection[str] = ()
    wait: int = 0
    asked: list[str] = field(default_factory=list)

    def room(self, scope: LimitScope, unit: Unit, window: Window, need: int, limit: int) -> Room:
        self.asked.append(scope.level)
        used = self.used.get((scope.level, unit, window), 0)
        return Room(used=used, free_at=NOW if used + need <= limit else self.free_at, reserved=self.reserved)

    def busy_trees(self) -> Collection[str]:
        self.asked.append("trees")
        return self.busy

    def waited(self, since: int) -> int:
        self.asked.append("waited")
        return self.wait


def want(hops: int = 0, age: int = 0, tree: str | None = None, waived: Sequence[str] = ()) -> Want:
    return Want(
        actor="dev",
        route="review",
        trace="trc_1",
        account="default",
        needs={Unit.USD: 5_000_000},
        hops=hops,
        age_from=NOW - age,
        tree=tree,
        waived=waived,
    )


def runs(level: ScopeLevel, used: int, window: Window = Window.AT_ONCE) -> Told:
    return Told(used={(level, Unit.RUNS, window): used})


def usd(level: ScopeLevel, used: int, window: Window, reserved: int = 0) -> Told:
    return Told(used={(level, Unit.USD, window): used}, reserved=reserved)


@pytest.mark.parametrize(
    ("wanted", "ledger", "limits", "expected"),
    [
        (want(), Told(), [HOME, ACTOR, ROUTE, HOURLY, TRACE, DAY], "go"),
        (want(hops=24), Told(), [], "go"),
        (want(hops=25), Told(), [], HoldReason.HOPS),
        (want(hops=25, waived=(HoldReason.HOPS,)), Told(), [], "go"),
        (want(age=24 * HOUR), Told(), [], "go"),
        (want(age=24 * HOUR + 1), Told(), [], HoldReason.STALE),
        (want(age=24 * HOUR + 1), Told(wait=1), [], "go"),
        (want(age=25 * HOUR), Told(wait=1), [], HoldReason.STALE),
        (want(), runs(ScopeLevel.NODE, 3), [HOME], "go"),
        (want(), runs(ScopeLevel.NODE, 4), [HOME], [ScopeLevel.NODE]),
        (want(), runs(ScopeLevel.ACTOR, 2), [HOME, ACTOR], [ScopeLevel.ACTOR]),
        (want(), runs(ScopeLevel.ROUTE, 1), [ROUTE], [ScopeLevel.ROUTE]),
        (want(), runs(ScopeLevel.ROUTE, 1), [HOME], "go"),
        (want(tree="/a"), Told(busy={"/a"}), [HOME], [ScopeLevel.WORKTREE]),
        (want(tree="/b"), Told(busy={"/a"}), [HOME], "go"),
        (want(), Told(busy={"/a"}), [HOME], "go"),
        (want(), runs(ScopeLevel.ORGANIZATION, 59, Window.HOUR), [HOURLY], "go"),
        # A rate over time makes it wait, whoever released it before.
        (want(), runs(ScopeLevel.ORGANIZATION, 60, Window.HOUR), [HOURLY], [ScopeLevel.ORGANIZATION]),
        (
            want(waived=(HoldReason.BUDGET,)),
            runs(ScopeLevel.ORGANIZATION, 60, Window.HOUR),
            [HOURLY],
            [ScopeLevel.ORGANIZATION],
        ),
        (want(), usd(ScopeLevel.ACCOUNT, 45_000_000, Window.DAY), [DAY], "go"),
        (want(), usd(ScopeLevel.ACCOUNT, 45_000_001, Window.DAY), [DAY], [ScopeLevel.ACCOUNT]),
        # A total is refilled by nothing: a person decides. What a run that goes on may give back is awaited.
        (want(), usd(ScopeLevel.TRACE, 20_000_000, Window.EVER), [TRACE], "go"),
        (want(), usd(ScopeLevel.TRACE, 20_000_001, Window.EVER), [TRACE], HoldReason.BUDGET),
        (want(), usd(ScopeLevel.TRACE, 24_000_000, Window.EVER, 5_000_000), [TRACE], [ScopeLevel.TRACE]),
        (want(waived=(HoldReason.BUDGET,)), usd(ScopeLevel.TRACE, 99_000_000, Window.EVER), [TRACE], "go"),
        # All reasons at once.
        (
            want(tree="/a"),
            Told(
                used={
                    (ScopeLevel.NODE, Unit.RUNS, Window.AT_ONCE): 4,
                    (ScopeLevel.ROUTE, Unit.RUNS, Window.AT_ONCE): 1,
                    (ScopeLevel.ORGANIZATION, Unit.RUNS, Window.HOUR): 60,
                },
                busy={"/a"},
            ),
            [HOME, ACTOR, ROUTE, HOURLY],
            [ScopeLevel.NODE, ScopeLevel.ROUTE, ScopeLevel.ORGANIZATION, ScopeLevel.WORKTREE],
        ),
        # Guards that waiting cannot help come before it.
        (want(hops=99), runs(ScopeLevel.NODE, 4), [HOME], HoldReason.HOPS),
        (
            want(),
            Told(
                used={
                    (ScopeLevel.NODE, Unit.RUNS, Window.AT_ONCE): 4,
                    (ScopeLevel.TRACE, Unit.USD, Window.EVER): 25_000_000,
                }
            ),
            [HOME, TRACE],
            HoldReason.BUDGET,
        ),
    ],
)
def test_the_strictest_rule_decides(
    wanted: Want, ledger: Told, limits: Sequence[Limit], expected: str | Sequence[ScopeLevel]
) -> None:
    match admit(wanted, ledger, Limits(limits=limits), NOW):
        case Go():
            assert expected == "go"
        case Wait(reasons=reasons):
            assert [reason.scope.level for reason in reasons] == expected
        case Hold(reason=reason, detail=detail):
            assert expected == reason
            assert any(char.isdigit() for char in detail), "a person is told the numbers"


def test_only_what_is_needed_is_asked() -> None:
    ledger = Told()
    admit(want(), ledger, Limits(limits=[HOME]), NOW)
    assert ledger.asked == [ScopeLevel.NODE]


def test_who_waits_for_a_work_tree_is_advised_what_helps_whichever_actor_is_in_it() -> None:
    verdict = admit(want(tree="/repo"), Told(busy=["/repo"]), Limits(), NOW)
    assert isinstance(verdict, Wait)
    words = sentence(verdict.reasons[0], "")
    assert "/repo" in words
    assert "`orgloop validate`" in words
    assert "`worktree`" not in words, "only with its project is it known what this actor can have"


def test_a_scope_that_a_wake_is_not_in_does_not_limit_it() -> None:
    """A wake without a key, or of an actor without an account."""
    limits = [
        Limit(level=level, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="x")
        for level in (ScopeLevel.KEY, ScopeLevel.WORKTREE)
    ]
    assert admit(want(), Told(), Limits(limits=limits), NOW) == Go()


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("window", Window)
def test_a_reason_names_limit_and_setting_and_when_work_continues(unit: Unit, window: Window) -> None:
    limit = Limit(level=ScopeLevel.ACTOR, unit=unit, window=window, most=5_000_000, setting="limits.it")
    used = limit.most + 1
    ledger = Told(used={(ScopeLevel.ACTOR, unit, window): used}, free_at=NOW + 60_000, reserved=used)
    verdict = admit(want(), ledger, Limits(limits=[limit]), NOW)
    assert isinstance(verdict, Wait)
    (reason,) = verdict.reasons
    assert reason.until == NOW + 60_000
    words = sentence(reason, "14:05")
    assert "14:05" in words
    assert "`limits.it`" in words
    assert "actor dev" in words
