"""Time zones by name, and this machine's."""

from __future__ import annotations

from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

LOCALTIME: Final = Path("/etc/localtime")


def zone_named(name: str) -> tzinfo:
    """The zone of an IANA name such as `Europe/Berlin`. Raises ValueError with the nearest name."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        known = sorted(available_timezones())
        if not known:
            raise ValueError(
                f"the time zone {name!r} cannot be read, since this machine has no time zones: "
                "install the system's tzdata, or pip install tzdata"
            ) from exc
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "write a name such as Europe/Berlin or UTC"
        raise ValueError(f"no time zone is called {name!r}: {advice}") from exc


def local_zone(variable: str | None, localtime: Path = LOCALTIME) -> tzinfo:
    """This machine's zone: what the variable TZ says, else what `/etc/localtime` is, else UTC.

    Raises ValueError if TZ is neither a name nor a file.
    """
    if variable is not None:
        return _from_variable(variable.removeprefix(":"))
    if not localtime.exists():
        return UTC
    _, found, name = str(localtime.resolve()).partition("/zoneinfo/")
    if found:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # It may lead outside the places that zoneinfo knows; the file itself is as good.
            return _from_file(localtime)
    return _from_file(localtime)


def _from_variable(value: str) -> tzinfo:
    if not value:
        return UTC
    try:
        return _from_file(Path(value)) if value.startswith("/") else zone_named(value)
    except (ValueError, OSError) as exc:
        raise ValueError(
            f"TZ={value} names no time zone: set `timezone` of the source to a name such as Europe/Berlin"
        ) from exc


def _from_file(path: Path) -> tzinfo:
    with path.open("rb") as file:
        return ZoneInfo.from_file(file)
