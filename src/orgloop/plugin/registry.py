"""Which plugins there are: a value, filled from entry points, so that tests never meet a stray one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from orgloop.errors import NotFound, PluginError
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
_WORDS: Final = {CONNECTORS: "connector", TRANSFORMS: "transform", LOGGERS: "logger"}


def plain_name(group: str, name: str) -> str:
    """`@orgloop/connector-github` and `github` name the same thing."""
    return name.removeprefix(_NPM_PREFIXES[group])


@dataclass(frozen=True)
class Registry:
    """Plugins by group and name. Entry points load when asked for; given objects are used as they are."""

    points: Mapping[tuple[str, str], EntryPoint | Connector | TransformPlugin | LoggerPlugin]

    @classmethod
    def installed(cls) -> Registry:
        """Everything that is installed in this environment."""
        return cls({(group, point.name): point for group in _KINDS for point in entry_points(group=group)})

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
        """All connectors, each once, whatever other names it has. Raises PluginError."""
        found = (self.connector(name) for name in self.names(CONNECTORS))
        return {connector.name: connector for connector in found}.values()

    def _get(self, group: str, name: str, kind: type[_T]) -> _T:
        plain = plain_name(group, name)
        found = self.points.get((group, plain))
        if found is None:
            near = get_close_matches(plain, self.names(group), n=1)
            known = ", ".join(self.names(group))
            raise NotFound(
                f"no {_WORDS[group]} is called {plain!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"installed: {known}",
            )
        plugin = _load(found) if isinstance(found, EntryPoint) else found
        if not isinstance(plugin, kind):
            raise PluginError(
                f"the {_WORDS[group]} {plain!r} is a {type(plugin).__name__}, not a {kind.__name__}",
                hint="its package is broken; update or remove it",
            )
        return plugin


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except ImportError as exc:
        package = point.dist.name if point.dist is not None else "its package"
        extra = f"{package}[{point.name}]"
        raise PluginError(
            f"{point.name!r} cannot be loaded: {exc}", hint=f"install what it needs: pip install '{extra}'"
        ) from exc


def _group_of(plugin: Any) -> str:
    return next(group for group, kind in _KINDS.items() if isinstance(plugin, kind))


def _names_of(plugin: Any) -> tuple[str, ...]:
    return (plugin.name, *getattr(plugin, "aliases", ()))
