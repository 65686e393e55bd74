"""Time zones."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orgloop.plugin import zone
from orgloop.plugin.zone import local_zone, zone_named

ZONES = Path("/usr/share/zoneinfo")


def offset(name: str | None, localtime: Path) -> float:
    """Hours ahead of UTC in July 2026."""
    found = datetime(2026, 7, 1, tzinfo=local_zone(name, localtime)).utcoffset()
    assert found is not None
    return found.total_seconds() / 3600


def test_a_zone_has_its_name() -> None:
    assert str(zone_named("Europe/Berlin")) == "Europe/Berlin"
    assert zone_named("utc") is UTC


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("America", "no time zone is called 'America'"),
        ("../../etc/passwd", "no time zone"),
        ("", "no time zone"),
        ("zzzz", "write a region and a city"),
        ("CEST", "write a region and a city"),
        ("PDT", "write a region and a city"),
        ("BST", "write a region and a city"),
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("new york", "did you mean 'America/New_York'"),
        ("Germany", "write a region and a city"),
        ("UTC+2", "'Etc/GMT-2'"),
        ("GMT-05:00", "'Etc/GMT[+]5'"),
        ("\0", "no time zone"),
    ],
)
def test_a_name_that_is_none_says_why(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        zone_named(name)


def test_a_machine_without_zones_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone, "available_timezones", set)
    with pytest.raises(ValueError, match="pip install tzdata"):
        zone_named("Mars/Base")


@pytest.mark.parametrize(
    ("variable", "hours"),
    [("America/New_York", -4), (":America/New_York", -4), ("", 0), ("UTC", 0), ("EST5EDT", -4)],
)
def test_the_variable_tz_decides(variable: str, hours: float, tmp_path: Path) -> None:
    assert offset(variable, tmp_path / "localtime") == hours


@pytest.mark.skipif(not ZONES.is_dir(), reason="this machine keeps its time zones elsewhere")
def test_the_machines_own_zone_is_a_link_or_a_file(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(ZONES / "Asia/Tokyo")
    file.write_bytes((ZONES / "Asia/Tokyo").read_bytes())
    assert str(local_zone(None, link)) == "Asia/Tokyo"
    assert offset(None, file) == 9
    assert offset(f":{file}", tmp_path / "absent") == 9


def test_a_link_to_a_zone_that_is_not_known_is_read_as_a_file(tmp_path: Path) -> None:
    odd = tmp_path / "zoneinfo" / "Nowhere"
    odd.parent.mkdir()
    odd.write_bytes(_tokyo())
    link = tmp_path / "localtime"
    link.symlink_to(odd)
    assert offset(None, link) == 9


def test_a_machine_that_says_nothing_is_in_utc(tmp_path: Path) -> None:
    assert local_zone(None, tmp_path / "absent") is UTC


@pytest.mark.parametrize("variable", ["CET-1CEST", "Moon/Base", "/nowhere/at/all"])
def test_a_variable_that_cannot_be_read_names_the_setting(variable: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set `timezone` of the source"):
        local_zone(variable, tmp_path / "localtime")


def _tokyo() -> bytes:
    for folder in zoneinfo.TZPATH:
        path = Path(folder) / "Asia/Tokyo"
        if path.is_file():
            return path.read_bytes()
    pytest.skip("this machine keeps its time zones in a package")
