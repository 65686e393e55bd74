"""Transforms: definitions, and the steps that routes make of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.config.findings import Code, Report, Where, nearest
from orgloop.config.model import StepSpec
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot
from orgloop.config.reading.env import DataPath
from orgloop.config.reading.paths import neighbour, read_file, reason, shown
from orgloop.config.reading.validation import keys_of
from orgloop.config.resolving.plugins import Origin, Plugins
from orgloop.config.schema import models as schema
from orgloop.core.text.json_text import number_text
from orgloop.plugin.settings import Settings
from orgloop.plugin.transform import TransformPlugin

_OWN_KEYS: Final = ("script", "timeout_ms")
"""Keys of a definition that are settings of its plugin."""

_HEAD: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A transform with a name. `plugin` is None if it could not be found."""

    entry: Entry[schema.TransformConfig]
    plugin: TransformPlugin | None
    config: Mapping[str, Any]


class Steps:
    """Makes steps; each combination of definition and settings is checked once."""

    def __init__(
        self,
        definitions: Mapping[str, Entry[schema.TransformConfig]],
        plugins: Plugins,
        root: Path,
        report: Report,
    ) -> None:
        self._plugins = plugins
        self._root = root
        self._report = report
        self._plain: dict[str, Settings | None] = {}
        self._shared: dict[tuple[str, Path, str], Settings] = {}
        self.entries = definitions
        self.definitions = {name: self._definition(entry) for name, entry in definitions.items()}
        self.used: set[str] = set()
        self.scripts: set[Path] = set()

    def step(self, part: schema.StepConfig, spot: Spot, number: int, *, incomplete: bool) -> StepSpec | None:
        """The step that a route's reference means. `incomplete`: not every definition is known."""
        if not part.ref or spot.lacks_variable("transforms", number, "ref"):
            return None
        definition = self.definitions.get(part.ref)
        if definition is not None:
            self.used.add(part.ref)
            return self._defined(definition, part, spot, number)
        if self._plugins.has_transform(part.ref):
            return self._direct(part, spot, number)
        if not incomplete:
            known = [*self.definitions, *self._plugins.transform_names()]
            where = spot.where(
                "transforms", number, *(() if isinstance(spot.get("transforms", number), str) else ("ref",))
            )
            message = f"{spot.label}: there is no transform {part.ref!r}"
            self._report.error(
                Code.UNKNOWN_TRANSFORM, where, message, nearest(part.ref, known, what="there are")
            )
        return None

    def marks(self, part: schema.RouteConfig) -> list[Any]:
        """What a route's steps are made of, for its fingerprint."""
        marks: list[Any] = []
        for step in part.transforms or []:
            definition = self.definitions.get(step.ref)
            if definition is None:
                marks.append([step.ref, step.on_error, step.config])
            else:
                plugin = definition.plugin.name if definition.plugin else None
                config = {**definition.config, **(step.config or {})}
                marks.append([step.ref, step.on_error or definition.entry.part.on_error, plugin, config])
        return marks

    def check_unused(self) -> None:
        """Check the settings of definitions that no route uses as they are."""
        for name in self.definitions:
            if name not in self.used:
                self._settings_of(self.definitions[name])

    def _definition(self, entry: Entry[schema.TransformConfig]) -> Definition:
        part, spot = entry.part, entry.spot
        config = dict(part.config or {})
        plugin = self._plugin(part, spot)
        if plugin is not None:
            for key in _OWN_KEYS:
                value = getattr(part, key)
                if value is None:
                    continue
                if key in keys_of(plugin.settings):
                    config[key] = value
                else:
                    self._no_effect(spot, key, f"a {plugin.name} transform has no `{key}`")
        return Definition(entry=entry, plugin=plugin, config=config)

    def _plugin(self, part: schema.TransformConfig, spot: Spot) -> TransformPlugin | None:
        if part.type != "package":
            if part.package is not None:
                self._no_effect(spot, "package", "it is used with `type: package` only")
            name, key = part.type, "type"
        elif part.package is None:
            message = f"{spot.label}: `package` is missing"
            self._report.error(
                Code.MISSING_KEY, spot.where(), message, "add `package:` with the transform's name"
            )
            return None
        else:
            name, key = part.package, "package"
        if not name or spot.lacks_variable(key):
            return None
        return self._plugins.transform(name, lambda: spot.where(key), spot.label)

    def _no_effect(self, spot: Spot, key: str, why: str) -> None:
        message = f"{spot.label}: `{key}` has no effect: {why}"
        self._report.warn(Code.NO_EFFECT, spot.where(key, key=True), message, "remove it")

    def _defined(
        self, definition: Definition, part: schema.StepConfig, spot: Spot, number: int
    ) -> StepSpec | None:
        if definition.plugin is None:
            return None
        plugin, config = definition.plugin, part.config
        if config:
            settings = self._once(
                part,
                plugin,
                definition.entry.spot.folder,
                lambda: self._overridden(definition, plugin, config, spot, number),
            )
        else:
            settings = self._settings_of(definition)
        if settings is None:
            return None
        on_error = part.on_error or definition.entry.part.on_error or plugin.on_error
        return StepSpec(name=part.ref, plugin=plugin, settings=settings, on_error=on_error)

    def _once(
        self,
        part: schema.StepConfig,
        plugin: TransformPlugin,
        folder: Path,
        make: Callable[[], Settings | None],
    ) -> Settings | None:
        """Settings that many routes write alike are made once, unless each of them is to be warned."""
        if plugin.settings.without_effect() & (part.config or {}).keys():
            return make()
        key = (part.ref, folder, json.dumps(part.config, sort_keys=True, default=number_text))
        settings = self._shared.get(key) or make()
        if settings is not None:
            self._shared[key] = settings
        return settings

    def _settings_of(self, definition: Definition) -> Settings | None:
        name, plugin, spot = definition.entry.name, definition.plugin, definition.entry.spot
        if plugin is None:
            return None
        if name not in self._plain:
            self._plain[name] = self._checked(
                plugin, definition.config, spot, _origin(spot), name, (spot, ())
            )
        return self._plain[name]

    def _checked(
        self,
        plugin: TransformPlugin,
        config: Mapping[str, Any],
        spot: Spot,
        origin: Origin,
        name: str,
        whole: tuple[Spot, DataPath],
    ) -> Settings | None:
        """`config` as the plugin's settings, if it can work with them. `whole` is where all of it stands."""
        settings = self._plugins.settings(plugin.settings, config, spot, origin)
        if settings is None or not self._script(settings, *origin("script"), name):
            return None
        return settings if self._plugins.succeeds(lambda: plugin.open(settings), *whole) else None

    def _overridden(
        self,
        definition: Definition,
        plugin: TransformPlugin,
        config: Mapping[str, Any],
        spot: Spot,
        number: int,
    ) -> Settings | None:
        defined, own = _origin(definition.entry.spot), ("transforms", number, "config")

        def origin(key: str | int | None) -> tuple[Spot, DataPath]:
            return (
                (spot, own) if key is None or key in config or key not in definition.config else defined(key)
            )

        merged, entry = {**definition.config, **config}, definition.entry
        return self._checked(plugin, merged, entry.spot, origin, entry.name, (spot, own))

    def _direct(self, part: schema.StepConfig, spot: Spot, number: int) -> StepSpec | None:
        at: DataPath = ("transforms", number, "config") if part.config else ("transforms", number)
        plugin = self._plugins.transform(part.ref, lambda: spot.where("transforms", number), spot.label)
        if plugin is None:
            return None

        config, here = part.config or {}, (spot, at)
        settings = self._once(
            part,
            plugin,
            spot.folder,
            lambda: self._checked(plugin, config, spot, lambda _: here, part.ref, here),
        )
        if settings is None:
            return None
        on_error = part.on_error or plugin.on_error
        return StepSpec(name=part.ref, plugin=plugin, settings=settings, on_error=on_error)

    def _script(self, settings: Settings, spot: Spot, path: DataPath, name: str) -> bool:
        """Whether the script that the settings at `path` name, if any, can be started."""
        script = getattr(settings, "script", None)
        if not isinstance(script, Path) or spot.lacks_variable(*path, "script"):
            return True
        self.scripts.add(script)
        where = spot.where(*path, "script")
        file = shown(script, self._root)
        try:
            head = read_file(script, _HEAD)
        except (OSError, ValueError) as exc:
            message = f"{spot.label}: its script {file} cannot be read: {reason(exc)}"
            self._report.error(
                Code.MISSING_SCRIPT, where, message, neighbour(script) or "create it, or correct the path"
            )
            return False
        return self._startable(script, head, file, where, spot)

    def _startable(self, script: Path, head: bytes, file: str, where: Where, spot: Spot) -> bool:
        if not os.access(script, os.X_OK):
            message = f"{spot.label}: its script {file} is not executable"
            self._report.error(Code.NOT_EXECUTABLE, where, message, f"type: chmod +x {file}")
            return False
        if not head.startswith(b"#!") and b"\0" not in head:
            message = f"{spot.label}: its script {file} does not say which program runs it"
            self._report.error(Code.NOT_EXECUTABLE, where, message, "begin it with a line such as #!/bin/sh")
            return False
        return True


def _origin(spot: Spot) -> Origin:
    def origin(key: str | int | None) -> tuple[Spot, DataPath]:
        beside = key in _OWN_KEYS and spot.get("config", str(key)) is None
        return (spot, ()) if beside else (spot, ("config",))

    return origin
