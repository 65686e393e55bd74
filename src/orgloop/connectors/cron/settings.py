"""The `config:` map of cron sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from orgloop.connectors.cron.rule import doubts, parse_rule
from orgloop.plugin import Settings, dump_json, zone_named

DEFAULT_NAME: Final = "default"
"""What a schedule is called that is written as an expression and nothing else."""


def _expression(value: str) -> str:
    parse_rule(value, UTC)
    return value


def _zone(value: str) -> str:
    zone_named(value)
    return value


def _json(value: dict[str, Any]) -> dict[str, Any]:
    dump_json(value)
    return value


Zone = Annotated[str, AfterValidator(_zone)]


class Schedule(Settings):
    """One schedule."""

    name: Annotated[str, Field(min_length=1)]
    """What routes call it: its events are `schedule.<name>`."""
    cron: Annotated[str, AfterValidator(_expression)]
    """Five fields (`0 9 * * MON-FRI`), `@daily` and the like, or an interval (`every 5m`)."""
    payload: Annotated[dict[str, Any], AfterValidator(_json)] = Field(default_factory=dict)
    """More keys for the payload of its events."""
    timezone: Zone | None = None
    """IANA name; the source's `timezone` if absent."""


def _unique(schedules: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    seen: set[str] = set()
    for number, schedule in enumerate(schedules):
        if schedule.name in seen:
            twice = InitErrorDetails(
                type=PydanticCustomError(
                    "schedule_name_taken",
                    "another schedule is called {name}: rename one",
                    {"name": schedule.name},
                ),
                loc=(number, "name"),
                input=schedule.name,
            )
            raise ValidationError.from_exception_data("schedules", [twice])
        seen.add(schedule.name)
    return schedules


def _from_text(value: Any) -> Any:
    return [{"name": DEFAULT_NAME, "cron": value}] if isinstance(value, str) else value


class CronSettings(Settings):
    """A source that emits an event when a schedule is due."""

    schedules: Annotated[
        tuple[Schedule, ...],
        Field(min_length=1, validation_alias=AliasChoices("schedules", "schedule")),
        BeforeValidator(_from_text, json_schema_input_type=str | tuple[Schedule, ...]),
        AfterValidator(_unique),
    ]
    """At least one schedule; each has a name of its own. One expression is the schedule `default`."""
    timezone: Zone | None = None
    """IANA name such as `Europe/Berlin`; the machine's own zone if absent."""

    def warnings(self) -> Mapping[str, str]:
        """Expressions that are sound and may still mean something else than their author thinks."""
        return {
            f"schedules.{number}.cron": doubt
            for number, schedule in enumerate(self.schedules)
            if (doubt := doubts(schedule.cron))
        }
