"""The limits of one actor, as the rule that the journal asks at each claim."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from orgloop.core.admission import RunLimits, Usage, Verdict, Want, admit
from orgloop.plugin import Clock
from orgloop.runtime.wiring import ActorPart, Wiring

NO_LIMIT: Final = sys.maxsize


def admission(wiring: Wiring, part: ActorPart, clock: Clock) -> Callable[[Want, Usage], Verdict] | None:
    """The guard for an actor that has runs or wakes an agent elsewhere; None for one that only hands over."""
    has_runs = part.has_runs
    if not has_runs and not part.spec.kind.wakes_agent:
        return None
    defaults = wiring.organization.defaults

    def decide(want: Want, usage: Usage) -> Verdict:
        route = wiring.routes.get(want.route)
        # What runs elsewhere takes no slot here; it can loop and go stale all the same.
        limits = RunLimits(
            home_runs=defaults.runs if has_runs else NO_LIMIT,
            actor_runs=part.spec.max_runs if has_runs else None,
            route_runs=route.spec.max_runs if has_runs and route else None,
            max_hops=defaults.max_hops,
            runs_per_hour=defaults.runs_per_hour if has_runs else None,
            max_age_ms=wiring.policy(want.route).max_age_ms,
        )
        return admit(want, usage, limits, clock.now())

    return decide
