"""Defaults and delivery policies: what a file says laid over what holds without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orgloop.config.findings import Code, Report
from orgloop.config.model import Defaults
from orgloop.config.reading.documents import Spot, dotted
from orgloop.config.reading.env import DataPath
from orgloop.config.schema import limits as schema_limits
from orgloop.config.schema import models as schema
from orgloop.core.deliveries.admission import WINDOW_MS, Limit, ScopeLevel, Unit
from orgloop.core.deliveries.batch import BatchPolicy
from orgloop.core.deliveries.breaker import BreakerPolicy
from orgloop.core.deliveries.delivery import DeliveryPolicy
from orgloop.core.deliveries.queue_limit import Overflow, QueueLimit
from orgloop.core.text.units import Rate, humanize


def defaults_of(parts: Iterable[schema.DefaultsConfig]) -> Defaults:
    """Several `defaults:`, the later ones over the earlier. A budget of null means no limit."""
    result = Defaults()
    per_key: int | None = 0
    for part in parts:
        limits, budget = part.limits or schema_limits.HomeLimits(), part.budget or schema_limits.Budget()
        result = replace(
            result,
            poll_interval_ms=part.poll_interval or result.poll_interval_ms,
            event_retention_ms=part.event_retention or result.event_retention_ms,
            log_level=part.log_level or result.log_level,
            runs=limits.runs or result.runs,
            max_hops=result.max_hops if limits.max_hops is None else limits.max_hops,
        )
        if "max_repeats" in limits.model_fields_set:
            result = replace(result, max_repeats=limits.max_repeats)
        if "memory_free" in limits.model_fields_set:
            result = replace(result, memory_free=limits.memory_free)
        if "load" in limits.model_fields_set:
            result = replace(result, load=limits.load)
        if "runs_per_key" in limits.model_fields_set:
            per_key = limits.runs_per_key
        if "run_usd" in budget.model_fields_set:
            result = replace(result, run_usd=budget.run_usd)
        if "runs_per_hour" in budget.model_fields_set:
            result = replace(result, runs_per_hour=budget.runs_per_hour)
    return replace(result, runs_per_key=_usual_per_key(result.runs_per_hour) if per_key == 0 else per_key)


def _usual_per_key(runs_per_hour: int | None) -> int | None:
    """How many runs of one key may start in an hour, where no file says it: fewer than of the whole home."""
    usual, below = Defaults().runs_per_key, Defaults().runs_per_hour
    if usual is None or below is None or runs_per_hour is None:
        return None
    return max(usual, runs_per_hour * usual // below)


def batch_of(
    part: schema.BatchConfig | None, policy: DeliveryPolicy, *, ages: bool, spot: Spot, report: Report
) -> BatchPolicy | None:
    """A `then.batch`, as far as it is set. `ages`: its wakes are held once they are older than `max_age`."""
    if part is None:
        return None
    below = BatchPolicy()
    window = part.window or below.window_ms
    # As many windows as the defaults have.
    longest = part.max_wait or window * (below.max_wait_ms // below.window_ms)
    key = "max_wait" if part.max_wait else "window"
    where = spot.where("then", "batch", key)
    at = ("then", "batch")
    if longest < window and _are_sound(spot, at, report, "window", "max_wait"):
        message = f"{spot.label}: in `then.batch`, `max_wait` is shorter than `window`"
        report.error(Code.BAD_VALUE, where, message, "raise `max_wait`, or lower `window`")
    if (
        ages
        and longest >= policy.max_age_ms
        and _are_sound(spot, at, report, "window", "max_wait")
        and _are_sound(spot, ("then", "delivery"), report, "max_age")
    ):
        message = (
            f"{spot.label}: a batch may wait {humanize(longest)}, and deliveries older than "
            f"{humanize(policy.max_age_ms)} is held (`delivery.max_age`)"
        )
        report.error(Code.BAD_VALUE, where, message, "lower `max_wait`, or raise `max_age`")
    return BatchPolicy(window_ms=window, max_wait_ms=longest, max_events=part.max_events or below.max_events)


def _are_sound(spot: Spot, at: DataPath, report: Report, *keys: str) -> bool:
    """Whether none of these keys of a map at `at`, here or on a level below, has an error of its own.

    What is wrong by itself is compared with nothing: its default may be wrong beside the other.
    """
    own = dotted((*spot.at, *at))
    below = tuple(f".{at[-1]}.{key}" for key in keys)
    wrong = {one.path for code in (Code.BAD_VALUE, Code.WRONG_TYPE) for one in report.having(code)}
    return not any(
        path.endswith(below) and (path.startswith(f"{own}.") or not path.startswith("routes."))
        for path in wrong
    ) and not any(spot.lacks_variable(*at, key) for key in keys)


def policy_of(
    part: schema_limits.RouteDelivery | None,
    below: DeliveryPolicy,
    spot: Spot,
    path: DataPath,
    report: Report,
) -> DeliveryPolicy:
    """A `delivery:` over the policy below it. What it says stands at `path` in `spot`."""
    if part is None:
        return below
    given, old = part.retry or schema_limits.RetryConfig(), below.retry
    retry = replace(
        old,
        max_attempts=given.max_attempts or old.max_attempts,
        backoff=given.backoff or old.backoff,
        initial_delay_ms=given.initial_delay or old.initial_delay_ms,
        max_delay_ms=given.max_delay or old.max_delay_ms,
    )
    delays = ("initial_delay", "max_delay")
    if retry.max_delay_ms < retry.initial_delay_ms and _are_sound(spot, (*path, "retry"), report, *delays):
        key = "max_delay" if given.max_delay else "initial_delay"
        name = ".".join(map(str, (*path, "retry")))
        message = f"{spot.label}: in `{name}`, `max_delay` is shorter than `initial_delay`"
        hint = "raise `max_delay`, or lower `initial_delay`"
        report.error(Code.BAD_VALUE, spot.where(*path, "retry", key), message, hint)
    return replace(
        below,
        timeout_ms=part.timeout or below.timeout_ms,
        max_age_ms=part.max_age or below.max_age_ms,
        retry=retry,
        max_rate=_rate(part.max_rate, path) if "max_rate" in part.model_fields_set else below.max_rate,
        queue=_queue(part, below.queue, spot, path, report),
        ordered=below.ordered if part.order is None else part.order == "strict",
    )


def _queue(
    part: schema_limits.RouteDelivery,
    below: QueueLimit | None,
    spot: Spot,
    path: DataPath,
    report: Report,
) -> QueueLimit | None:
    """`queue_depth` with `overflow`, each over the one below. None: the queue has no bound."""
    said = "queue_depth" in part.model_fields_set
    overflow = part.overflow or (below.overflow if below is not None else Overflow.HOLD)
    if said and part.queue_depth is not None:
        setting = ".".join(map(str, (*path, "queue_depth")))
        return QueueLimit(depth=part.queue_depth, overflow=overflow, setting=setting)
    if said or below is None:
        if part.overflow is not None and _are_sound(spot, path, report, "queue_depth"):
            name = ".".join(map(str, (*path, "overflow")))
            message = f"{spot.label}: `{name}` has no meaning without a `queue_depth`"
            hint = "add `queue_depth`, such as 5000, or remove `overflow`"
            report.error(Code.BAD_VALUE, spot.where(*path, "overflow", key=True), message, hint)
        return None
    return replace(below, overflow=overflow)


def _rate(rate: Rate | None, path: DataPath) -> Limit | None:
    """A `max_rate`, which stands below `path`: as the limit of a route. None: there is none."""
    if rate is None:
        return None
    window = next(window for window, ms in WINDOW_MS.items() if ms == rate.per_ms)
    setting = ".".join(map(str, (*path, "max_rate")))
    return Limit(level=ScopeLevel.ROUTE, unit=Unit.WAKES, window=window, most=rate.count, setting=setting)


def breaker_of(parts: Iterable[schema_limits.Delivery | None], *, has_runs: bool) -> BreakerPolicy | None:
    """An actor's circuit breaker, by several `delivery:`, the later ones over the earlier; null means none.

    Where no file says it, an actor with runs has one.
    """
    breaker = BreakerPolicy() if has_runs else None
    for part in parts:
        if part is None or "circuit_breaker" not in part.model_fields_set:
            continue
        said, old = part.circuit_breaker, breaker or BreakerPolicy()
        breaker = (
            BreakerPolicy(
                failure_threshold=said.failure_threshold or old.failure_threshold,
                cooldown_ms=said.cooldown or old.cooldown_ms,
            )
            if said is not None
            else None
        )
    return breaker
