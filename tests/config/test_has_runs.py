"""One connector may hand over with some settings and have runs with others: what follows for a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orgloop.config.findings import Code
from orgloop.config.load import Loaded, load_project
from orgloop.plugin import ActorKind, Connector, Settings
from orgloop.plugin.registry import Registry
from tests.config.doubles import build, connectors
from tests.config.project import write

PROJECT = """
metadata: {name: test}
sources: [{id: hooks, connector: webhook}]
actors:
  - {id: far, connector: far, limits: {runs: 2}, config: CONFIG}
  - {id: tell, connector: webhook, config: {url: "https://example.com"}}
routes:
  - name: work
    when: {source: hooks, events: ["*"]}
    then: {actor: far, limits: {runs: 1}}
"""
LISTENS = """
  - name: told
    when: {source: far, events: [actor.stopped]}
    then: {actor: tell}
"""
CIRCLE = LISTENS.replace("tell", "far")


class Far(Settings):
    """Waits for the end, or does not."""

    wait: bool
    token: str = "x"


def waits(settings: Far) -> bool:
    return settings.wait


def loaded(root: Path, config: str, routes: str = "", has_runs: Any = waits, **environ: str) -> Loaded:
    write(root, {"orgloop.yaml": PROJECT.replace("CONFIG", config) + routes})
    far = Connector(name="far", title="", actor=ActorKind(settings=Far, open=build, has_runs=has_runs))
    return load_project(
        root, Registry.of(far, *(one for one in connectors() if one.name == "webhook")), environ
    )


def codes(found: Loaded) -> list[Code]:
    return [finding.code for finding in found.findings if finding.code is not Code.UNREACHABLE_ACTOR]


@pytest.mark.parametrize(
    ("wait", "routes", "expected"),
    [
        ("true", "", []),
        ("true", LISTENS, []),
        ("true", CIRCLE, [Code.CYCLE]),
        ("false", "", [Code.NO_EFFECT, Code.NO_EFFECT]),
        ("false", LISTENS, [Code.NO_EFFECT, Code.NO_EFFECT, Code.UNKNOWN_SOURCE]),
    ],
)
def test_the_settings_decide_what_limits_and_listeners_mean(
    wait: str, routes: str, expected: list[Code], tmp_path: Path
) -> None:
    assert sorted(codes(loaded(tmp_path, f"{{wait: {wait}}}", routes))) == sorted(expected)


def test_the_actor_itself_knows_it(tmp_path: Path) -> None:
    for wait in (True, False):
        organization = loaded(tmp_path, f"{{wait: {str(wait).lower()}}}").organization
        assert organization is not None
        assert organization.actors["far"].has_runs is wait


@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_variable_that_is_not_set_hides_nothing_of_it(wait: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, f'{{wait: {wait}, token: "${{FAR_TOKEN}}"}}', LISTENS)
    assert (Code.UNKNOWN_SOURCE in codes(found)) == (wait == "false")


def test_wrong_settings_raise_no_further_doubts(tmp_path: Path) -> None:
    found = loaded(tmp_path, "{wait: 5}", LISTENS)
    assert [finding.code for finding in found.errors] == [Code.WRONG_TYPE]
    assert Code.NO_EFFECT not in codes(found)


def test_a_connector_that_cannot_say_it_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    def broken(settings: Far) -> bool:
        raise LookupError("a fault")

    found = loaded(tmp_path, "{wait: true}", has_runs=broken)
    assert [finding.code for finding in found.errors] == [Code.BROKEN_PLUGIN]
