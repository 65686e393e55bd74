"""`quiet_hours`: from `22:00-07:00 Europe/Berlin` to a part of the day in a time zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from typing import Final

from orgloop.config.findings import Code, Report
from orgloop.config.reading.documents import Spot, dotted
from orgloop.config.reading.env import DataPath
from orgloop.core.deliveries.quiet import QuietHours
from orgloop.plugin.zone import local_zone, zone_named

_FORM: Final = re.compile(
    r"\s*([01]?[0-9]|2[0-3]):([0-5][0-9])\s?-\s?([01]?[0-9]|2[0-3]):([0-5][0-9])(?:\s+(\S+))?\s*"
)
_HINT: Final = 'write it as "22:00-07:00", or with a time zone as "22:00-07:00 Europe/Berlin"'


def quiet_hours(
    written: str, environment: Mapping[str, str], spot: Spot, at: DataPath, report: Report
) -> QuietHours | None:
    """What the text at `at` means; None, with a finding, if it means nothing."""
    try:
        return _parsed(written, environment.get("TZ"))
    except ValueError as exc:
        message = f"{spot.label}: `{dotted(at)}`: {exc}"
        report.error(Code.BAD_VALUE, spot.where(*at), message, _HINT)
        return None


def _parsed(written: str, machine: str | None) -> QuietHours:
    found = _FORM.fullmatch(written)
    if found is None:
        raise ValueError(f"{written!r} is no time of the day from one hour to another")
    begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begins == ends:
        raise ValueError(f"{written!r} begins when it ends")
    return QuietHours(
        begins=begins, ends=ends, zone=zone_named(found[5]) if found[5] else local_zone(machine)
    )
