"""The registry: what is installed, and that a broken package harms only who uses it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from orgloop.errors import NotFound, PluginError
from orgloop.plugin import Connector
from orgloop.plugin.registry import CONNECTORS, Registry

SOUND = """
from orgloop.plugin import Connector
connector = Connector(name="sound", title="A sound one", aliases=("alias",))
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose modules can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "of_registry_sound.py").write_text(SOUND)
    return tmp_path


def point(name: str, value: str = "of_registry_sound:connector") -> EntryPoint:
    return EntryPoint(name=name, value=value, group=CONNECTORS)


def installed(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> Registry:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [one for one in points if one.group == group]

    monkeypatch.setattr("orgloop.plugin.registry.entry_points", entry_points)
    return Registry.installed()


@pytest.mark.parametrize(
    ("source", "value", "why"),
    [
        ("raise RuntimeError('boom')", "connector", "cannot be loaded: RuntimeError: boom"),
        ("import sys; sys.exit(9)", "connector", "cannot be loaded: SystemExit: 9"),
        ("def (", "connector", "cannot be loaded: SyntaxError"),
        ("import of_registry_nowhere", "connector", "cannot be loaded: No module named"),
        ("", "connector", "has no attribute 'connector'"),
        ("connector = 5", "connector", "is a int, not a Connector"),
        (SOUND, "connector", "calls itself sound, alias"),
    ],
)
def test_a_broken_connector_says_why_and_hides_no_other(
    packages: Path, monkeypatch: pytest.MonkeyPatch, source: str, value: str, why: str
) -> None:
    module = f"of_registry_{abs(hash(source))}"
    (packages / f"{module}.py").write_text(source)
    registry = installed(monkeypatch, point("broken", f"{module}:{value}"), point("sound"))
    with pytest.raises(PluginError) as raised:
        registry.connector("broken")
    assert why in raised.value.message
    assert raised.value.hint
    assert [one.name for one in registry.connectors()] == ["sound"]
    assert {name: fault.message for name, fault in registry.faults().items()} == {
        "broken": raised.value.message
    }


def test_a_connector_is_found_by_its_aliases_and_listed_once(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = installed(monkeypatch, point("sound"), point("alias"))
    assert registry.connector("alias") is registry.connector("@orgloop/connector-sound")
    assert [one.name for one in registry.connectors()] == ["sound"]
    assert registry.faults() == {}


def test_a_name_that_two_packages_provide_is_neither_of_them(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packages / "of_registry_other.py").write_text(SOUND)
    twice = (point("sound"), point("sound", "of_registry_other:connector"), point("sound"))
    with pytest.raises(PluginError, match="comes from two packages"):
        installed(monkeypatch, *twice).connector("sound")
    assert installed(monkeypatch, point("sound"), point("sound")).connector("sound").name == "sound"


def test_what_is_not_there_is_told_with_what_is() -> None:
    registry = Registry.of(Connector(name="github", title=""))
    with pytest.raises(NotFound) as raised:
        registry.connector("githb")
    assert "did you mean 'github'?" in str(raised.value)
