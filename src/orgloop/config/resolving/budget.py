"""Budgets: what runs may use over time, as limits that a claim keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from orgloop.config.findings import Code, Report
from orgloop.config.model import Defaults
from orgloop.config.reading.documents import Spot
from orgloop.config.reading.env import DataPath
from orgloop.config.schema import limits as schema_limits
from orgloop.core.deliveries.admission import Limit, ScopeLevel, Unit, Window, amount

_MICROS: Final = 1_000_000
_TRACE_RUNS, _DAY_RUNS = 5, 10
"""So many of the most expensive run may one trace and one day cost, where no file says it."""

_MEANING: Final[Mapping[str, tuple[Unit, Window]]] = MappingProxyType(
    {
        "runs_per_hour": (Unit.RUNS, Window.HOUR),
        "runs_per_day": (Unit.RUNS, Window.DAY),
        "hour_usd": (Unit.USD, Window.HOUR),
        "day_usd": (Unit.USD, Window.DAY),
        "hour_tokens": (Unit.TOKENS, Window.HOUR),
        "day_tokens": (Unit.TOKENS, Window.DAY),
        "hour_run_time": (Unit.RUN_TIME, Window.HOUR),
        "day_run_time": (Unit.RUN_TIME, Window.DAY),
        "trace_runs": (Unit.RUNS, Window.EVER),
        "trace_usd": (Unit.USD, Window.EVER),
        "trace_tokens": (Unit.TOKENS, Window.EVER),
        "trace_run_time": (Unit.RUN_TIME, Window.EVER),
    }
)
"""What each key counts. A total without an end is one of a trace."""


def home_limits(
    budgets: Iterable[schema_limits.Budget | None], caps: Iterable[float | None]
) -> Sequence[Limit]:
    """The limits of several `defaults.budget`, the later ones over the earlier; null means no limit.

    `caps` are the US dollars that one run of each actor may cost, as far as that is known.
    """
    most = max((cap for cap in caps if cap is not None), default=None)
    values: dict[str, float | None] = {"runs_per_hour": Defaults().runs_per_hour}
    if most is not None:
        values |= {"trace_usd": _TRACE_RUNS * most, "day_usd": _DAY_RUNS * most}
    for budget in budgets:
        if budget is not None:
            values |= {key: getattr(budget, key) for key in budget.model_fields_set - {"run_usd"}}
    return _limits(values, ScopeLevel.ORGANIZATION, "defaults.budget")


def limits_of(budget: schema_limits.RunBudget | None, level: ScopeLevel, setting: str) -> Sequence[Limit]:
    """The limits of the `budget` of an actor or a route, which stands at `setting`."""
    if budget is None:
        return ()
    keys = budget.model_fields_set & schema_limits.RunBudget.model_fields.keys()
    return _limits({key: getattr(budget, key) for key in sorted(keys)}, level, setting)


def check_cap(limits: Iterable[Limit], cap: float | None, actor: str, spot: Spot, report: Report) -> None:
    """No run could ever start whose own cap is more than a limit allows."""
    for limit in limits:
        if limit.unit is Unit.USD and cap is not None and round(cap * _MICROS) > limit.most:
            message = (
                f"{spot.label}: one run of {actor!r} may cost {amount(Unit.USD, round(cap * _MICROS))}, and "
                f"`{limit.setting}` is {amount(Unit.USD, limit.most)}, so no run could ever start"
            )
            hint = f"raise `{limit.setting}`, or lower what one run may cost"
            report.error(Code.BAD_VALUE, spot.where(), message, hint)


def check_told(
    limits: Iterable[Limit], *, priced: bool, actor: str, spot: Spot, path: DataPath, report: Report
) -> None:
    """An actor that does not tell what its runs cost can keep no budget of dollars or tokens."""
    for limit in limits:
        if limit.unit in (Unit.USD, Unit.TOKENS) and not priced:
            key = limit.setting.rpartition(".")[2]
            message = (
                f"{spot.label}: {actor!r} does not report what its runs cost, "
                f"so `{limit.setting}` would never be reached"
            )
            hint = "add `price` to the actor, or limit its runs with `runs_per_day` or `day_run_time`"
            report.error(Code.BAD_VALUE, spot.where(*path, key, key=True), message, hint)


def _limits(values: Mapping[str, float | None], level: ScopeLevel, setting: str) -> Sequence[Limit]:
    found = []
    for key, value in values.items():
        if value is None:
            continue
        unit, window = _MEANING[key]
        found.append(
            Limit(
                level=ScopeLevel.TRACE if window is Window.EVER else level,
                unit=unit,
                window=window,
                most=round(value * _MICROS) if unit is Unit.USD else round(value),
                setting=f"{setting}.{key}",
            )
        )
    return found
