"""Plugins as a project uses them: found by name, their settings read from `config:`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orgloop.config.findings import Code, Report, Where, advised
from orgloop.config.reading.documents import Spot, at_path, dotted
from orgloop.config.reading.env import DataPath
from orgloop.config.reading.secrets import secret_texts, unexpanded
from orgloop.config.reading.validation import explain, place_in
from orgloop.errors import FAULTS, NotFound, PluginError
from orgloop.plugin.connector import Connector
from orgloop.plugin.logger import LoggerPlugin
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, Registry, plain_name
from orgloop.plugin.settings import Settings
from orgloop.plugin.setup import Variable
from orgloop.plugin.transform import TransformPlugin

_P = TypeVar("_P", Connector, TransformPlugin, LoggerPlugin)

REPORT_IT: Final = "report this to the plugin's author"

_NOT_IN_THIS_VERSION: Final = {
    CONNECTORS: frozenset(
        {
            *("agent-ctl", "docker", "gog", "pagerduty"),
        }
    ),
    TRANSFORMS: frozenset({"agent-gate"}),
    LOGGERS: frozenset({"otel", "syslog"}),
}
"""Names that published projects use, for what is not there yet."""

Origin = Callable[[str | int | None], tuple[Spot, DataPath]]
"""Which thing in a file, and where in it, a key of a plugin's settings comes from; None: all of them."""


class Plugins:
    """The registry, asked once per name, and settings with their findings.

    `context` is what settings may take from the project: `project` (its directory), `environment`,
    and `run_usd` of the defaults. `base`, the directory of the YAML file, is added here.
    """

    def __init__(self, registry: Registry, context: Mapping[str, Any], report: Report) -> None:
        self._registry = registry
        self._context = context
        self._report = report
        self._transforms = frozenset(registry.names(TRANSFORMS))
        self._found: dict[
            tuple[str, str], Connector | TransformPlugin | LoggerPlugin | NotFound | PluginError
        ] = {}

    def connector(self, name: str, where: Callable[[], Where], label: str) -> Connector | None:
        """The connector of this name; None after a finding at `where`."""
        found = self._plugin(CONNECTORS, name, self._registry.connector)
        return self._told(found, Code.UNKNOWN_CONNECTOR, where, label)

    def transform(self, name: str, where: Callable[[], Where], label: str) -> TransformPlugin | None:
        """The transform of this name; None after a finding at `where`."""
        found = self._plugin(TRANSFORMS, name, self._registry.transform)
        return self._told(found, Code.UNKNOWN_TRANSFORM, where, label)

    def logger(self, name: str, where: Callable[[], Where], label: str) -> LoggerPlugin | None:
        """The logger of this name; None after a finding at `where`."""
        found = self._plugin(LOGGERS, name, self._registry.logger)
        return self._told(found, Code.UNKNOWN_LOGGER, where, label)

    def has_transform(self, name: str) -> bool:
        """Whether a transform of this name is installed."""
        return plain_name(TRANSFORMS, name) in self._transforms

    def transform_names(self) -> list[str]:
        """The installed transforms."""
        return sorted(self._transforms)

    def variables(self) -> dict[str, Variable]:
        """What the connectors that were asked for say about the variables that they use."""
        connectors = [found for found in self._found.values() if isinstance(found, Connector)]
        return {variable.name: variable for one in connectors for variable in one.setup.variables}

    def settings(
        self, model: type[Settings], config: Mapping[str, Any], spot: Spot, origin: Origin
    ) -> Settings | None:
        """`config`, variables filled in, as `model`; None after findings where `origin` says."""
        context = {**self._context, "base": spot.folder}
        data = dict(config)
        unfilled = self._unfilled(model, data, origin)
        settings: Settings | None = None
        doubts: list[tuple[Code, str, str]] = []
        try:
            settings = model.model_validate(data, context=context)
            doubts += [(Code.RISKY_SETTING, *doubt) for doubt in settings.warnings().items()]
            doubts += [(Code.MISSING_SCRIPT, *doubt) for doubt in settings.missing().items()]
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_input=False)
            self._explain(model, data, [one for one in errors if place_in(one, data) not in unfilled], origin)
        except (OSError, RuntimeError) as exc:
            where, path = origin(None)
            message = f"{where.label}: a path in its settings cannot be used: {exc}"
            self._report.error(Code.BAD_SETTINGS, where.where(*path), message, "correct the path")
        except FAULTS as exc:
            where, path = origin(None)
            message = f"{where.label}: its settings cannot be read: {type(exc).__name__}"
            self._report.error(Code.BROKEN_PLUGIN, where.where(*path), message, REPORT_IT)
        for key in sorted(model.without_effect()):
            if at_path(data, key.split(".")) is not None:
                hint = model.meanwhile().get(key, "remove it")
                self._doubt(Code.NO_EFFECT, key, origin, "has no effect", hint)
        for code, key, text in doubts:
            if not spot.lacks_variable("config", *key.split(".")):
                self._doubt(code, key, origin, *advised(self._hidden(text, *origin(key))))
        return None if unfilled else settings

    def _unfilled(self, model: type[Settings], data: Mapping[str, Any], origin: Origin) -> set[DataPath]:
        """Where values name a variable as other tools do, after an error for each."""
        known = self._context.get("environment", {})
        places: set[DataPath] = set()
        for key in data:
            spot, path = origin(key)
            written = at_path(spot.raw, (*path, key))
            for place, name in unexpanded({key: written}, model, known):
                if spot.lacks_variable(*path, *place):
                    continue
                message = (
                    f"{spot.label}: `{dotted((*path, *place))}` is the name of a variable, not its value"
                )
                hint = (
                    f"write ${{{name}}}" if name in known else "write the variable's name in braces: ${NAME}"
                )
                self._report.error(Code.BAD_VARIABLE, spot.where(*path, *place), message, hint)
                places.add(place)
        return places

    def _doubt(self, code: Code, key: str, origin: Origin, text: str, hint: str) -> None:
        """A warning at a key (a dot path) of a plugin's settings."""
        steps = key.split(".")
        where, path = origin(steps[0])
        message = f"{where.label}: `{dotted((*path, *steps))}` {text}"
        self._report.warn(code, where.where(*path, *steps, key=True), message, hint)

    def succeeds(self, try_it: Callable[[], object], spot: Spot, path: DataPath) -> bool:
        """Whether a plugin takes its settings when it is built; a finding at `path` if not."""
        if spot.lacks_variable(*path):
            return True
        try:
            try_it()
        except ValueError as exc:
            fault, hint = advised(self._hidden(str(exc), spot, path), "correct its settings")
            self._report.error(Code.BAD_SETTINGS, spot.where(*path), f"{spot.label}: {fault}", hint)
            return False
        except FAULTS as exc:
            message = f"{spot.label}: cannot be built: {type(exc).__name__}"
            self._report.error(Code.BROKEN_PLUGIN, spot.where(*path), message, REPORT_IT)
            return False
        return True

    def _explain(
        self, model: type[Settings], data: Mapping[str, Any], errors: list[ErrorDetails], origin: Origin
    ) -> None:
        """Hand each error to the thing that its key comes from."""
        grouped: dict[tuple[int, DataPath], tuple[Spot, DataPath, list[ErrorDetails]]] = {}
        for error in errors:
            spot, path = origin(error["loc"][0] if error["loc"] else None)
            grouped.setdefault((id(spot), path), (spot, path, []))[2].append(error)
        for spot, path, group in grouped.values():
            hidden = list(secret_texts(at_path(spot.raw, path), at_path(spot.data, path)))
            explain(model, data, group, spot, self._report, path, hidden)

    def _hidden(self, text: str, spot: Spot, path: DataPath) -> str:
        for secret, shown in secret_texts(at_path(spot.raw, path), at_path(spot.data, path)):
            text = text.replace(secret, shown)
        return text

    def _plugin(self, group: str, name: str, ask: Callable[[str], _P]) -> _P | NotFound | PluginError:
        key = (group, plain_name(group, name))
        if key not in self._found:
            try:
                self._found[key] = ask(name)
            except NotFound as exc:
                self._found[key] = self._not_there(group, plain_name(group, name)) or exc
            except PluginError as exc:
                self._found[key] = exc
        return self._found[key]  # type: ignore[return-value]

    def _not_there(self, group: str, name: str) -> NotFound | None:
        """What to say of a name that is no mistake, but that nothing here answers to."""
        if name not in _NOT_IN_THIS_VERSION[group]:
            return None
        kind = group.rpartition(".")[2].removesuffix("s")
        return NotFound(
            f"the {kind} {name!r} is not part of this version",
            hint=f"take out what uses it until it is; there are: {', '.join(self._registry.names(group))}",
        )

    def _told(
        self, found: _P | NotFound | PluginError, code: Code, where: Callable[[], Where], label: str
    ) -> _P | None:
        match found:
            case NotFound() | PluginError():
                code = code if isinstance(found, NotFound) else Code.BROKEN_PLUGIN
                self._report.error(code, where(), f"{label}: {found.message}", found.hint)
                return None
            case _:
                return found
