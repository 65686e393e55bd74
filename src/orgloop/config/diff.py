"""What would change between what runs and what the files say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from orgloop.core.events.fields import MISSING, same

VARIABLES: Final = "variables"
"""A fingerprint of the values in which variables stand: it changes though the file says the same."""

DERIVED: Final = (VARIABLES, "folder", "defaults")
"""Fields that a file does not say: its variables, where it is, the defaults that count for the thing."""


class Kind(StrEnum):
    """What a change is about."""

    ACCOUNT = "account"
    SOURCE = "source"
    ACTOR = "actor"
    TRANSFORM = "transform"
    ROUTE = "route"
    LOGGER = "logger"
    SCRIPT = "script"
    """What a transform runs. Its content counts from the next event on, without a reload."""
    SOP = "sop"
    """A prompt file. Its content counts from the next wake on, without a reload."""
    DEFAULTS = "defaults"
    METADATA = "metadata"
    """The project's name."""


class Action(StrEnum):
    """What happens to it."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    SAME = "same"

    @property
    def symbol(self) -> str:
        """`+`, `~`, `-` or `=`."""
        return _SYMBOLS[self]


_SYMBOLS: Final = {Action.ADD: "+", Action.CHANGE: "~", Action.REMOVE: "-", Action.SAME: "="}
_SECTIONS: Final = {
    Kind.ACCOUNT: "accounts",
    Kind.SOURCE: "sources",
    Kind.ACTOR: "actors",
    Kind.TRANSFORM: "transforms",
    Kind.ROUTE: "routes",
    Kind.LOGGER: "loggers",
    Kind.SCRIPT: "scripts",
    Kind.SOP: "sops",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigChange:
    """One thing. `fields` are, for a change, (dot path, old value, new value); None is absent."""

    kind: Kind
    name: str
    action: Action
    fields: tuple[tuple[str, Any, Any], ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it counts at once, without a reload."""
        return self.kind in (Kind.SCRIPT, Kind.SOP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All things, by kind, new order first, removed ones last."""

    items: tuple[ConfigChange, ...]

    def count(self, action: Action) -> int:
        """How many items have this action."""
        return sum(item.action is action for item in self.items)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return all(item.action is Action.SAME for item in self.items)


def diff(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Plan:
    """Compare two snapshots; None: nothing was applied yet."""
    before = old or {}
    items = [
        change
        for kind, section in _SECTIONS.items()
        for change in _section(kind, before.get(section) or {}, new.get(section) or {})
    ]
    defaults = _change(Kind.DEFAULTS, "defaults", before.get("defaults", MISSING), new.get("defaults") or {})
    named = {"name": before["project"]} if "project" in before else MISSING
    metadata = _change(Kind.METADATA, "metadata", named, {"name": new.get("project", "")})
    return Plan(items=(*items, defaults, metadata))


def _section(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[ConfigChange]:
    renamed = set()
    for name, fields in new.items():
        before = next((one for one in names_of(name, fields) if one in old), name)
        if before != name:
            renamed.add(before)
        yield _change(kind, name, old.get(before, MISSING), fields)
    for name in old:
        if name not in new and name not in renamed:
            yield ConfigChange(kind=kind, name=name, action=Action.REMOVE)


def names_of(name: str, fields: Any) -> list[str]:
    """The name of a thing, and the earlier ones that its fields tell."""
    said = fields.get("renamed_from") if isinstance(fields, Mapping) else None
    return [name, *([said] if isinstance(said, str) else said or [])]


def _change(kind: Kind, name: str, old: Any, new: Any) -> ConfigChange:
    if old is MISSING:
        return ConfigChange(kind=kind, name=name, action=Action.ADD)
    before, after = dict(_leaves(old)), dict(_leaves(new))
    fields = tuple(
        (path, _shown(before.get(path, MISSING)), _shown(after.get(path, MISSING)))
        for path in dict.fromkeys([*after, *before])
        if not same(before.get(path, MISSING), after.get(path, MISSING))
        # A default that begins or ceases to count: what the file says instead is told.
        and not (path.startswith("defaults.") and (path in before) != (path in after))
    )
    if any("${" in str(value) for _, *values in fields for value in values):
        # What stands in the file explains it.
        fields = tuple(field for field in fields if field[0] != VARIABLES)
    return ConfigChange(kind=kind, name=name, action=Action.CHANGE if fields else Action.SAME, fields=fields)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dot paths and values; lists count as one value."""
    if isinstance(node, Mapping) and (node or not path):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _shown(value: Any) -> Any:
    return None if value is MISSING else value
