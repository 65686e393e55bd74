"""Emits an event when a schedule is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from orgloop.connectors.cron.rule import Every, Ticks, parse_rule
from orgloop.connectors.cron.settings import CronSettings, Schedule
from orgloop.plugin import (
    ANYTHING,
    DAY,
    NUMBER,
    SECOND,
    TEXT,
    AuthorType,
    Clock,
    Context,
    Draft,
    EventShape,
    EventType,
    NotJson,
    Page,
    dump_json,
    load_json,
    local_zone,
    zone_named,
)

MAX_AHEAD: Final = DAY
"""How far the last tick may lie in the future (ms). Beyond that the clock was wrong when it fired."""

LOCAL: Final = "local"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """Where a schedule stands: its expression and zone as they were, and its last tick (ms since 1970)."""

    cron: str
    zone: str
    at: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A schedule with its rule."""

    schedule: Schedule
    zone: str
    rule: Ticks

    def follows(self, mark: _Mark, now: int) -> bool:
        """Whether this schedule goes on where the mark stands."""
        return mark.cron == self.schedule.cron and mark.zone == self.zone and mark.at <= now + MAX_AHEAD

    def mark(self, at: int) -> _Mark:
        return _Mark(cron=self.schedule.cron, zone=self.zone, at=at)


class CronSource:
    """Ticks that were missed while nobody polled are one event, for the latest of them."""

    def __init__(self, id: str, settings: CronSettings) -> None:
        self._settings = settings
        self._plans: tuple[_Plan, ...] = ()
        self._clock: Clock | None = None

    async def open(self, ctx: Context) -> None:
        """Looks up the zones. Raises ValueError if this machine's zone cannot be read."""
        self._clock = ctx.clock
        local = ctx.environment.get("TZ")
        self._plans = tuple(self._plan(schedule, local) for schedule in self._settings.schedules)

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        """What is due now. A schedule that the checkpoint does not know, or knows otherwise, begins now."""
        if self._clock is None:
            raise RuntimeError("the source is not open")
        now = self._clock.now()
        marks = _read(checkpoint)
        due: list[tuple[int, Draft]] = []
        kept: dict[str, _Mark] = {}
        for plan in self._plans:
            name = plan.schedule.name
            mark = marks.get(name)
            if mark is None or not plan.follows(mark, now):
                kept[name] = plan.mark(now)
                continue
            tick = plan.rule.latest(mark.at, now)
            if tick is not None:
                due.append((tick, _draft(plan, tick, plan.rule.count(mark.at, tick - 1))))
            kept[name] = plan.mark(mark.at if tick is None else tick)
        due.sort(key=lambda pair: pair[0])
        return Page(
            events=tuple(draft for _, draft in due),
            checkpoint=_written(kept),
            next_at=self._next(kept),
        )

    def _plan(self, schedule: Schedule, local: str | None) -> _Plan:
        name = schedule.timezone or self._settings.timezone
        zone = zone_named(name) if name is not None else local_zone(local)
        return _Plan(schedule=schedule, zone=name or LOCAL, rule=parse_rule(schedule.cron, zone))

    def _next(self, marks: Mapping[str, _Mark]) -> int | None:
        ticks = (plan.rule.after(marks[plan.schedule.name].at) for plan in self._plans)
        return min((tick for tick in ticks if tick is not None), default=None)


def by_hour(settings: CronSettings) -> Mapping[str, Sequence[int]]:
    """How many events each schedule makes at most in each hour of a day, by their platform event."""
    return {_event_of(one): parse_rule(one.cron, UTC).by_hour() for one in settings.schedules}


def shapes(settings: CronSettings) -> Sequence[EventShape]:
    """What the events of each schedule have: its name and time, and its own payload."""
    return [
        EventShape(
            names=(EventType.RESOURCE_CHANGED, _event_of(one)),
            fields={
                "provenance.platform": ("cron",),
                "provenance.author_type": (AuthorType.SYSTEM,),
                "payload.schedule": (one.name,),
                "payload.interval_ms": NUMBER,
                "payload.scheduled_at": TEXT,
                "payload.missed": NUMBER,
                **{f"payload.{key}": ANYTHING for key in one.payload},
                **{f"payload.{key}.*": ANYTHING for key in one.payload},
            },
        )
        for one in settings.schedules
    ]


def _event_of(schedule: Schedule) -> str:
    return f"schedule.{schedule.name}"


def _draft(plan: _Plan, tick: int, missed: int) -> Draft:
    name, at = plan.schedule.name, _iso(tick)
    payload: dict[str, Any] = {"schedule": name}
    if isinstance(plan.rule, Every):
        payload["interval_ms"] = plan.rule.ms
    return Draft(
        provenance={
            "platform": "cron",
            "platform_event": _event_of(plan.schedule),
            "author_type": AuthorType.SYSTEM,
        },
        payload={**payload, "scheduled_at": at, "missed": missed, **plan.schedule.payload},
        key=f"{name}@{at}",
        entity=name,
    )


def _read(checkpoint: str | None) -> dict[str, _Mark]:
    """The marks of a checkpoint; what cannot be read counts as never polled, so that it heals itself."""
    try:
        stored = load_json(checkpoint or "{}")
    except NotJson:
        return {}
    schedules = stored.get("schedules") if isinstance(stored, dict) else None
    marks: dict[str, _Mark] = {}
    for name, mark in schedules.items() if isinstance(schedules, dict) else ():
        match mark:
            case {"cron": str(cron), "zone": str(zone), "at": int(at)} if at >= 0:
                marks[name] = _Mark(cron=cron, zone=zone, at=at)
            case _:
                continue
    return marks


def _written(marks: Mapping[str, _Mark]) -> str:
    stored = {name: {"cron": mark.cron, "zone": mark.zone, "at": mark.at} for name, mark in marks.items()}
    return dump_json({"schedules": stored}).decode()


def _iso(at: int) -> str:
    return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{at % SECOND:03d}Z"
