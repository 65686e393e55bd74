"""Nothing that the program brings is forgotten: entry points, pages, lists of pages, and lists of tests."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final

import pytest

import orgloop.connectors
import orgloop.loggers
import orgloop.transforms
from orgloop.connectors.agents import hooks
from orgloop.plugin import Connector, LoggerPlugin, TransformPlugin
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, Registry
from tests.connectors import test_docs_examples as connector_pages
from tests.connectors.agents import test_docs as agent_pages
from tests.docs import pages
from tests.loggers import test_docs as logger_page
from tests.transforms import test_docs as transform_page

Plugin = Connector | TransformPlugin | LoggerPlugin

GROUPS: Final[Mapping[str, tuple[ModuleType, type[Plugin]]]] = {
    CONNECTORS: (orgloop.connectors, Connector),
    TRANSFORMS: (orgloop.transforms, TransformPlugin),
    LOGGERS: (orgloop.loggers, LoggerPlugin),
}
PROJECT: Final[dict[str, Any]] = tomllib.loads(pages.text("pyproject.toml"))["project"]


@cache
def declared(group: str) -> Mapping[str, Plugin]:
    """By name, what the entry points of `pyproject.toml` lead to."""
    points = PROJECT["entry-points"][group]
    return {
        name: importlib.import_module(to.partition(":")[0]).__dict__[to.partition(":")[2]]
        for name, to in points.items()
    }


@cache
def written(group: str) -> Mapping[str, Plugin]:
    """By the place of its definition, every plugin in the source."""
    package, kind = GROUPS[group]
    names = [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    found: dict[int, tuple[str, Plugin]] = {}
    for name in sorted(names):
        for attribute, value in vars(importlib.import_module(name)).items():
            if isinstance(value, kind):
                found.setdefault(id(value), (f"{name}:{attribute}", value))
    return dict(found.values())


@pytest.mark.parametrize("group", GROUPS)
def test_every_plugin_in_the_source_has_an_entry_point(group: str) -> None:
    reached = {id(plugin) for plugin in declared(group).values()}
    assert [place for place, plugin in written(group).items() if id(plugin) not in reached] == []


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_installed_is_what_the_entry_points_declare(group: str) -> None:
    own = {name for name in Registry.installed().names(group) if name in declared(group)}
    assert own == declared(group).keys(), "type `make check`: it installs new entry points"


def hook_sources() -> set[str]:
    return {value.name for value in vars(hooks).values() if isinstance(value, Connector)}


def test_the_tests_of_pages_know_every_plugin() -> None:
    connectors = {plugin.name for plugin in written(CONNECTORS).values()}
    assert {*connector_pages.CONNECTORS, *agent_pages.NAMES} == connectors - hook_sources()
    assert transform_page.PLUGINS.keys() == {plugin.name for plugin in written(TRANSFORMS).values()}
    assert logger_page.PLUGINS.keys() == {plugin.name for plugin in written(LOGGERS).values()}


@pytest.mark.parametrize("name", [*connector_pages.CONNECTORS, *agent_pages.NAMES])
def test_a_connector_has_a_page_that_both_lists_link_to(name: str) -> None:
    folder = "connectors" if name in connector_pages.CONNECTORS else "agents"
    assert (pages.ROOT / f"docs/{folder}/{name}.md").exists()
    assert f"[{name}](docs/{folder}/{name}.md)" in pages.text("README.md")
    assert f"[{name}]({folder}/{name}.md)" in pages.text("docs/index.md")


@pytest.mark.parametrize(("group", "page"), [(TRANSFORMS, "transforms"), (LOGGERS, "loggers")])
def test_a_transform_or_logger_has_a_section_and_is_in_the_index(group: str, page: str) -> None:
    [line] = [line for line in pages.text("docs/index.md").splitlines() if f"({page}.md)" in line]
    headings = re.findall(r"^#+ `?([\w-]+)`?$", pages.text(f"docs/{page}.md"), re.MULTILINE)
    for name in {plugin.name for plugin in written(group).values()}:
        assert name in headings
        assert name in re.findall(r"[\w-]+", line)
