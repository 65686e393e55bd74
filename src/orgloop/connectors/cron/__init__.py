"""The clock: events by cron expressions and intervals."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.cron.settings import CronSettings
from orgloop.connectors.cron.source import CronSource, by_hour, shapes
from orgloop.plugin import (
    AuthorType,
    Connector,
    EventType,
    SourceKind,
)

connector: Final = Connector(
    name="cron",
    title="The clock: cron expressions and intervals",
    source=SourceKind(
        settings=CronSettings,
        open=CronSource,
        polled=True,
        names=lambda settings: tuple(by_hour(settings)),
        names_all=True,
        by_hour=by_hour,
        shapes=shapes,
        scaffold={"schedules": [{"name": "weekdays-at-nine", "cron": "0 9 * * MON-FRI"}]},
        example={
            "type": EventType.RESOURCE_CHANGED,
            "provenance": {
                "platform": "cron",
                "platform_event": "schedule.weekdays-at-nine",
                "author_type": AuthorType.SYSTEM,
            },
            "payload": {
                "schedule": "weekdays-at-nine",
                "scheduled_at": "2026-01-05T09:00:00.000Z",
                "missed": 0,
            },
        },
    ),
)
