"""YAML text as plain JSON-like data, with the place of every key and value.

YAML 1.2: `yes`, `no`, `on` and `off` are text, and so are dates. Keys are text, written as they
stand. One document per file, merge keys and anchors included; a key may appear once per map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orgloop.config.findings import Code
from orgloop.config.reading.positions import Place, Places, end_of, line_and_column, place, place_of
from orgloop.config.reading.yaml_errors import complaint
from orgloop.config.reading.yaml_scalars import CORE_TAG, ScalarError, UnknownTag, plain, tagged

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 100
"""How deep maps and lists may nest: as deep as a tree of templates."""

MAX_COPIED: Final = 100_000
"""How many values aliases and merge keys may add to a file. A few lines of them can mean billions."""

_COLON_IN_FLOW: Final = "found unexpected ':'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong in a file."""

    code: Code
    message: str
    place: Place
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedFile:
    """One file. `data` is None if it is empty, or if a problem kept it from being read."""

    data: Any = None
    places: Places = field(default_factory=lambda: Places(0, {}, []))
    problems: tuple[Problem, ...] = ()
    end: Place = 0

    def find(self, path: Iterable[str | int], *, key: bool = False) -> Place:
        """The place of the value at `path`, or of its key; of the nearest thing around it that exists."""
        # What is empty at the end of the text stands in a line after it, for the parser.
        return min(self.places.find(path, key=key), self.end)


def parse(content: bytes) -> ParsedFile:
    """Read one file. Never raises: what is wrong is in `problems`, and reading goes on where it can."""
    if len(content) > MAX_BYTES:
        return _failed(Code.YAML_SIZE, f"the file is larger than {MAX_BYTES // 1024**2} MB", 0, "split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = content[: exc.start].decode("utf-8-sig", "replace")
        return _failed(Code.YAML_ENCODING, "the file is not UTF-8", end_of(before), "save it as UTF-8")
    end = end_of(text)
    builder, failure = _built(text, pure=False)
    if isinstance(failure, MarkedYAMLError) and failure.problem == _COLON_IN_FLOW:
        # The fast parser reads YAML 1.1, in which `{url: https://…}` must be quoted. The other one takes
        # ten times as long.
        builder, failure = _built(text, pure=True)
    if isinstance(failure, YAMLError):
        message, at, hint = complaint(failure, text)
        builder.problems.append(Problem(code=Code.YAML_SYNTAX, message=message, place=at, hint=hint))
    problems = tuple(replace(one, place=min(one.place, end)) for one in builder.problems)
    if failure is not None:
        return ParsedFile(problems=problems)
    root = builder.root_place
    places = root if isinstance(root, Places) else Places(root, {}, [])
    return ParsedFile(data=builder.root, places=places, problems=problems, end=end)


def _built(text: str, *, pure: bool) -> tuple[_Builder, YAMLError | _Stopped | None]:
    """What the text says, as far as it can be read, and what kept it from being read to its end."""
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=pure).parse(text):
            builder.take(event)
    except (_Stopped, YAMLError) as exc:
        return builder, exc
    return builder, None


def _failed(code: Code, message: str, place: Place, hint: str) -> ParsedFile:
    return ParsedFile(problems=(Problem(code=code, message=message, place=place, hint=hint),))


class _Stopped(Exception):
    """Reading cannot go on; the last problem says why."""


_NO_KEY: Final = object()
_DROPPED: Final = object()
_MERGE: Final = object()
_BAD_KEY: Final = object()


@dataclass(slots=True)
class _Open:
    """A map or list that is being read. `key` is the key whose value comes next, or says that a key does."""

    data: Any
    places: Places
    anchor: str | None
    is_map: bool
    key: Any = _NO_KEY
    merges: tuple[tuple[Any, Places | Place], ...] = ()
    broken: bool = False


class _Builder:
    """Builds data and places from the parser's events, without recursion: the text may nest very deeply."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.root: Any = None
        self.root_place: Places | Place = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Places | Place]] = {}
        self._documents = 0
        self._copied = 0
        self._takes: dict[type, Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._open_map,
            SequenceStartEvent: self._open_list,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
            DocumentStartEvent: self._document,
        }

    def take(self, event: Any) -> None:
        """One event of the parser."""
        take = self._takes.get(type(event))
        if take is not None:
            take(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents == 2:
            hint = "move the part after `---` into its own file"
            self._stop(Code.YAML_DOCUMENTS, "a file holds one document", _place(event), hint)

    def _scalar(self, event: Any) -> None:
        at = _place(event)
        text: str = event.value
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is _NO_KEY and top.is_map:
            value: Any = text
            self._key(top, text, at, merges=text == "<<" and event.implicit[0])
        else:
            value = self._value(event, text, at)
            self._add(value, at)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, at)

    def _key(self, top: _Open, name: str, at: Place, *, merges: bool) -> None:
        keys = top.places.keys
        if merges:
            top.key = _MERGE
            if top.merges:
                self._complain(Code.DUPLICATE_KEY, "`<<` occurs twice in one map", at, "write `<<: [*a, *b]`")
        elif name in keys:
            line, column = line_and_column(keys[name])
            message = f"`{name}` occurs twice in one map; first in line {line}, column {column}"
            self._complain(Code.DUPLICATE_KEY, message, at, "remove one of them")
            top.key = _DROPPED
        else:
            top.key = name
            keys[name] = at

    def _value(self, event: Any, text: str, at: Place) -> Any:
        tag: str | None = event.tag
        if tag is None and not event.implicit[0]:
            return text
        try:
            return plain(text) if tag is None else tagged(tag, text)
        except UnknownTag:
            self._bad_tag(str(tag), at)
        except ScalarError as exc:
            self._complain(Code.YAML_NUMBER, str(exc), at, "put it in quotes if it is text")
        return text

    def _open_map(self, event: Any) -> None:
        items: dict[str, Places | Place] = {}
        self._push(event, _Open({}, Places(_place(event), {}, items), event.anchor, is_map=True), "map")

    def _open_list(self, event: Any) -> None:
        items: list[Places | Place] = []
        self._push(event, _Open([], Places(_place(event), {}, items), event.anchor, is_map=False), "seq")

    def _push(self, event: Any, opened: _Open, tag: str) -> None:
        at = opened.places.at
        if event.tag is not None and event.tag not in ("!", CORE_TAG + tag):
            self._bad_tag(event.tag, at)
        if len(self._stack) == MAX_DEPTH:
            self._stop(Code.YAML_DEPTH, f"nested more than {MAX_DEPTH} levels deep", at, "flatten it")
        top = self._stack[-1] if self._stack else None
        if top is not None and top.is_map and top.key is _NO_KEY:
            self._bad_key(top, at)
            top.key = _BAD_KEY
        self._stack.append(opened)

    def _close(self, _: Any) -> None:
        done = self._stack.pop()
        for value, places in done.merges:
            self._merge(done, value, places)
        if done.broken:
            self._drop()
            return
        self._add(done.data, done.places)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.data, done.places)

    def _alias(self, event: Any) -> None:
        at = _place(event)
        top = self._stack[-1] if self._stack else None
        wants_key = top is not None and top.is_map and top.key is _NO_KEY
        value, places = self._anchored(event.anchor, at)
        if top is not None and wants_key:
            if isinstance(value, str):
                self._key(top, value, at, merges=False)
            else:
                self._bad_key(top, at)
                top.key = _DROPPED
            return
        self._copied += places.size if isinstance(places, Places) else 1
        if self._copied > MAX_COPIED:
            message = f"aliases add more than {MAX_COPIED:,} values to this file"
            self._stop(Code.YAML_ALIAS, message, at, "write out what they stand for")
        self._add(value, places if isinstance(places, Places) else at)

    def _anchored(self, name: str, at: Place) -> tuple[Any, Places | Place]:
        if any(opened.anchor == name for opened in self._stack):
            self._complain(
                Code.YAML_ALIAS, f"`*{name}` contains itself", at, "write out what it should stand for"
            )
        elif name in self._anchors:
            return self._anchors[name]
        else:
            self._complain(
                Code.YAML_ALIAS,
                f"`*{name}` has no anchor `&{name}` before it",
                at,
                f"add `&{name}`, or quote the text",
            )
        return None, at

    def _add(self, value: Any, places: Places | Place) -> None:
        if not self._stack:
            self.root, self.root_place = value, places
            return
        top = self._stack[-1]
        top.places.size += places.size if isinstance(places, Places) else 1
        if not top.is_map:
            top.data.append(value)
            top.places.items.append(places)
            return
        key, top.key = top.key, _NO_KEY
        if key is _BAD_KEY:
            top.key = _DROPPED
        elif key is _MERGE:
            top.merges = (*top.merges, (value, places))
        elif key is not _DROPPED:
            top.data[key] = value
            top.places.items[key] = places

    def _drop(self) -> None:
        """Go on as if the value that just ended were not there."""
        if self._stack and self._stack[-1].is_map:
            top = self._stack[-1]
            top.key = _DROPPED if top.key is _BAD_KEY else _NO_KEY

    def _merge(self, into: _Open, value: Any, places: Places | Place) -> None:
        if isinstance(value, list) and isinstance(places, Places):
            for item, at in zip(value, places.items, strict=True):
                self._merge(into, item, at)
            return
        if not isinstance(value, dict) or not isinstance(places, Places):
            self._complain(
                Code.YAML_ALIAS, "`<<` takes a map or a list of maps", place_of(places), "write `<<: *name`"
            )
            return
        for key, item in value.items():
            if key not in into.data:
                into.data[key] = item
                into.places.keys[key] = places.keys[key]
                into.places.items[key] = places.items[key]

    def _bad_key(self, top: _Open, at: Place) -> None:
        hint = 'put text that begins with a brace or a bracket in quotes, such as "{{ payload.title }}"'
        self._complain(Code.YAML_KEY, "a key must be text, not a map or a list", at, hint)
        top.broken = True

    def _bad_tag(self, tag: str, at: Place) -> None:
        shown = "!!" + tag.removeprefix(CORE_TAG) if tag.startswith(CORE_TAG) else tag
        self._complain(
            Code.YAML_TAG,
            f"the tag `{shown}` is not supported",
            at,
            "remove it; a value's type follows from how it is written",
        )

    def _complain(self, code: Code, message: str, at: Place, hint: str) -> None:
        self.problems.append(Problem(code=code, message=message, place=at, hint=hint))

    def _stop(self, code: Code, message: str, at: Place, hint: str) -> NoReturn:
        self._complain(code, message, at, hint)
        raise _Stopped


def _place(event: Any) -> Place:
    mark = event.start_mark
    return place(mark.line, mark.column)
