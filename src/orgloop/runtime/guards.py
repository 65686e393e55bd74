"""The limits of one actor, as the rule that the journal asks at each claim."""

from __future__ import annotations

from collections.abc import Callable

from orgloop.core.admission import RunLimits, Usage, Verdict, Want, admit
from orgloop.plugin import Clock
from orgloop.runtime.wiring import ActorPart, Wiring


def admission(wiring: Wiring, part: ActorPart, clock: Clock) -> Callable[[Want, Usage], Verdict] | None:
    """The guard for an actor with runs; None for one that only hands over."""
    if part.supervised is None:
        return None
    defaults = wiring.organization.defaults

    def decide(want: Want, usage: Usage) -> Verdict:
        route = wiring.routes.get(want.route)
        limits = RunLimits(
            home_runs=defaults.runs,
            actor_runs=part.spec.max_runs,
            route_runs=route.spec.max_runs if route else None,
            max_hops=defaults.max_hops,
            runs_per_hour=defaults.runs_per_hour,
            max_age_ms=route.spec.policy.max_age_ms if route else RunLimits().max_age_ms,
        )
        return admit(want, usage, limits, clock.now())

    return decide
