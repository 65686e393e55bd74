"""Reading and writing inside events: dot paths, JSON equality, values as text, `{{ }}` templates.

Data is JSON: None, bool, int, float, Decimal, str, lists (or tuples) and maps with text keys. It may be
nested deeper than Python's stack allows, so nothing here recurses into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from orgloop.core.json_text import number_text, text_of

MAX_TREE_DEPTH: Final = 100
"""How deep a tree of templates may nest. It is written by hand, unlike the data."""


class PathError(ValueError):
    """A dot path cannot be read. The message shows the path and what is wrong with it."""


class TemplateError(ValueError):
    """A template cannot be read. The message says on which line, and what to write."""


class Missing(Enum):
    """The type of MISSING."""

    MISSING = "missing"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""What a path finds where nothing is. Null is a value, and is not MISSING; test with `is`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A compiled dot path such as `payload.labels.0`.

    Each part is a key of a map; a part that is a whole number also indexes a list. A key that
    contains a dot cannot be named.
    """

    text: str
    steps: tuple[tuple[str, int | None], ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Path:
        """Compile `text`. Raises PathError if it, or one of its parts, is empty or padded with spaces."""
        parts = text.split(".")
        for part in parts:
            if not part:
                raise PathError(
                    f"{text!r} is not a path: it has an empty part; write keys joined by single dots, "
                    "such as payload.title"
                )
            if part != part.strip():
                raise PathError(f"{text!r} is not a path: remove the space around the part {part!r}")
        return cls(text=text, steps=tuple((part, _index(part)) for part in parts))

    def get(self, data: object) -> object:
        """The value at this path, or MISSING."""
        for key, index in self.steps:
            # Events are plain dicts nearly always; the abstract check costs several times as much.
            data = data.get(key, MISSING) if type(data) is dict else _child(data, key, index)
        return data

    def __str__(self) -> str:
        return self.text


def set_at(data: Mapping[str, Any], path: Path, value: object) -> dict[str, Any]:
    """A copy of `data` with `value` at `path`.

    Maps along the path are copied, everything else is shared with `data`, which stays as it was.
    A step that is missing or not a map (a list, too) becomes a map. Raises PathError if `value`
    is MISSING.
    """
    if value is MISSING:
        raise PathError(f"there is no value to set at {path}: check for MISSING first")
    root = dict(data)
    node = root
    for key, _ in path.steps[:-1]:
        child = node.get(key)
        copy = dict(child) if isinstance(child, Mapping) else {}
        node[key] = copy
        node = copy
    node[path.steps[-1][0]] = value
    return root


def same(a: object, b: object) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, true is not 1, null is only null.

    Lists compare in order, maps without it. MISSING is the same as nothing but itself.
    """
    todo: list[tuple[object, object]] = [(a, b)]
    while todo:
        left, right = todo.pop()
        if isinstance(left, str):
            if left != right:
                return False
        elif isinstance(left, bool) or isinstance(right, bool):
            if left is not right:
                return False
        elif isinstance(left, (list, tuple)):
            if not isinstance(right, (list, tuple)) or len(left) != len(right):
                return False
            todo.extend(zip(left, right, strict=True))
        elif isinstance(left, Mapping):
            if not isinstance(right, Mapping) or len(left) != len(right):
                return False
            todo.extend((value, right.get(key, MISSING)) for key, value in left.items())
        elif left != right:
            return False
    return True


def as_text(value: object, missing: str = "") -> str:
    """How a value reads inside text.

    Text stays as it is; null and MISSING read as `missing`; booleans and numbers as in JSON, with
    whole floats below 2**53 written without `.0`; lists and maps as compact JSON. A number that
    JSON has not (NaN, infinity) is null. Raises TypeError if the value is not JSON.
    """
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if value is None or value is MISSING:
        return missing
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        written = number_text(value)
        return missing if written == "null" else written
    return text_of(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """Text with `{{ path }}` placeholders, compiled.

    `parts` alternates literal text and paths, so that a caller with rules of its own for values
    (bounds, quoting) can join them itself. `paths` are the placeholders in order.
    """

    source: str
    parts: tuple[str | Path, ...] = field(repr=False, compare=False)
    paths: tuple[Path, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, source: str) -> Template:
        """Compile `source`. A placeholder is the shortest `{{ … }}` within a line; other braces are text.

        Raises TemplateError if a placeholder is empty or not a path.
        """
        parts: list[str | Path] = []
        start = at = 0
        while (close := source.find("}}", at)) >= 0:
            opening = source.rfind("{{", at, close)
            at = close + 2
            if opening < 0 or "\n" in source[opening:close]:
                continue
            if opening > start:
                parts.append(source[start:opening])
            parts.append(_placeholder(source, opening, close))
            start = at
        if start < len(source):
            parts.append(source[start:])
        paths = tuple(part for part in parts if isinstance(part, Path))
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
        if len(self.parts) == 1 and self.paths:
            found = self.paths[0].get(data)
            return missing if found is None or found is MISSING else found
        return self.render(data, missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeTemplate:
    """Maps and lists whose text values are templates, compiled. Keys are never templates."""

    root: object = field(repr=False)
    """The tree, each text value with placeholders replaced by its Template."""
    paths: tuple[Path, ...]

    @classmethod
    def parse(cls, tree: object) -> TreeTemplate:
        """Compile `tree`: JSON, at most MAX_TREE_DEPTH levels deep.

        Raises TemplateError if it is deeper, or if a text value is not a template.
        """
        paths: list[Path] = []
        root = _compiled(tree, paths, MAX_TREE_DEPTH)
        return cls(root=root, paths=tuple(paths))

    def render(self, data: object, missing: str = "") -> Any:
        """A new tree for `data`. Each text value reads as `Template.value` gives it."""
        return _rendered(self.root, data, missing)


def render_tree(tree: object, data: object, missing: str = "") -> Any:
    """`tree` rendered once. Raises as `TreeTemplate.parse`, which is for trees rendered often."""
    return TreeTemplate.parse(tree).render(data, missing)


def _index(part: str) -> int | None:
    # "01" is a key only. 18 digits exceed every list and stay below Python's limit for reading integers.
    canonical = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
    return int(part) if canonical and len(part) <= 18 else None


def _child(data: object, key: str, index: int | None) -> object:
    if isinstance(data, (list, tuple)):
        return data[index] if index is not None and index < len(data) else MISSING
    return data.get(key, MISSING) if isinstance(data, Mapping) else MISSING


def _placeholder(source: str, opening: int, close: int) -> Path:
    inner = source[opening + 2 : close].strip()
    line = source.count("\n", 0, opening) + 1
    if not inner:
        raise TemplateError(
            f"the placeholder {{{{ }}}} on line {line} is empty: write a path between the braces, "
            "such as {{ payload.title }}"
        )
    try:
        return Path.parse(inner)
    except PathError as exc:
        raise TemplateError(f"the placeholder {{{{ {inner} }}}} on line {line} is wrong: {exc}") from exc


def _compiled(tree: object, paths: list[Path], levels: int) -> object:
    if isinstance(tree, str):
        template = Template.parse(tree)
        paths.extend(template.paths)
        return tree if template.is_constant else template
    if not isinstance(tree, (list, tuple, Mapping)):
        return tree
    if levels == 0:
        raise TemplateError(f"the template is nested too deeply: keep it within {MAX_TREE_DEPTH} levels")
    if isinstance(tree, Mapping):
        return {key: _compiled(value, paths, levels - 1) for key, value in tree.items()}
    return [_compiled(value, paths, levels - 1) for value in tree]


def _rendered(node: object, data: object, missing: str) -> object:
    if isinstance(node, Template):
        return node.value(data, missing)
    if isinstance(node, dict):
        return {key: _rendered(value, data, missing) for key, value in node.items()}
    if isinstance(node, list):
        return [_rendered(value, data, missing) for value in node]
    return node
