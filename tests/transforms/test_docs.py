"""docs/transforms.md: every example works, every option is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.config.load import load_project
from orgloop.connectors.webhook import connector as webhook
from orgloop.plugin import Change, Discard, Transform, TransformPlugin
from orgloop.plugin.registry import TRANSFORMS, Registry, plain_name
from orgloop.transforms import dedup, enrich, filter, script
from tests.support.markdown import examples, first_cells, section, yaml_examples
from tests.transforms.given import EVENT, SCOPE, opened

PAGE: Final = "transforms.md"
PLUGINS: Final[Mapping[str, TransformPlugin]] = {
    plugin.name: plugin for plugin in (filter.transform, dedup.transform, enrich.transform, script.transform)
}
DEFINITIONS: Final = [
    definition for block in yaml_examples(PAGE) for definition in block.get("transforms", ())
]


def open_definition(definition: Mapping[str, Any], project: Path) -> Transform:
    kind = definition["type"]
    name = plain_name(TRANSFORMS, definition["package"]) if kind == "package" else kind
    own = {key: definition[key] for key in ("script", "timeout_ms") if key in definition}
    return opened(PLUGINS[name], {**definition.get("config", {}), **own}, base=project, project=project)


def furnish(project: Path) -> None:
    """The scripts that the examples name."""
    for name in (definition["script"] for definition in DEFINITIONS if "script" in definition):
        (project / name).write_text("#!/bin/sh\n")
        (project / name).chmod(0o755)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition["name"])
def test_every_example_opens(definition: dict[str, Any], tmp_path: Path) -> None:
    furnish(tmp_path)
    open_definition(definition, tmp_path)


def test_every_kind_has_an_example_and_the_route_s_steps_exist() -> None:
    kinds = {definition["type"] for definition in DEFINITIONS}
    assert kinds >= set(PLUGINS)
    [route] = [route for block in yaml_examples(PAGE) for route in block.get("routes", ())]
    drop_bots, own = route["transforms"]
    assert drop_bots in {definition["name"] for definition in DEFINITIONS}
    opened(PLUGINS[own["ref"]], own["config"])


@pytest.mark.parametrize("name", PLUGINS)
def test_every_option_is_described(name: str) -> None:
    fields = PLUGINS[name].settings.model_fields
    options = {field.alias or key for key, field in fields.items()}
    assert options <= first_cells(section(PAGE, name))
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize("name", PLUGINS)
def test_every_option_has_an_example(name: str) -> None:
    used = {
        option
        for definition in DEFINITIONS
        if definition["type"] == name or definition.get("package", "").endswith(name)
        for option in (*definition, *definition.get("config", {}))
    }
    settings = PLUGINS[name].settings
    options = {field.alias or key for key, field in settings.model_fields.items()} - settings.without_effect()
    assert options - used <= {"fields", "key_fields"}


def test_all_examples_together_are_a_sound_project(tmp_path: Path) -> None:
    furnish(tmp_path)
    [route] = [route for block in yaml_examples(PAGE) for route in block.get("routes", ())]
    steps = [{"ref": definition["name"]} for definition in DEFINITIONS]
    project = {
        "apiVersion": "orgloop/v1alpha1",
        "kind": "Project",
        "metadata": {"name": "examples"},
        "sources": [{"id": "github", "connector": "webhook"}],
        "actors": [
            {"id": "engineer", "connector": "webhook", "config": {"url": "http://127.0.0.1:9/"}},
        ],
        "transforms": DEFINITIONS,
        "routes": [route, {**route, "name": "all", "transforms": steps}],
    }
    (tmp_path / "orgloop.yaml").write_text(json.dumps(project))
    # The page's events are those of any system, and nothing is known of their fields.
    assert webhook.source is not None
    of_any = replace(webhook, source=replace(webhook.source, shapes=None))
    registry = Registry.of(of_any, *PLUGINS.values())
    loaded = load_project(tmp_path, registry, {})
    assert [str(finding) for finding in loaded.findings] == []
    assert loaded.organization is not None
    assert [step.name for step in loaded.organization.routes[1].steps] == [step["ref"] for step in steps]


async def test_the_example_script_does_what_it_says(tmp_path: Path) -> None:
    [body] = examples(PAGE, "sh")
    (tmp_path / "s.sh").write_text(body)
    (tmp_path / "s.sh").chmod(0o755)
    step = opened(script.transform, {"script": "s.sh"}, base=tmp_path, project=tmp_path)
    by_bot = {**EVENT, "provenance": {"author_type": "bot"}}
    try:
        assert await step.apply(by_bot, SCOPE) == Discard(reason="a bot wrote it")
        assert not isinstance(await step.apply(EVENT, SCOPE), Discard | Change)
    finally:
        await step.close()


async def test_the_persistent_example_does_what_it_says(tmp_path: Path) -> None:
    [body] = examples(PAGE, "python")
    (tmp_path / "s.py").write_text(body)
    (tmp_path / "s.py").chmod(0o755)
    settings = {"script": "s.py", "mode": "persistent"}
    step = opened(script.transform, settings, base=tmp_path, project=tmp_path)
    by_bot = {**EVENT, "provenance": {"author_type": "bot"}}
    try:
        for _ in range(2):
            assert await step.apply(by_bot, SCOPE) == Discard(reason="a bot wrote it")
            assert not isinstance(await step.apply(EVENT, SCOPE), Discard | Change)
    finally:
        await step.close()


async def test_the_jq_examples_do_what_they_say(tmp_path: Path) -> None:
    by_name = {definition["name"]: definition for definition in DEFINITIONS}
    labelled = open_definition(by_name["labelled-bug"], tmp_path)
    short = open_definition(by_name["short-title"], tmp_path)
    try:
        unlabelled = {**EVENT, "payload": {"title": "x" * 99}}
        assert isinstance(await labelled.apply(unlabelled, SCOPE), Discard)
        marked = {**EVENT, "provenance": {"labels": ["p1", "bug"]}}
        assert not isinstance(await labelled.apply(marked, SCOPE), Discard)
        result = await short.apply(unlabelled, SCOPE)
        assert isinstance(result, Change)
        assert result.document["payload"]["title"] == "x" * 80
    finally:
        await labelled.close()
        await short.close()
