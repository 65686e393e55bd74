"""What routes read from events, held against the fields and values that their events have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from orgloop.config.documents import Spot
from orgloop.config.endpoints import ActorEnd, SourceEnd
from orgloop.config.env import DataPath
from orgloop.config.findings import Code, Report
from orgloop.config.model import RouteSpec
from orgloop.core.event_shape import BELOW, ENVELOPE_FIELDS, RUN_SHAPES, EventShape, Values, may_be, shapes_of
from orgloop.core.fields import Path, PathError, same
from orgloop.core.suggest import nearest_name
from orgloop.core.templates import Template, TemplateError
from orgloop.errors import FAULTS
from orgloop.plugin.transform import Reading

_MOST_NAMED: Final = 12
_KEYS: Final = frozenset({"session_key", "thread_id"})
_REGEX: Final = re.compile(r"/.+/[a-z]*|\^.*|.*[^\\]\$")
_COMPARISON: Final = re.compile(r"(?:[<>]=?|==|!=) ?\S.*")
_NEGATION: Final = re.compile(r"(?:!|not |NOT )\S.*")
_QUOTES: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
"""Typographic quotes: an editor or a web page put them where straight ones were meant."""


class EventFields:
    """Checks the routes of one project."""

    def __init__(
        self, sources: Mapping[str, SourceEnd], actors: Mapping[str, ActorEnd], report: Report
    ) -> None:
        self._sources = sources
        self._actors = actors
        self._report = report
        self._shapes: dict[str, Sequence[EventShape]] = {}
        self._heard: dict[tuple[str, tuple[str, ...]], _Heard] = {}

    def check(self, spot: Spot, source: str, events: Sequence[str], spec: RouteSpec | None) -> None:
        """Warn of what a route asks for and never gets; refuse keys of which a part never has a value."""
        if source not in self._shapes:
            self._shapes[source] = self._of(source)
        every, heard = self._shapes[source], (source, tuple(events))
        if heard not in self._heard:
            self._heard[heard] = _Heard(source, events, every)
        route = _Route(spot, self._heard[heard], self._report)
        lines = spot.get("when", "filter")
        for key, value in lines.items() if isinstance(lines, dict) else ():
            route.line(key, value)
        if spec is None or not every:
            return
        for number, step in enumerate(spec.steps):
            try:
                readings = list(step.plugin.reads(step.settings))
                changes = step.plugin.changes(step.settings)
            except FAULTS:
                return
            for reading in readings:
                route.reads(reading, ("transforms", number), step.name)
            if changes:
                return
        for path, text in _texts(spec.config, ("then", "config")):
            route.text(path, text)

    def _of(self, name: str) -> Sequence[EventShape]:
        """The shapes of all events that come from this id; none if one is not known."""
        source, actor = self._sources.get(name), self._actors.get(name)
        shapes: list[EventShape] = []
        if source is not None:
            if source.kind is None or source.kind.shapes is None or source.spec is None:
                return ()
            try:
                shapes += source.kind.shapes(source.spec.settings)
            except FAULTS:
                return ()
        if actor is not None:
            if actor.kind is None:
                return ()
            shapes += (*RUN_SHAPES, *actor.kind.shapes) if actor.kind.has_runs is not None else ()
        return shapes


class _Heard:
    """What is known of the events that routes of one source and one list of names listen to."""

    def __init__(self, source: str, events: Sequence[str], every: Sequence[EventShape]) -> None:
        self.source = source
        self.events = events
        self._every = every
        self._shapes = shapes_of(events, every)
        self._entries: dict[str, tuple[bool, bool, Values]] = {}

    def about(self, path: Path) -> tuple[bool, bool, Values]:
        """Whether these events may have it, whether others of the source may, and its values if known."""
        entry = self._entries.get(path.text)
        if entry is None:
            own = [shape for shape in self._shapes if shape.has(path)]
            found = [shape.values(path) for shape in own]
            values = tuple(value for each in found for value in each) if all(found) else ()
            is_there = bool(own) or not self._shapes or path.steps[0][0] not in _ROOTS
            elsewhere = any(shape.has(path) for shape in self._every)
            entry = self._entries[path.text] = (is_there, elsewhere, values)
        return entry

    def instead(self, path: Path) -> str:
        """What to write for a path that is never there."""
        fields = sorted({field.removesuffix(f".{BELOW}") for shape in self._shapes for field in shape.fields})
        near = nearest_name(path.text, fields)
        if near is not None:
            return f"did you mean `{near}`?"
        keys = [key for key, _ in path.steps]
        above = (f"{'.'.join(keys[:length])}." for length in range(len(keys) - 1, 0, -1))
        beside = next(
            (known for place in above if (known := [one for one in fields if one.startswith(place)])), []
        )
        return f"it has: {_listed(beside)}" if beside else ""


class _Route:
    def __init__(self, spot: Spot, heard: _Heard, report: Report) -> None:
        self._spot = spot
        self._heard = heard
        self._report = report

    def line(self, key: str, value: Any) -> None:
        """One line of `when.filter`."""
        at = ("when", "filter", key)
        wanted = value if isinstance(value, list) else [value]
        try:
            path = Path.parse(key)
        except PathError:
            return
        if not self._is_there(path, at, key=True):
            return
        _, _, values = self._heard.about(path)
        for one in wanted:
            if isinstance(one, dict | list):
                continue
            is_known = any(not isinstance(known, type) and same(one, known) for known in values)
            hint = "" if is_known else _looks_like(one)
            if hint:
                message = f"{self._spot.label}: `{path}` is compared with {one!r} as it stands"
                self._report.warn(Code.DOUBTFUL_VALUE, self._spot.where(*at), message, hint)
            elif not may_be(one, values):
                message = f"{self._spot.label}: `{path}` is never {json.dumps(one, ensure_ascii=False)}"
                self._report.warn(Code.UNKNOWN_VALUE, self._spot.where(*at), message, _other(one, values))

    def reads(self, reading: Reading, at: DataPath, name: str) -> None:
        """What one of its transforms reads."""
        self._is_there(reading.path, at, of=f" ({name})", needed=reading.needed)

    def text(self, at: DataPath, text: str) -> None:
        """A text of `then.config`."""
        try:
            template = Template.parse(text)
        except TemplateError:
            return
        for part in template.parts:
            if isinstance(part, Path):
                self._is_there(part, at, needed=at[2] in _KEYS)

    def _is_there(
        self, path: Path, at: DataPath, *, key: bool = False, of: str = "", needed: bool = False
    ) -> bool:
        """Whether the events that it listens to may have something there; else a finding."""
        is_there, elsewhere, _ = self._heard.about(path)
        if is_there:
            return True
        heard = self._heard
        whose = f"{_listed(heard.events)} never has" if elsewhere else f"no event of {heard.source!r} has"
        message = f"{self._spot.label}{of}: {whose} `{path}`"
        entry = self._report.error if needed and not elsewhere else self._report.warn
        entry(Code.UNKNOWN_PATH, self._spot.where(*at, key=key), message, heard.instead(path))
        return False


_ROOTS: Final = frozenset(field.partition(".")[0] for field in ENVELOPE_FIELDS) | {"payload"}


def quoted(text: str) -> bool:
    """Whether a text stands in typographic quotes, which then are part of it."""
    return bool(text) and (text[0] in _QUOTES or text[-1] in _QUOTES)


def _looks_like(value: Any) -> str:
    """What to write instead of a value that looks like a pattern."""
    if not isinstance(value, str):
        return ""
    if (value[:1] in _QUOTES and value[:1]) or (value[-1:] in _QUOTES and value[-1:]):
        return "write straight quotes: typographic ones are part of the text"
    if value == "*":
        return "remove the line: without it, any value passes"
    if _NEGATION.fullmatch(value):
        return "list the values that pass, or use the transform `filter` with `exclude`"
    if _REGEX.fullmatch(value):
        return "use the transform `filter`, whose `match` takes regular expressions"
    if _COMPARISON.fullmatch(value):
        return "use the transform `filter` with `jq`"
    if "*" in value:
        return "use the transform `filter` with a regular expression, such as /^feature\\//"
    return ""


def _other(value: Any, values: Values) -> str:
    """What may be there instead of `value`."""
    if isinstance(value, str) and str not in values:
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        if not isinstance(read, str | list | dict) and may_be(read, values):
            return f"write {value} without quotes"
    elif not isinstance(value, str) and str in values:
        return "put it in quotes"
    choices = list(dict.fromkeys(one for one in values if not isinstance(one, type)))
    names = [str(one) for one in choices if isinstance(one, str)]
    near = nearest_name(value, names) if isinstance(value, str) else None
    if near is not None:
        return f"did you mean `{near}`?"
    if not choices:
        kinds = {str: "text", int: "a number", float: "a number"}
        return f"it is {' or '.join(sorted({kinds.get(one, 'something else') for one in values}))}"
    return f"it is one of: {_listed(one if isinstance(one, str) else json.dumps(one) for one in choices)}"


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"{', '.join(known[:_MOST_NAMED])}{more}"


def _texts(node: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _texts(value, (*path, number))
    elif isinstance(node, str) and "{{" in node:
        yield path, node
