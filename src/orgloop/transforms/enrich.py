"""`enrich`: set, copy and compute fields. The event stays as it is; a changed copy of it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import Field

from orgloop.plugin import (
    MISSING,
    UNCHANGEABLE,
    Change,
    Pass,
    Path,
    Reading,
    Scope,
    Settings,
    TransformPlugin,
    TransformResult,
    TreeTemplate,
    as_text,
    same,
    set_at,
)

NOW: Final = "now"
"""The placeholder that means the event's own timestamp, so that a repeated step gives the same."""

_EXPRESSION: Final = re.compile(r"\s*(?P<path>[^\s=!<>]+)\s*(?P<op>===|!==|>=|<=|>|<)\s*(?P<value>.*\S)\s*")
_NUMBER: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_QUOTED: Final = re.compile(r"""'(?P<single>[^']*)'|"(?P<double>[^"]*)\"""")

_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
}

Getter = Callable[[Mapping[str, Any]], object]


class EnrichSettings(Settings):
    """What to write where, in the order set, copy, compute. Targets are dot paths."""

    set: dict[str, Any] = Field(default_factory=dict)
    """Target -> value. Text may hold `{{path}}` placeholders, and `{{ now }}` for the event's timestamp."""
    add: dict[str, Any] = Field(default_factory=dict)
    """Another name for `set`."""
    copy_: dict[str, str] = Field(default_factory=dict, alias="copy")
    """Target -> source path. Nothing happens if there is nothing at the source."""
    compute: dict[str, str] = Field(default_factory=dict)
    """Target -> comparison such as `payload.count >= 3`; the target becomes true or false."""


class Enrich:
    """The open step."""

    bounded = True

    def __init__(self, settings: EnrichSettings) -> None:
        twice = settings.set.keys() & settings.add.keys()
        if twice:
            raise ValueError(f"`set` and `add` mean the same and both write {min(twice)}: keep one of them")
        constants = settings.set | settings.add
        self._set = [(_target(path, value), _template(path, value)) for path, value in constants.items()]
        self._read = [(_target(path), _source(path, source)) for path, source in settings.copy_.items()]
        self._read += [(_target(path), _computed(path, rule)) for path, rule in settings.compute.items()]
        self._wants_now = any(path.text == NOW for _, template in self._set for path in template.paths)

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        data = {**document, NOW: document.get("timestamp")} if self._wants_now else document
        changed = document
        for path, template in self._set:
            changed = _put(changed, path, template.render(data))
        for path, read in self._read:
            changed = _put(changed, path, read(changed))
        return Pass() if changed is document else Change(document=changed)

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        return self.apply_now(document, scope)

    async def close(self) -> None:
        """Nothing is open."""


def _put(document: Mapping[str, Any], path: Path, value: object) -> Mapping[str, Any]:
    """`document` itself if it has that value there already, or if there is no value."""
    if value is MISSING or same(path.get(document), value):
        return document
    return set_at(document, path, value)


def _target(written: str, value: object = MISSING) -> Path:
    path = Path.parse(written)
    root = path.steps[0][0]
    if root in UNCHANGEABLE:
        raise ValueError(
            f"{written!r} cannot be written: {root} belongs to the event for good; "
            "write below payload or provenance, or to a name of your own"
        )
    if root == "type" and len(path.steps) > 1:
        raise ValueError(f"{written!r} cannot be written: type is text and has nothing below it")
    if written == "type" and value is not MISSING and not (isinstance(value, str) and value):
        raise ValueError(f"{written!r} must be set to text, such as resource.changed")
    if written == "provenance" and value is not MISSING and not isinstance(value, str | Mapping):
        raise ValueError(f"{written!r} must be set to a map")
    return path


def _template(target: str, value: Any) -> TreeTemplate:
    try:
        return TreeTemplate.parse(value)
    except ValueError as exc:
        raise ValueError(f"set {target}: {exc}") from exc


def _source(target: str, written: str) -> Getter:
    try:
        return Path.parse(written).get
    except ValueError as exc:
        raise ValueError(f"copy to {target}: {exc}") from exc


def _computed(target: str, rule: str) -> Getter:
    found = _EXPRESSION.fullmatch(rule)
    if found is None:
        raise ValueError(
            f"compute {target}: {rule!r} is not a comparison: write a path, one of === !== > < >= <= "
            "and a value, such as payload.count >= 3"
        )
    get = Path.parse(found["path"]).get
    wanted, equal = _literal(found["value"]), found["op"] in ("===", "!==")
    if equal:
        return _equality(get, wanted, negate=found["op"] == "!==")
    if isinstance(wanted, str):
        raise ValueError(f"compute {target}: {found['op']} compares numbers, and {wanted!r} is none")
    order = _ORDER[found["op"]]
    return lambda document: _is_number(value := get(document)) and order(value, wanted)


def _equality(get: Getter, wanted: str | float, *, negate: bool) -> Getter:
    """Equal are also values that read the same: "5" and 5, true and the bare word true."""
    written = as_text(wanted)
    return lambda document: (_read(get(document)) == written) is not negate


def _literal(written: str) -> str | int | float:
    if quoted := _QUOTED.fullmatch(written):
        return quoted[quoted.lastgroup or 0]
    if _NUMBER.fullmatch(written):
        number = float(written)
        return int(number) if number.is_integer() and number < 2**53 else number
    return written


def _read(value: object) -> str:
    return "undefined" if value is MISSING else as_text(value, "null")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


transform = TransformPlugin(
    name="enrich",
    title="Set, copy and compute fields",
    settings=EnrichSettings,
    open=Enrich,
    reads=lambda settings: [Reading(path=Path.parse(path)) for path in settings.copy_.values()],
)
