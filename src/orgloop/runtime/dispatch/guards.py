"""The limits of one actor: what it reserves for a run, and the rule that the journal asks at each claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orgloop.core.deliveries.admission import (
    Ledger,
    Limit,
    Limits,
    ScopeLevel,
    Unit,
    Verdict,
    Want,
    Window,
    admit,
)
from orgloop.plugin import Clock, Priced
from orgloop.runtime.wiring import ActorPart, Wiring

_MICROS: Final = 1_000_000


def admission(wiring: Wiring, part: ActorPart, clock: Clock) -> Callable[[Want, Ledger], Verdict] | None:
    """The guard for an actor. None if it only hands over, and at any rate."""
    guarded = part.has_runs or part.spec.kind.wakes_agent
    if not guarded and not _has_rate(wiring, part):
        return None
    known: dict[tuple[str, str | None], Limits] = {}

    def decide(want: Want, ledger: Ledger) -> Verdict:
        limits = known.get((want.route, want.account))
        if limits is None:
            limits = _limits(wiring, part, want.route, want.account, guarded=guarded)
            known[want.route, want.account] = limits
        return admit(want, ledger, limits, clock.now())

    return decide


def _has_rate(wiring: Wiring, part: ActorPart) -> bool:
    mine = (route.spec for route in wiring.order if route.spec.actor == part.spec.id)
    return any(spec.policy.max_rate is not None for spec in mine)


def _limits(wiring: Wiring, part: ActorPart, route: str, account: str | None, *, guarded: bool) -> Limits:
    policy = wiring.policy(route)
    rate = [policy.max_rate] if policy.max_rate is not None else []
    return Limits(
        max_hops=wiring.organization.defaults.max_hops if guarded else None,
        max_age_ms=policy.max_age_ms if guarded else None,
        # What runs elsewhere takes no slot here; it can loop and go stale all the same.
        limits=[*rate, *(_of_runs(wiring, part, route, account) if part.has_runs else ())],
    )


def reserves(part: ActorPart) -> Mapping[Unit, int] | None:
    """What a run of this actor may use at the most, as far as that is known; None if it has no runs."""
    if not part.has_runs:
        return None
    cap = part.actor.cap_usd if isinstance(part.actor, Priced) else None
    return {} if cap is None else {Unit.USD: round(cap * _MICROS)}


def _of_runs(wiring: Wiring, part: ActorPart, route: str, payer: str | None) -> Sequence[Limit]:
    defaults, found = wiring.organization.defaults, wiring.routes.get(route)
    account = wiring.organization.accounts.get(payer or "")
    at_once = [
        (ScopeLevel.NODE, defaults.runs, "defaults.limits.runs"),
        (ScopeLevel.ACTOR, part.spec.max_runs, "limits.runs"),
        (ScopeLevel.ROUTE, found.spec.max_runs if found is not None else None, "then.limits.runs"),
    ]
    limits = [
        Limit(level=level, unit=Unit.RUNS, window=Window.AT_ONCE, most=most, setting=setting)
        for level, most, setting in at_once
        if most is not None
    ]
    if any(not one.spec.policy.ordered and one.spec.actor == part.spec.id for one in wiring.order):
        # Nothing else keeps two runs from taking up one session.
        once = Limit(level=ScopeLevel.KEY, unit=Unit.RUNS, window=Window.AT_ONCE, most=1, setting="")
        limits.append(once)
    if defaults.runs_per_key is not None:
        per_key = Limit(
            level=ScopeLevel.KEY,
            unit=Unit.RUNS,
            window=Window.HOUR,
            most=defaults.runs_per_key,
            setting="defaults.limits.runs_per_key",
            holds=True,
        )
        limits.append(per_key)
    return [
        *limits,
        *defaults.budget,
        *(account.limits if account is not None else ()),
        *part.spec.budget,
        *(found.spec.budget if found is not None else ()),
    ]
