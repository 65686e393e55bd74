"""Time zones by name, and this machine's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from orgloop.core.text.suggest import nearest_name

LOCALTIME: Final = Path("/etc/localtime")

_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+-])0?([0-9]|1[0-4])(?::?00)?")


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
        raise ValueError(f"no time zone is called {name!r}: {_advice(name, known)}") from exc


def _advice(name: str, known: Sequence[str]) -> str:
    """What to write instead. No name is better than a far one: `CEST` is not `EST`."""
    plain = name.strip().casefold().replace(" ", "_")
    cities = [one for one in known if one.casefold() == plain or one.casefold().endswith(f"/{plain}")]
    if cities:
        return f"did you mean {cities[0]!r}?"
    if found := _OFFSET.fullmatch(plain):
        sign = "-" if found[1] == "+" else "+"
        return f"an offset is written the other way round, 'Etc/GMT{sign}{int(found[2])}'; or name a city"
    near = nearest_name(name, [one for one in known if "/" in one]) if "/" in name else None
    return f"did you mean {near!r}?" if near else "write a region and a city, such as Europe/Berlin, or UTC"


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
