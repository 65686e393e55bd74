"""May this wake start now? One pure function over what is wanted, what is used, and what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orgloop.core.happening import Hold, HoldReason
from orgloop.core.units import humanize


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """A pending delivery for an actor that has runs.

    `directory` is where the run would work, resolved, or None. `age_from` is ms since 1970.
    `waived` are the guards that a person has already lifted for it.
    """

    actor: str
    route: str
    hops: int
    age_from: int
    directory: str | None = None
    waived: Collection[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What goes on at the moment of the claim, read from the journal in its transaction."""

    home_runs: int = 0
    actor_runs: int = 0
    route_runs: int = 0
    busy_directories: Collection[str] = ()
    runs_last_hour: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLimits:
    """What is allowed. Strictest wins; None means no limit of that kind."""

    home_runs: int = 4
    actor_runs: int | None = None
    route_runs: int | None = None
    max_hops: int = 25
    runs_per_hour: int | None = 60
    max_age_ms: int = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Go:
    """It may start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Not yet: something must end first. `why` is for people.

    `route_only`: wakes of the actor's other routes may go; else nothing of this actor may.
    """

    why: str
    route_only: bool = False


Verdict = Go | Wait | Hold


def admit(want: Want, usage: Usage, limits: RunLimits, now: int) -> Verdict:
    """Guards first, since waiting would not help them; then the slots."""
    if HoldReason.HOPS not in want.waived and want.hops >= limits.max_hops:
        return Hold(
            reason=HoldReason.HOPS,
            detail=f"{want.hops} runs caused each other; defaults.limits.max_hops is {limits.max_hops}",
        )
    age = now - want.age_from
    if age > limits.max_age_ms:
        return Hold(
            reason=HoldReason.STALE,
            detail=f"waited {humanize(age)}; delivery.max_age is {humanize(limits.max_age_ms)}",
        )
    if usage.home_runs >= limits.home_runs:
        return Wait(why=f"{_go_on(usage.home_runs)}; limits.runs of this home is {limits.home_runs}")
    if limits.actor_runs is not None and usage.actor_runs >= limits.actor_runs:
        return Wait(why=f"{_go_on(usage.actor_runs, want.actor)}; its limits.runs is {limits.actor_runs}")
    if limits.route_runs is not None and usage.route_runs >= limits.route_runs:
        return Wait(
            why=f"{_go_on(usage.route_runs, f'route {want.route}')}; its limits.runs is {limits.route_runs}",
            route_only=True,
        )
    if want.directory is not None and want.directory in usage.busy_directories:
        return Wait(why=f"another run works in {want.directory}")
    if (
        HoldReason.BUDGET not in want.waived
        and limits.runs_per_hour is not None
        and usage.runs_last_hour >= limits.runs_per_hour
    ):
        return Hold(
            reason=HoldReason.BUDGET,
            detail=f"{usage.runs_last_hour} runs started within the hour; "
            f"defaults.budget.runs_per_hour is {limits.runs_per_hour}",
        )
    return Go()


def _go_on(runs: int, whose: str = "") -> str:
    of = f" of {whose}" if whose else ""
    return f"1 run{of} goes on" if runs == 1 else f"{runs} runs{of} go on"
