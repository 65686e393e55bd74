"""The files' schema as JSON Schema, for editors: with the settings of every installed plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import AliasChoices, BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import models_json_schema

from orgloop.config.schema import models as schema
from orgloop.config.schema.limits import ConfigPart
from orgloop.errors import NotFound, PluginError
from orgloop.plugin.connector import Connector
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, Registry
from orgloop.plugin.settings import Settings

_REF: Final = "#/$defs/{model}"
_ENTRIES: Final = {
    "sources": "SourceConfig",
    "actors": "ActorConfig",
    "transforms": "TransformConfig",
    "routes": "RouteConfig",
    "loggers": "LoggerConfig",
}
_PREFIXES: Final = {
    CONNECTORS: "@orgloop/connector-",
    TRANSFORMS: "@orgloop/transform-",
    LOGGERS: "@orgloop/logger-",
}
_FOREIGN: Final = frozenset({"gt", "ge", "lt", "le"})
"""Constraints that pydantic leaves as they are behind a validator of its own."""

_VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
_PARTS: Final[tuple[type[ConfigPart], ...]] = (
    schema.Project,
    *schema.GROUPS.values(),
    schema.SourceConfig,
    schema.ActorConfig,
    schema.TransformConfig,
    schema.RouteConfig,
    schema.LoggerConfig,
)


def json_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of orgloop.yaml and of the files that it names, told apart by `kind`."""
    definitions = _definitions()
    for kind, model in (("Project", schema.Project), *schema.GROUPS.items()):
        for section in definitions[kind]["properties"].keys() & _ENTRIES.keys():
            inline = {"$ref": f"#/$defs/{_ENTRIES[section]}"}
            items = _name_or(inline) if model is schema.Project else inline
            definitions[kind]["properties"][section] = {"type": ["array", "null"], "items": items}
        definitions[kind]["properties"]["kind"] = {"const": kind}
    definitions["Project"]["properties"]["connectors"] = _connector_files()
    definitions["StepConfig"] = _name_or(definitions["StepConfig"])
    _add_plugins(definitions, registry)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OrgLoop project files",
        **_by_kind(),
        "$defs": definitions,
    }


def _definitions() -> dict[str, Any]:
    _, generated = models_json_schema([(model, "validation") for model in _PARTS], ref_template=_REF)
    definitions: dict[str, Any] = generated["$defs"]
    models = {model.__name__: model for model in _all_parts(ConfigPart)}
    for name, definition in definitions.items():
        if name in models:
            for key in sorted(models[name].NO_EFFECT):
                definition["properties"][key] = {"deprecated": True, "description": "Has no effect."}
        definitions[name] = _with_variables(definition)
    return definitions


def _all_parts(model: type[ConfigPart]) -> Iterable[type[ConfigPart]]:
    for child in model.__subclasses__():
        yield child
        yield from _all_parts(child)


def _connector_files() -> dict[str, Any]:
    return {"type": ["array", "null"], "items": _name_or({"$ref": "#/$defs/ConnectorGroup"})}


def _name_or(thing: Any) -> dict[str, Any]:
    """Text, or a map: told apart by type, so that an editor complains about what is in the map."""
    return {"if": {"type": "object"}, "then": thing, "else": {"type": "string"}}


def _by_kind() -> dict[str, Any]:
    """One `if` per kind, so that an editor complains about the right one."""
    result: dict[str, Any] = {"$ref": "#/$defs/Project"}
    for kind in schema.GROUPS:
        condition = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
        result = {"if": condition, "then": {"$ref": f"#/$defs/{kind}"}, "else": result}
    return result


def _add_plugins(definitions: dict[str, Any], registry: Registry) -> None:
    connectors = [one for name in registry.names(CONNECTORS) if (one := _loaded(registry.connector, name))]
    unique: dict[str, Connector] = {one.name: one for one in connectors}
    sources = {one.name: (_called(one), one.source.settings) for one in unique.values() if one.source}
    actors = {one.name: (_called(one), one.actor.settings) for one in unique.values() if one.actor}
    transforms = {
        name: ((name,), plugin.settings)
        for name in registry.names(TRANSFORMS)
        if (plugin := _loaded(registry.transform, name))
    }
    loggers = {
        name: ((name,), plugin.settings)
        for name in registry.names(LOGGERS)
        if (plugin := _loaded(registry.logger, name))
    }
    _add_settings(definitions, "SourceConfig", "connector", CONNECTORS, sources)
    _add_settings(definitions, "ActorConfig", "connector", CONNECTORS, actors)
    _add_settings(definitions, "TransformConfig", "type", TRANSFORMS, transforms)
    _add_settings(definitions, "TransformConfig", "package", TRANSFORMS, transforms)
    _add_settings(definitions, "LoggerConfig", "type", LOGGERS, loggers)


def _called(connector: Connector) -> tuple[str, ...]:
    return (connector.name, *connector.aliases)


def _loaded(ask: Any, name: str) -> Any:
    try:
        return ask(name)
    except (NotFound, PluginError):
        return None


def _add_settings(
    definitions: dict[str, Any],
    entry: str,
    key: str,
    group: str,
    plugins: Mapping[str, tuple[tuple[str, ...], type[Settings]]],
) -> None:
    """If the entry's `key` names a plugin, its `config` follows that plugin's settings."""
    rules: list[Any] = definitions[entry].setdefault("allOf", [])
    names: list[str] = []
    for name, (called, model) in sorted(plugins.items()):
        spelled = [*called, *(_PREFIXES[group] + one for one in called)]
        names += spelled
        config = f"{entry}.{name}"
        if config not in definitions and not _add_model(definitions, config, model):
            continue
        condition = {"properties": {key: {"enum": spelled}}, "required": [key]}
        follows: dict[str, Any] = {"properties": {"config": {"$ref": f"#/$defs/{config}"}}}
        if entry == "TransformConfig":
            # Some of them may stand beside `config:` or come from a route.
            definitions[config].pop("required", None)
        elif definitions[config].get("required") or definitions[config].get("allOf"):
            follows["required"] = ["config"]
        if entry == "SourceConfig":
            poll = {"$ref": "#/$defs/Poll", "deprecated": True}
            own = definitions[config].get("properties", {})
            own.setdefault("poll", poll)
            own.setdefault("poll_interval", {"type": "string", "deprecated": True})
        rules.append({"if": condition, "then": follows})
    known = definitions[entry]["properties"][key]
    definitions[entry]["properties"][key] = {**known, "examples": sorted(names)}


def _add_model(definitions: dict[str, Any], name: str, model: type[BaseModel]) -> bool:
    """Add a plugin's settings, with names of their own. False if they have no JSON Schema."""
    try:
        generated = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return False
    for inner, definition in generated.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _with_variables(definition)
    _add_other_names(generated, model)
    if issubclass(model, Settings):
        for key in model.without_effect():
            if key in generated.get("properties", {}):
                generated["properties"][key]["deprecated"] = True
    definitions[name] = _with_variables(generated)
    return True


def _add_other_names(generated: dict[str, Any], model: type[BaseModel]) -> None:
    """Older names of a setting: each stands for it, and one of them is enough where it is required."""
    for field in model.model_fields.values():
        if not isinstance(field.validation_alias, AliasChoices):
            continue
        name, *others = (str(choice) for choice in field.validation_alias.choices)
        for other in others:
            generated["properties"][other] = {**generated["properties"][name], "deprecated": True}
        if name in generated.get("required", []):
            generated["required"].remove(name)
            one_of_them = {"anyOf": [{"required": [one]} for one in (name, *others)]}
            generated.setdefault("allOf", []).append(one_of_them)


def _with_variables(node: Any) -> Any:
    """Numbers, switches and choices may also come from `${VARIABLE}`; titles and foreign keywords go."""
    if isinstance(node, list):
        return [_with_variables(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {
        key: _with_variables(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str)) and key not in _FOREIGN
    }
    if inner.get("type") not in ("integer", "number", "boolean") and not isinstance(inner.get("enum"), list):
        return inner
    outside = {key: inner.pop(key) for key in ("description", "default") if key in inner}
    return {**outside, "anyOf": [inner, dict(_VARIABLE)]}
