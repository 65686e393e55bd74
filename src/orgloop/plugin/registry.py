"""Which plugins there are: a value, filled from entry points, so that tests never meet a stray one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from orgloop.core.text.suggest import nearest_name
from orgloop.errors import FAULTS, NotFound, PluginError
from orgloop.plugin.connector import Connector
from orgloop.plugin.logger import LoggerPlugin
from orgloop.plugin.transform import TransformPlugin

_T = TypeVar("_T")

CONNECTORS: Final = "orgloop.connectors"
TRANSFORMS: Final = "orgloop.transforms"
LOGGERS: Final = "orgloop.loggers"

_NPM_PREFIXES: Final = {
    CONNECTORS: "@orgloop/connector-",
    TRANSFORMS: "@orgloop/transform-",
    LOGGERS: "@orgloop/logger-",
}
_KINDS: Final[Mapping[str, type]] = {
    CONNECTORS: Connector,
    TRANSFORMS: TransformPlugin,
    LOGGERS: LoggerPlugin,
}
_BROKEN: Final = "its package is broken; update or remove it"
_WORDS: Final = {CONNECTORS: "connector", TRANSFORMS: "transform", LOGGERS: "logger"}


def plain_name(group: str, name: str) -> str:
    """`@orgloop/connector-github` and `github` name the same thing."""
    return name.removeprefix(_NPM_PREFIXES[group])


@dataclass(frozen=True)
class Registry:
    """Plugins by group and name. Entry points load when asked for; given objects are used as they are."""

    points: Mapping[tuple[str, str], EntryPoint | Connector | TransformPlugin | LoggerPlugin | PluginError]
    """A PluginError stands for a name that nobody can be asked for."""

    @classmethod
    def installed(cls) -> Registry:
        """Everything that is installed in this environment."""
        points: dict[tuple[str, str], Any] = {}
        for group in _KINDS:
            for point in entry_points(group=group):
                other = points.setdefault((group, point.name), point)
                if isinstance(other, EntryPoint) and other != point:
                    points[group, point.name] = _taken_twice(group, other, point)
        return cls(points)

    @classmethod
    def of(cls, *plugins: Connector | TransformPlugin | LoggerPlugin) -> Registry:
        """Just these."""
        return cls({(_group_of(plugin), name): plugin for plugin in plugins for name in _names_of(plugin)})

    def names(self, group: str) -> list[str]:
        """All names of a group, sorted."""
        return sorted(name for kind, name in self.points if kind == group)

    def connector(self, name: str) -> Connector:
        """The connector of this name. Raises NotFound or PluginError."""
        return self._get(CONNECTORS, name, Connector)

    def transform(self, name: str) -> TransformPlugin:
        """The transform of this name. Raises NotFound or PluginError."""
        return self._get(TRANSFORMS, name, TransformPlugin)

    def logger(self, name: str) -> LoggerPlugin:
        """The logger of this name. Raises NotFound or PluginError."""
        return self._get(LOGGERS, name, LoggerPlugin)

    def connectors(self) -> Iterable[Connector]:
        """All connectors that can be used, each once, whatever other names it has."""
        found: dict[str, Connector] = {}
        for name in self.names(CONNECTORS):
            with suppress(PluginError):
                connector = self.connector(name)
                found[connector.name] = connector
        return found.values()

    def faults(self) -> dict[str, PluginError]:
        """Why the plugins that cannot be used cannot, by name."""
        faults: dict[str, PluginError] = {}
        for group, name in self.points:
            try:
                self._get(group, name, _KINDS[group])
            except PluginError as exc:
                faults[name] = exc
        return faults

    def _get(self, group: str, name: str, kind: type[_T]) -> _T:
        plain = plain_name(group, name)
        found = self.points.get((group, plain))
        if found is None:
            near = nearest_name(plain, self.names(group), short=True)
            known = ", ".join(self.names(group))
            raise NotFound(
                f"no {_WORDS[group]} is called {plain!r}",
                hint=f"did you mean {near!r}?" if near else f"installed: {known}",
            )
        if isinstance(found, PluginError):
            raise found
        plugin = _load(found) if isinstance(found, EntryPoint) else found
        if not isinstance(plugin, kind):
            raise PluginError(
                f"the {_WORDS[group]} {plain!r} is a {type(plugin).__name__}, not a {kind.__name__}",
                hint=_BROKEN,
            )
        if plain not in _names_of(plugin):
            raise PluginError(
                f"the {_WORDS[group]} {plain!r} calls itself {', '.join(_names_of(plugin))}",
                hint="its entry point must have its name, or one of its aliases; update or remove it",
            )
        return plugin


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except ImportError as exc:
        raise PluginError(f"{point.name!r} cannot be loaded: {exc}", hint=_remedy(point)) from exc
    except FAULTS as exc:
        raise PluginError(
            f"{point.name!r} cannot be loaded: {type(exc).__name__}: {exc}", hint=_BROKEN
        ) from exc


def _remedy(point: EntryPoint) -> str:
    """What to type if a module is missing: heavy dependencies are extras that are called like the plugin."""
    extras = (point.dist.metadata.get_all("Provides-Extra") or []) if point.dist is not None else []
    if point.dist is not None and point.name in extras:
        return f"install what it needs: pip install '{point.dist.name}[{point.name}]'"
    return _BROKEN


def _taken_twice(group: str, *points: EntryPoint) -> PluginError:
    packages = " and ".join(point.dist.name if point.dist is not None else point.value for point in points)
    return PluginError(
        f"the {_WORDS[group]} {points[0].name!r} comes from two packages: {packages}",
        hint="remove one of them: pip uninstall",
    )


def _group_of(plugin: Any) -> str:
    return next(group for group, kind in _KINDS.items() if isinstance(plugin, kind))


def _names_of(plugin: Any) -> tuple[str, ...]:
    return (plugin.name, *getattr(plugin, "aliases", ()))
