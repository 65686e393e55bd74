"""Templates: text, and trees of text, with `{{ path }}` placeholders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orgloop.core.events.fields import MAX_PATH, MISSING, Meant, Path, PathError, as_text, translated
from orgloop.core.events.keys import is_missing, key_text

MAX_TREE_DEPTH: Final = 100
"""How deep a tree of templates may nest. It is written by hand, unlike the data."""

_OPERAND: Final = re.compile(r'((?:[^"?]|"(?:[^"\\]|\\.)*"|\?(?!\?))*)(?:\?\?|\Z)')
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_CONSTANTS: Final[Mapping[str, bool]] = {"true": True, "false": False}
_ELSEWHERE: Final = ("||", "//", "?:", " or ")
"""What other tools write for `??`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is wrong in a text or a tree, mostly a placeholder: what to write, and where it is.

    `line` and `column` count from 1 in the text, `at` leads to the text in its tree, `written` is the
    part of the text that is wrong.
    """

    message: str
    line: int = 1
    column: int = 1
    written: str = ""
    at: tuple[str | int, ...] = ()


class TemplateError(ValueError):
    """A template cannot be read: `faults` has every placeholder that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0].message}{more}")
        self.faults = tuple(faults)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallback:
    """A placeholder with `??`: the first of `paths` that has a value, else `default`, else MISSING."""

    paths: tuple[Path, ...]
    default: object = MISSING

    def get(self, data: object) -> object:
        """The value, or MISSING. Null is no value here."""
        for path in self.paths:
            found = path.get(data)
            if found is not None and found is not MISSING:
                return found
        return self.default

    def for_key(self, data: object) -> object:
        """The value as a part of a key: the first of `paths` that is one there, else `default`."""
        return next((found for path in self.paths if not is_missing(found := path.get(data))), self.default)

    def __str__(self) -> str:
        return " ?? ".join(map(str, self.paths))


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """Text with `{{ path }}` placeholders, compiled.

    A placeholder may name what to take instead: `{{ payload.title ?? payload.name ?? "no title" }}`.
    `parts` alternates literal text and placeholders, so that a caller with rules of its own for values
    (bounds, quoting) can join them itself. `paths` are all paths in order.
    """

    source: str
    parts: tuple[str | Path | Fallback, ...] = field(repr=False, compare=False)
    paths: tuple[Path, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, source: str, meant: Meant = str) -> Template:
        """Compile `source`. A placeholder is the shortest `{{ … }}` within a line; other braces are text.

        Raises TemplateError for placeholders that are empty or not paths; `meant` as for paths.
        """
        parts: list[str | Path | Fallback] = []
        faults: list[Fault] = []
        start = at = 0
        while (close := source.find("}}", at)) >= 0:
            opening = source.rfind("{{", at, close)
            at = close + 2
            if opening < 0 or "\n" in source[opening:close]:
                continue
            if opening > start:
                parts.append(source[start:opening])
            try:
                parts.append(_placeholder(source[opening + 2 : close].strip(), meant))
            except ValueError as exc:
                faults.append(_fault(str(exc), source, opening, close))
            start = at
        if faults:
            raise TemplateError(faults)
        if start < len(source):
            parts.append(source[start:])
        paths = tuple(path for part in parts for path in _paths_of(part))
        return cls(source=source, parts=tuple(parts), paths=paths)

    @property
    def is_constant(self) -> bool:
        """Whether rendering always gives `source`."""
        return not self.paths

    def render(self, data: object, missing: str = "") -> str:
        """The text for `data`, each placeholder read as `text(value, missing)` reads it."""
        if not self.paths:
            return self.source
        return "".join(
            [part if isinstance(part, str) else as_text(part.get(data), missing) for part in self.parts]
        )

    def value(self, data: object, missing: str = "") -> object:
        """As `render`, but a template that is exactly one placeholder gives the value with its type.

        Null reads as `missing` here too.
        """
        if len(self.parts) == 1 and not isinstance(part := self.parts[0], str):
            found = part.get(data)
            return missing if found is None or found is MISSING else found
        return self.render(data, missing)

    def key(self, data: object) -> str | None:
        """The text for `data`; None if a placeholder has no value, for half a key would merge strangers."""
        values: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                values.append(part)
                continue
            found = _for_key(part, data)
            if is_missing(found):
                return None
            values.append(key_text(found))
        return "".join(values)

    def missing(self, data: object) -> list[str]:
        """The placeholders that have no value in `data` for a key."""
        return [
            str(part) for part in self.parts if not isinstance(part, str) and is_missing(_for_key(part, data))
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeTemplate:
    """Maps and lists whose text values are templates, compiled. Keys are never templates."""

    root: object = field(repr=False)
    """The tree, each text value with placeholders replaced by its Template."""
    paths: tuple[Path, ...]

    @classmethod
    def parse(cls, tree: object, meant: Meant = str) -> TreeTemplate:
        """Compile `tree`: JSON, at most MAX_TREE_DEPTH levels deep.

        Raises TemplateError if it is deeper, or for text values that are not templates.
        """
        paths: list[Path] = []
        faults: list[Fault] = []
        root = _compiled(tree, paths, faults, (), meant)
        if faults:
            raise TemplateError(faults)
        return cls(root=root, paths=tuple(paths))

    def render(self, data: object, missing: str = "") -> Any:
        """A new tree for `data`. Each text value reads as `Template.value` gives it."""
        return _rendered(self.root, data, missing)


def render_tree(tree: object, data: object, missing: str = "") -> Any:
    """`tree` rendered once. Raises as `TreeTemplate.parse`, which is for trees rendered often."""
    return TreeTemplate.parse(tree).render(data, missing)


def _for_key(part: Path | Fallback, data: object) -> object:
    return part.get(data) if isinstance(part, Path) else part.for_key(data)


def _paths_of(part: str | Path | Fallback) -> tuple[Path, ...]:
    if isinstance(part, str):
        return ()
    return (part,) if isinstance(part, Path) else part.paths


def _fault(said: str, source: str, opening: int, close: int) -> Fault:
    inner = source[opening + 2 : close].strip()
    shown = f" {inner if len(inner) <= MAX_PATH else f'{inner[:MAX_PATH]}…'} " if inner else " "
    line = source.count("\n", 0, opening) + 1
    where = f" on line {line}" if "\n" in source else ""
    return Fault(
        message=f"the placeholder {{{{{shown}}}}}{where} {said}",
        line=line,
        column=opening - source.rfind("\n", 0, opening),
        written=source[opening : close + 2],
    )


def _placeholder(inner: str, meant: Meant) -> Path | Fallback:
    """Raises ValueError, which ends the sentence on the placeholder."""
    if not inner:
        raise ValueError("is empty: write a path between the braces, such as {{ payload.title }}")
    try:
        return _read(inner, meant)
    except ValueError as exc:
        right = _right_form(inner, meant)
        said = f"write {{{{ {right} }}}}" if right and right != inner else exc
        raise ValueError(f"is wrong: {said}") from exc


def _read(inner: str, meant: Meant) -> Path | Fallback:
    """Raises PathError, or ValueError for a default that is none."""
    if "??" not in inner:
        return Path.parse(inner, meant)
    first, *others = [operand.strip() for operand in _operands(inner)]
    paths, default = [Path.parse(first, meant)], MISSING
    for number, operand in enumerate(others, 1):
        value = _literal(operand)
        if value is MISSING:
            paths.append(Path.parse(operand, meant))
        elif number < len(others):
            raise PathError(f"nothing follows a default: remove the text behind {operand}")
        else:
            default = value
    return Fallback(paths=tuple(paths), default=default)


def _operands(inner: str) -> Iterable[str]:
    if '"' not in inner:
        return inner.split("??")
    found, at = [], 0
    while match := _OPERAND.match(inner, at):
        found.append(match[1])
        if match.end() == len(inner) and not match[0].endswith("??"):
            return found
        at = match.end()
    raise PathError("a quote is not closed: write the default in double quotes")


def _literal(operand: str) -> Any:
    """The value of text in double quotes, a number, true or false; else MISSING."""
    if _TEXT.fullmatch(operand) or _NUMBER.fullmatch(operand):
        return json.loads(operand)
    return _CONSTANTS.get(operand, MISSING)


def _right_form(inner: str, meant: Meant) -> str | None:
    """What a placeholder in another tool's syntax would be here; None if that cannot be told."""
    if len(inner) > MAX_PATH:
        return None
    head, bar, filter = inner.partition("|")
    name, argument = filter.strip()[:7], filter.strip()[7:].strip()
    if bar and name == "default":
        operands = [head, argument.strip("():").partition(", true")[0]]
    else:
        sign = next((one for one in ("??", *_ELSEWHERE) if one in inner), None)
        operands = inner.split(sign) if sign else [inner]
    forms = [_operand(operand.strip(), meant, first=not number) for number, operand in enumerate(operands)]
    return " ?? ".join(form for form in forms if form) if forms and all(forms) else None


def _operand(text: str, meant: Meant, *, first: bool) -> str | None:
    if not first:
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            return json.dumps(text[1:-1], ensure_ascii=False)
        if _literal(text) is not MISSING:
            return text
    with suppress(PathError):
        return meant(Path.parse(text).text)
    right = translated(text)
    with suppress(PathError):
        return None if right is None else meant(right)
    return None


def _compiled(
    tree: object, paths: list[Path], faults: list[Fault], at: tuple[str | int, ...], meant: Meant
) -> object:
    if isinstance(tree, str):
        try:
            template = Template.parse(tree, meant)
        except TemplateError as exc:
            faults += [replace(fault, at=at) for fault in exc.faults]
            return tree
        paths.extend(template.paths)
        return tree if template.is_constant else template
    if not isinstance(tree, (list, tuple, Mapping)):
        return tree
    if len(at) == MAX_TREE_DEPTH:
        message = f"the template nests too deep: keep it within {MAX_TREE_DEPTH} levels"
        raise TemplateError([Fault(message=message)])
    if isinstance(tree, Mapping):
        return {key: _compiled(value, paths, faults, (*at, key), meant) for key, value in tree.items()}
    return [_compiled(value, paths, faults, (*at, number), meant) for number, value in enumerate(tree)]


def _rendered(node: object, data: object, missing: str) -> object:
    if isinstance(node, Template):
        return node.value(data, missing)
    if isinstance(node, dict):
        return {key: _rendered(value, data, missing) for key, value in node.items()}
    if isinstance(node, list):
        return [_rendered(value, data, missing) for value in node]
    return node
