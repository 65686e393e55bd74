"""The JSON Schema agrees with what loads: checked with a validator of the keywords that it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.reading.yaml import parse
from orgloop.config.schema.json_schema import json_schema
from orgloop.plugin.connector import ActorKind, Connector
from orgloop.plugin.registry import Registry
from orgloop.plugin.settings import Settings
from tests.config.doubles import build
from tests.config.project import HEAD, ROUTES
from tests.config.test_forms import FORMS

SCHEMA = json_schema(Registry.installed())
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
NOTES = {
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "format",
    "writeOnly",
}


def is_type(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def wrong(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Where `value` breaks `schema`. Fails on a keyword that it does not know."""
    if schema is True:
        return
    for keyword, rule in schema.items():
        match keyword:
            case "$ref":
                yield from wrong(value, SCHEMA["$defs"][rule.removeprefix("#/$defs/")], path)
            case "type":
                if not any(is_type(value, name) for name in ([rule] if isinstance(rule, str) else rule)):
                    yield f"{path}: type"
            case "const":
                if value != rule:
                    yield f"{path}: const"
            case "enum":
                if value not in rule:
                    yield f"{path}: enum"
            case "pattern":
                if isinstance(value, str) and not re.search(rule, value):
                    yield f"{path}: pattern"
            case "minimum" | "exclusiveMinimum" | "maximum":
                if is_type(value, "number"):
                    low = value < rule or (keyword == "exclusiveMinimum" and value == rule)
                    if value > rule if keyword == "maximum" else low:
                        yield f"{path}: {keyword}"
            case "minItems":
                if isinstance(value, list) and len(value) < rule:
                    yield f"{path}: minItems"
            case "minLength":
                if isinstance(value, str) and len(value) < rule:
                    yield f"{path}: minLength"
            case "required":
                if isinstance(value, dict):
                    yield from (f"{path}.{key}: required" for key in rule if key not in value)
            case "properties":
                for key in rule.keys() & (value.keys() if isinstance(value, dict) else set()):
                    yield from wrong(value[key], rule[key], f"{path}.{key}")
            case "additionalProperties":
                if isinstance(value, dict):
                    for key in value.keys() - schema.get("properties", {}).keys():
                        found = (
                            [f"{path}.{key}: unknown"]
                            if rule is False
                            else wrong(value[key], rule, f"{path}.{key}")
                        )
                        yield from found
            case "items":
                if isinstance(value, list):
                    for number, item in enumerate(value):
                        yield from wrong(item, rule, f"{path}.{number}")
            case "anyOf" | "oneOf":
                branches = [list(wrong(value, branch, path)) for branch in rule]
                if all(branches):
                    yield from min(branches, key=len)
            case "allOf":
                for branch in rule:
                    yield from wrong(value, branch, path)
            case "if":
                branch = "then" if not list(wrong(value, rule, path)) else "else"
                yield from wrong(value, schema.get(branch, True), path)
            case "then" | "else":
                pass
            case _:
                assert keyword in NOTES, f"the validator does not know {keyword}"


def complaints(text: str) -> list[str]:
    return list(wrong(parse(text.encode()).data, SCHEMA))


def kinds() -> Iterator[Path]:
    """Files that say what they are, and those that are orgloop.yaml."""
    for path in sorted(FORMS.rglob("*.yaml")):
        if (
            path.parent == FORMS
            or path.name == "orgloop.yaml"
            or "\nkind: " in f"\n{path.read_text('utf-8')}"
        ):
            yield path


@pytest.mark.parametrize("path", list(kinds()), ids=lambda path: path.relative_to(FORMS).as_posix())
def test_every_documented_form_is_valid(path: Path) -> None:
    assert complaints(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("route: []", ".route: unknown"),
        ("kind: RouteGroup\nsources: []", ".sources: unknown"),
        ("sources: [{id: a}]", ".sources.0.connector: required"),
        ("sources: [{id: a, connector: cron}]", ".sources.0.config: required"),
        ("sources: [{id: a, connector: cron, config: {}}]", ".sources.0.config.schedules: required"),
        ("actors: [{id: a, connector: process}]", ".actors.0.config: required"),
        ("actors: [{id: a, connector: process, config: {cwd: .}}]", ".actors.0.config.command: required"),
        (
            "sources: [{id: a, connector: '@orgloop/connector-webhook', config: {secrt: y}}]",
            ".sources.0.config.secrt: unknown",
        ),
        (
            "actors: [{id: a, connector: claude-code, config: {cwd: ., permission_mode: yolo}}]",
            ".actors.0.config.permission_mode: enum",
        ),
        (
            "transforms: [{name: a, type: package, package: dedup, config: {windw: 5m}}]",
            ".transforms.0.config.windw: unknown",
        ),
        ("loggers: [{name: a, type: file, config: {format: xml}}]", ".loggers.0.config.format: const"),
        (
            "routes: [{name: a, when: {source: b, events: c}, then: {actor: d}}]",
            ".routes.0.when.events: type",
        ),
        (
            "routes: [{name: a, when: {source: b, events: []}, then: {actor: d, approve: true}}]",
            ".routes.0.then.approve: unknown",
        ),
        ("defaults: {limits: {runs: 0}}", ".defaults.limits.runs: minimum"),
        ("defaults: {budget: {run_usd: 0}}", ".defaults.budget.run_usd: exclusiveMinimum"),
        ("defaults: {log_level: loud}", ".defaults.log_level: enum"),
        ("defaults: {poll_interval: 5}", ".defaults.poll_interval: type"),
    ],
)
def test_a_mistake_is_invalid_at_its_place(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {limits: {runs: '${RUNS}'}, log_level: '${LEVEL}'}",
        "sources: [{id: a, connector: github, config: {repo: a/b, token: x, rate_budget: '${BUDGET}'}}]",
        "loggers: [{name: a, type: console, config: {color: '${COLOR}'}}]",
    ],
)
def test_a_variable_may_stand_where_a_number_or_a_choice_would(text: str) -> None:
    assert complaints(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{id: a, connector: cron, config: {schedule: '@daily'}}]",
        "sources: [{id: a, connector: cron, config: {schedule: [{name: b, cron: '@daily'}]}}]",
        "sources: [{id: a, connector: cron, config: {schedule: '@daily', poll_interval: 5m}}]",
        "sources: [{id: a, connector: webhook, config: {hmac_secret: '${SECRET}'}}]",
        "actors: [{id: a, connector: process, config: {command: 'make test', env: {PORT: 8080, CI: true}}}]",
        "actors: [{id: a, connector: claude-code, config: {allowed_tools: 'Edit, Bash(git *)'}}]",
    ],
)
def test_what_may_be_written_in_two_ways_is_valid_in_both(text: str) -> None:
    assert complaints(text) == []


def test_a_transforms_own_keys_need_not_stand_in_its_config() -> None:
    assert complaints("transforms: [{name: a, type: script, script: x, config: {timeout_ms: 5}}]") == []


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"].removeprefix("#/$defs/")
            for value in node.values():
                yield from references(value)
        if isinstance(node, list):
            for value in node:
                yield from references(value)

    assert set(references(SCHEMA)) <= SCHEMA["$defs"].keys()
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert complaints(HEAD + ROUTES) == []


def test_keys_without_effect_are_marked_and_descriptions_are_there() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["DefaultsConfig"]["properties"]["checkpoint"]["deprecated"] is True
    assert definitions["SourceConfig.webhook"]["properties"]["path"]["deprecated"] is True
    assert definitions["Then"]["properties"].keys() == {
        *("actor", "budget", "config", "delivery", "limits", "batch", "on_busy", "drop_when"),
        *("on_lost", "session"),
    }
    assert "github" in definitions["SourceConfig"]["properties"]["connector"]["examples"]
    assert definitions["WhenConfig"]["properties"]["events"]["description"]


def test_a_plugin_whose_settings_have_no_schema_is_left_out() -> None:
    class Plain:
        pass

    class Odd(Settings, arbitrary_types_allowed=True):
        value: Plain

    odd = Connector(name="odd", title="", actor=ActorKind(settings=Odd, open=build))
    definitions = json_schema(Registry.of(odd))["$defs"]
    assert "Actor.odd" not in definitions
