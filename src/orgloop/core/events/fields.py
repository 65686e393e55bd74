"""Reading and writing inside events: dot paths, JSON equality, values as text.

Data is JSON: None, bool, int, float, Decimal, str, lists (or tuples) and maps with text keys. It may be
nested deeper than Python's stack allows, so nothing here recurses into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from orgloop.core.events.event import ENVELOPE
from orgloop.core.text.json_text import number_text, text_of

MAX_PATH: Final = 1_000
"""Characters of a wrong path, or of one placeholder, up to which its right form is looked for."""

_PLAIN_KEY: Final = r"""[^\s."'`\[\]{}()|*?,;=!<>&\\]+"""
_QUOTED_KEY: Final = r'"(?:[^"\\]|\\["\\])+"'
_PLAIN_PATH: Final = re.compile(rf"{_PLAIN_KEY}(?:\.{_PLAIN_KEY})*")
_KEY: Final = re.compile(rf"({_PLAIN_KEY})|({_QUOTED_KEY})")
_ESCAPE: Final = re.compile(r'\\(["\\])')
_INDEX: Final = re.compile(r"\[ ?([0-9]+) ?\]")
_SUBSCRIPT: Final = re.compile(r"""\[ ?(?:"([^"\]]+)"|'([^'\]]+)') ?\]""")
_WRAPPINGS: Final = (
    ("${{", "}}"),
    ("{{", "}}"),
    ("#{", "}"),
    ("${", "}"),
    ("{", "}"),
    ("(", ")"),
    ("<", ">"),
)
_ROOT: Final = re.compile(rf"(?:[$@]\.?)?(event(?:\.|/|::?))?(?:{'|'.join(ENVELOPE)})(\.|/|::?|\Z)")
_PLAIN: Final = re.compile(_PLAIN_KEY)
_DOTTED: Final = re.compile(rf"(?:\.|{_PLAIN_KEY})*+")
_WORDS: Final = re.compile(r"[\w-]+(?: [\w-]+)+")
_OPERATOR: Final = re.compile(r"\b(?:and|default|else|if|in|is|not|or)\b")
_SHOWN: Final = 80
_EXAMPLE: Final = "payload.title"


class PathError(ValueError):
    """A dot path cannot be read. The message shows the path and what is wrong with it."""


class Missing(Enum):
    """The type of MISSING."""

    MISSING = "missing"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""What a path finds where nothing is. Null is a value, and is not MISSING; test with `is`."""

Meant = Callable[[str], str]
"""Which path a well-formed one means at some place: nearly always itself. May raise PathError."""


def in_event(text: str) -> str:
    """Of a path in an event: without `event.` in front, and with dots where another sign parts its keys."""
    root = _ROOT.match(text)
    if root is None:
        return text
    text = text.lstrip("$@").removeprefix(".")
    if not {root[1], root[2]} <= {None, "event.", ".", ""} and '"' not in text:
        text = text.replace("::", ".").replace(":", ".").replace("/", ".")
    return text.removeprefix("event.") if root[1] else text


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A compiled dot path such as `payload.labels.0` or `payload."a.b".name`.

    Each part is a key of a map; a part that is a whole number also indexes a list. A key with dots,
    spaces, brackets or the like stands in double quotes, in which `\\"` and `\\\\` mean what they do in JSON.
    """

    text: str
    steps: tuple[tuple[str, int | None], ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, meant: Meant = str) -> Path:
        """Compile `text`. Raises PathError, which names the right form of what other tools write.

        `meant` knows what stands at this place; it is an error, too, if that is another path.
        """
        if _PLAIN_PATH.fullmatch(text) and not text.startswith(("$.", "/")):
            steps = tuple((part, _index(part)) for part in text.split("."))
        elif (quoted := _quoted_steps(text)) is not None:
            steps = quoted
        else:
            raise _not_a_path(text, meant)
        if (right := meant(text)) != text:
            raise PathError(f"{_shown(text)} is not a path here: write {right}")
        return cls(text=text, steps=steps)

    def get(self, data: object) -> object:
        """The value at this path, or MISSING."""
        for key, index in self.steps:
            # Events are plain dicts nearly always; the abstract check takes 3.7 times as long
            # (`python -m bench techniques`).
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


def _quoted_steps(text: str) -> tuple[tuple[str, int | None], ...] | None:
    """The steps of a path that has keys in quotes; None if it is not a path."""
    steps: list[tuple[str, int | None]] = []
    at = 0
    while not text.startswith(("$.", "/")) and (found := _KEY.match(text, at)):
        plain, quoted = found.groups()
        steps.append((plain, _index(plain)) if plain else (_ESCAPE.sub(r"\1", quoted[1:-1]), None))
        at = found.end()
        if at == len(text):
            return tuple(steps)
        if text[at] != ".":
            return None
        at += 1
    return None


def _not_a_path(text: str, meant: Meant) -> PathError:
    """What is wrong, with the right form if it can be told."""
    shown, right = _shown(text), translated(text)
    if right is not None:
        right = meant(right)
    if not all(text.split(".")) and _DOTTED.fullmatch(text):
        return PathError(f"{shown} is not a path, because it has an empty part: write {right or _EXAMPLE}")
    if right is not None and text.strip().startswith("{{"):
        return PathError(f"{shown} is a placeholder, but this key takes a path: write {right} without braces")
    if right is not None:
        return PathError(f"{shown} is not a path: write {right}")
    if "{{" in text:
        return PathError(
            f"{shown} is a template, but this key takes one path: write {_EXAMPLE} without braces"
        )
    if any(sign in text for sign in ("*", "[]", "[:")):
        return PathError(
            f"{shown} is not a path, which names one value: write the number of one, such as "
            "payload.labels.0, or use a filter with jq"
        )
    if "[-" in text:
        return PathError(
            f"{shown} is not a path: write payload.labels.0 for the first entry, because lists count from 0"
        )
    if any(sign in text for sign in "|=<>!?&(+;,"):
        return PathError(
            f"{shown} is not a path, which has no operators: write keys joined by dots, such as {_EXAMPLE}"
        )
    return PathError(
        f"{shown} is not a path: write keys joined by dots, such as {_EXAMPLE}; a key with other "
        'characters stands in double quotes, such as payload."a b"'
    )


def translated(text: str) -> str | None:
    """The path that text in another tool's syntax means; None if that cannot be told.

    Known are JSONPath, JSON Pointer, jq, JavaScript, and placeholders of several tools: `$.payload.x`,
    `/payload/x`, `.payload.x`, `payload?.items[0]["a b"]`, `payload->x`, `${{ payload.x }}`.
    """
    if len(text) > MAX_PATH:
        return None
    found = _unwrapped(text.strip())
    if found.startswith("/"):
        found = found.strip("/").replace("/", ".")
    if found.startswith(("$.", "$[", "@.", "@[")):
        found = found[1:]
    found = _INDEX.sub(r".\1", found.replace("?.", ".").replace("->", ".").removesuffix("?"))
    found = _SUBSCRIPT.sub(lambda key: f".{quoted_key(key[1] or key[2])}", found)
    if '"' not in found:
        parts = [part.strip() for part in found.split(".")]
        if any(_OPERATOR.search(part) for part in parts):
            return None
        found = ".".join(quoted_key(part) if _WORDS.fullmatch(part) else part for part in parts if part)
    found = found.strip(".")
    is_path = _PLAIN_PATH.fullmatch(found) or _quoted_steps(found)
    return found if is_path and found != text else None


def _unwrapped(text: str) -> str:
    """Without quotes or braces around it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`":
        return text[1:-1].strip()
    for opening, closing in _WRAPPINGS:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening + closing):
            return text[len(opening) : -len(closing)].strip()
    return text


def quoted_key(key: str) -> str:
    """A key as it stands in a path: in quotes if it must."""
    if _PLAIN.fullmatch(key):
        return key
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _index(part: str) -> int | None:
    # "01" is a key only. 18 digits exceed every list and stay below Python's limit for reading integers.
    canonical = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
    return int(part) if canonical and len(part) <= 18 else None


def _child(data: object, key: str, index: int | None) -> object:
    if isinstance(data, (list, tuple)):
        return data[index] if index is not None and index < len(data) else MISSING
    return data.get(key, MISSING) if isinstance(data, Mapping) else MISSING
