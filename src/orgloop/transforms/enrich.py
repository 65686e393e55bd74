"""`enrich`: set, copy and compute fields. The event stays as it is; a changed copy of it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from orgloop.plugin import (
    KEY,
    MISSING,
    UNCHANGEABLE,
    Change,
    EventPath,
    Fault,
    Pass,
    Path,
    Reading,
    Scope,
    Settings,
    TemplateError,
    TransformPlugin,
    TransformResult,
    TreeTemplate,
    as_text,
    exact_number,
    in_event,
    refuse,
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


def _target_path(written: str) -> str:
    path = Path.parse(written, in_event)
    root = path.steps[0][0]
    if root in UNCHANGEABLE:
        raise ValueError(
            f"{written!r} cannot be written, because {root} belongs to the event for good: "
            "write below payload or provenance, or to a name of your own"
        )
    if root == "type" and len(path.steps) > 1:
        raise ValueError(f"{written!r} cannot be written: type is text and has nothing below it")
    return written


def _constants(values: dict[str, Any]) -> dict[str, Any]:
    """Refuses all targets and values at once that cannot be."""
    faults: list[Fault] = []
    for target, value in values.items():
        try:
            _target_path(target)
        except ValueError as exc:
            faults.append(Fault(message=str(exc), at=(target, KEY)))
        if target == "type" and not (isinstance(value, str) and value):
            faults.append(Fault(message="must be text, such as resource.changed", at=(target,)))
        elif target == "provenance" and not isinstance(value, str | Mapping):
            faults.append(Fault(message="must be a map", at=(target,)))
        try:
            TreeTemplate.parse(value, in_event)
        except TemplateError as exc:
            faults += [replace(fault, at=(target, *fault.at)) for fault in exc.faults]
    refuse(faults)
    return values


def _rule(written: str) -> str:
    _computed(written)
    return written


Target = Annotated[str, AfterValidator(_target_path)]
"""A dot path that a step may write."""

Constants = Annotated[dict[str, Any], AfterValidator(_constants)]
"""Target -> value, with templates."""

Rule = Annotated[str, AfterValidator(_rule)]
"""A comparison."""


class EnrichSettings(Settings):
    """What to write where, in the order set, copy, compute. Targets are dot paths."""

    set: Constants = Field(default_factory=dict)
    """Target -> value. Text may hold `{{path}}` placeholders, and `{{ now }}` for the event's timestamp."""
    add: Constants = Field(default_factory=dict)
    """Another name for `set`."""
    copy_: dict[Target, EventPath] = Field(default_factory=dict, alias="copy")
    """Target -> source path. Nothing happens if there is nothing at the source."""
    compute: dict[Target, Rule] = Field(default_factory=dict)
    """Target -> comparison such as `payload.count >= 3`; the target becomes true or false."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        twice = self.set.keys() & self.add.keys()
        if twice:
            raise ValueError(f"`set` and `add` mean the same and both write {min(twice)}: keep one of them")
        return self


class Enrich:
    """The open step."""

    bounded = True

    def __init__(self, settings: EnrichSettings) -> None:
        constants = settings.set | settings.add
        self._set = [(Path.parse(path), TreeTemplate.parse(value)) for path, value in constants.items()]
        self._read: list[tuple[Path, Getter]] = [
            (Path.parse(path), Path.parse(source).get) for path, source in settings.copy_.items()
        ]
        self._read += [(Path.parse(path), _computed(rule).holds) for path, rule in settings.compute.items()]
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A rule of `compute`: what it reads, and whether it holds."""

    path: Path
    holds: Getter


def _computed(rule: str) -> Comparison:
    """Raises ValueError for a rule that cannot be read."""
    found = _EXPRESSION.fullmatch(rule)
    if found is None:
        raise ValueError(
            f"{rule!r} is not a comparison: write a path, one of === !== > < >= <= and a value, "
            "such as payload.count >= 3"
        )
    path, op = Path.parse(found["path"], in_event), found["op"]
    wanted = _literal(found["value"])
    if op in ("===", "!=="):
        return Comparison(path=path, holds=_equality(path.get, wanted, negate=op == "!=="))
    if isinstance(wanted, str):
        raise ValueError(f"{op} compares numbers, and {wanted!r} is not a number: write one, such as 3")
    order = _ORDER[op]
    return Comparison(
        path=path, holds=lambda document: _is_number(value := path.get(document)) and order(value, wanted)
    )


def _equality(get: Getter, wanted: str | float | Decimal, *, negate: bool) -> Getter:
    """Equal are also values that read the same: "5" and 5, true and the bare word true."""
    written = as_text(wanted)
    return lambda document: (_read(get(document)) == written) is not negate


def _literal(written: str) -> str | int | float | Decimal:
    if quoted := _QUOTED.fullmatch(written):
        return quoted[quoted.lastgroup or 0]
    return exact_number(written) if _NUMBER.fullmatch(written) else written


def _read(value: object) -> str:
    return "undefined" if value is MISSING else as_text(value, "null")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _reads(settings: EnrichSettings) -> list[Reading]:
    """The paths that it reads of the event as it comes: what it wrote itself is not the source's."""
    written = {*settings.set, *settings.add, *settings.copy_, *settings.compute}
    found = [(Path.parse(path), ("copy", target)) for target, path in settings.copy_.items()]
    found += [(_computed(rule).path, ("compute", target)) for target, rule in settings.compute.items()]
    for key, values in (("set", settings.set), ("add", settings.add)):
        for target, value in values.items():
            found += [(path, (key, target)) for path in TreeTemplate.parse(value).paths]
    return [
        Reading(path=path, at=at)
        for path, at in found
        if path.text != NOW and not _is_within(path.text, written)
    ]


def _is_within(path: str, written: Collection[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") or one.startswith(f"{path}.") for one in written)


transform = TransformPlugin(
    name="enrich",
    title="Set, copy and compute fields",
    settings=EnrichSettings,
    open=Enrich,
    reads=_reads,
)
