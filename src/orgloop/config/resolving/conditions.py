"""Which events a route means: names and a filter, checked where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orgloop.config.findings import Code, Report, advised
from orgloop.config.reading.documents import Spot, dotted
from orgloop.config.reading.env import DataPath
from orgloop.core.events.fields import Path as FieldPath
from orgloop.core.events.fields import PathError, in_event
from orgloop.core.events.match import Condition, When


class FilterReader:
    """Reads them for one route."""

    def __init__(self, spot: Spot, report: Report) -> None:
        self._spot = spot
        self._report = report

    def when(
        self, source: str, events: Sequence[str], filters: Mapping[str, Any] | None, at: DataPath
    ) -> When | None:
        """What stands at `at`; None if it is not sound."""
        spot = self._spot
        if spot.get(*at, "events") == []:
            message = f"{spot.label}: `{dotted((*at, 'events'))}` is empty, so it never matches"
            hint = 'write ["*"] for every event'
            self._report.error(Code.BAD_VALUE, spot.where(*at, "events"), message, hint)
        for number, name in enumerate(events):
            if not name.strip():
                message = f"{spot.label}: an event's name is empty"
                where = spot.where(*at, "events", number)
                self._report.error(Code.BAD_VALUE, where, message, "write its name")
        lines = [self._condition(key, value, (*at, "filter", key)) for key, value in (filters or {}).items()]
        if None in lines or not source or not events:
            return None
        sound = tuple(line for line in lines if line is not None)
        return When(source=source, events=tuple(events), filter=sound)

    def _condition(self, key: str, value: Any, at: DataPath) -> Condition | None:
        spot = self._spot
        try:
            path = FieldPath.parse(key, in_event)
        except PathError as exc:
            fault, hint = advised(str(exc), "correct the path")
            self._report.error(Code.BAD_FILTER, spot.where(*at, key=True), f"{spot.label}: {fault}", hint)
            return None
        values = tuple(value) if isinstance(value, list) else (value,)
        nested = next((one for one in values if isinstance(one, dict | list)), None)
        if not values:
            self._refuse(at, "is an empty list, so it never matches", "list the values that may be there")
        elif isinstance(nested, dict):
            below = next(iter(nested), "name")
            hint = f"write a dot path, such as `{key}.{below}`"
            self._refuse(at, "is a map; a filter compares single values", hint)
        elif nested is not None:
            self._refuse(
                at, "is a list of lists; a filter compares single values", "write one list of values"
            )
        else:
            return Condition(path=path, values=values)
        return None

    def _refuse(self, at: DataPath, what: str, hint: str) -> None:
        spot = self._spot
        message = f"{spot.label}: `{dotted(at[:-1])}`: `{at[-1]}` {what}"
        self._report.error(Code.BAD_FILTER, spot.where(*at, key=True), message, hint)
