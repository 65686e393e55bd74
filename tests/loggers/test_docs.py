"""docs/loggers.md: every example works; every option, field and phase is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.config.load import load_project
from orgloop.core.records.from_journal import Happened
from orgloop.core.records.record import Record, RecordPhase
from orgloop.loggers import console, file
from orgloop.plugin import LoggerPlugin
from orgloop.plugin.registry import LOGGERS, Registry, plain_name
from tests.support.markdown import first_cells, section, yaml_examples

PAGE: Final = "loggers.md"
PLUGINS: Final = {plugin.name: plugin for plugin in (console.logger, file.logger)}
DEFINITIONS: Final = [definition for block in yaml_examples(PAGE) for definition in block["loggers"]]


def options_of(plugin: LoggerPlugin) -> set[str]:
    """With nested ones as `rotation.max_size`."""
    found: set[str] = set()
    for name, field in plugin.settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        found |= {f"{name}.{key}" for key in inner} or {name}
    return found


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition["name"])
def test_every_example_opens(definition: dict[str, Any]) -> None:
    plugin = PLUGINS[plain_name(LOGGERS, definition["type"])]
    plugin.open(plugin.settings.model_validate(definition.get("config", {})))


@pytest.mark.parametrize("block", yaml_examples(PAGE))
def test_every_example_is_a_sound_project(block: dict[str, Any], tmp_path: Path) -> None:
    project = {"apiVersion": "orgloop/v1alpha1", "kind": "Project", "metadata": {"name": "example"}, **block}
    (tmp_path / "orgloop.yaml").write_text(json.dumps(project))
    loaded = load_project(tmp_path, Registry.of(*PLUGINS.values()), {})
    assert [str(finding) for finding in loaded.findings] == []


@pytest.mark.parametrize("name", PLUGINS)
def test_exactly_the_options_that_there_are_are_described(name: str) -> None:
    assert first_cells(section(PAGE, name)) == options_of(PLUGINS[name])


def test_every_phase_is_described_with_its_level() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(PAGE, "What a record holds").splitlines()
        if line.startswith("| `") and line.count("|") == 4
    ]
    described: dict[str, str] = {}
    for phases, levels, _ in rows:
        names = [name.strip("` ") for name in phases.split(",")]
        shown = [level.strip() for level in levels.split(",")]
        described |= zip(names, shown * len(names) if len(shown) == 1 else shown, strict=False)
    assert described == {phase.value: Record(at=0, phase=phase).level.value for phase in RecordPhase}


def test_every_field_and_every_result_is_described() -> None:
    text = section(PAGE, "What a record holds")
    record = Record(
        at=0,
        phase=RecordPhase.RUN_ENDED,
        duration_ms=1.0,
        metadata={"a": 1},
        **dict.fromkeys(
            (
                "delivery_id",
                "run_id",
                "source",
                "target",
                "route",
                "transform",
                "event_type",
                "result",
                "error",
            ),
            "x",
        ),
    )
    assert set(record.document()) <= first_cells(text)
    silent = {"ready", "claimed", "begun", "prepare", "run_ended", "not_started", "rejected", "hold"}
    words = ({word.value for word in Happened} - silent) | {"pass", "change", "drop", "error", "held", "dead"}
    assert {word for word in words if f"`{word}`" not in text} == set()
