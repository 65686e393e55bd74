"""The variables of a project: those that it names in `${...}`, and those that its connectors read besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orgloop.config.findings import Finding, Report, Where
from orgloop.config.load import Loaded
from orgloop.config.reading.env import read_dotenv
from orgloop.errors import NotFound, PluginError
from orgloop.plugin import Connector, Variable
from orgloop.plugin.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class VariableState:
    """One variable. `used`: the project's files name it, first at `where`. `origin` says where it is set."""

    name: str
    used: bool
    origin: str = ""
    where: str = ""
    default: str | None = None
    about: Variable | None = None
    is_empty: bool = False
    """It is set to nothing where something is needed."""

    @property
    def is_set(self) -> bool:
        """Whether it has a value."""
        return bool(self.origin)

    @property
    def missing(self) -> bool:
        """Whether the project cannot run because of it."""
        return self.used and (self.is_empty or (not self.is_set and self.default is None))

    @property
    def advice(self) -> list[str]:
        """What it is for and, unless it is set, where to get it: a line each."""
        if self.about is None:
            return []
        lines = [self.about.description]
        if not self.is_set:
            lines += [self.about.help_url, f"$ {self.about.help_command}" if self.about.help_command else ""]
        return [line for line in lines if line]

    def as_json(self) -> dict[str, Any]:
        """For programs. Holds no value of a variable."""
        about = self.about
        return {
            "set": self.is_set,
            "required": self.used and self.default is None,
            "source": self.where,
            "origin": self.origin,
            "description": about.description if about else "",
            "help_url": about.help_url if about else "",
            "help_command": about.help_command if about else "",
        }


def variables_of(loaded: Loaded, registry: Registry, environ: Mapping[str, str]) -> list[VariableState]:
    """All of them: the used ones in reading order, then what the connectors would read."""
    root = loaded.sound.root if loaded.sound is not None else None
    dotenv = read_dotenv(root / ".env", ".env", Report()) if root is not None else {}
    about = {
        variable.name: variable for one in _connectors(loaded, registry) for variable in one.setup.variables
    }

    def origin(name: str) -> str:
        return "the environment" if name in environ else ".env" if name in dotenv else ""

    refused = {_place(one) for one in loaded.errors}
    states: dict[str, VariableState] = {}
    for use in loaded.variables:
        known = states.get(use.name)
        is_empty = not (environ.get(use.name) or dotenv.get(use.name)) and _place(use.where) in refused
        if known is not None and is_empty and not known.is_empty:
            states[use.name] = replace(known, is_empty=True)
        if known is None or (known.default is not None and use.default is None):
            states[use.name] = VariableState(
                name=use.name,
                used=True,
                origin=origin(use.name),
                where=known.where if known else str(use.where),
                default=use.default,
                is_empty=is_empty or (known is not None and known.is_empty),
                about=about.get(use.name),
            )
    for name, variable in about.items():
        if name not in states:
            states[name] = VariableState(name=name, used=False, origin=origin(name), about=variable)
    return list(states.values())


def _place(of: Where | Finding) -> tuple[str, int | None, int | None]:
    return of.file, of.line, of.column


def _connectors(loaded: Loaded, registry: Registry) -> Iterable[Connector]:
    """The connectors that the project names, sound or not, as far as they can be loaded."""
    snapshot = loaded.sound.snapshot if loaded.sound is not None else {}
    parts = [*snapshot.get("sources", {}).values(), *snapshot.get("actors", {}).values()]
    for name in dict.fromkeys(part.get("connector") for part in parts):
        try:
            yield registry.connector(str(name))
        except (NotFound, PluginError):
            continue
