"""Plain data as YAML text that a person would have written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.core.text.json_text import text_of

_PLAIN: Final = re.compile(
    r"(?:\.{0,2}/|--?)?[A-Za-z_](?:[\w ./*@+-]|:(?=[\w/]))*(?<! )|\$\{[A-Za-z_]\w*\}", re.ASCII
)
_SPECIAL: Final = re.compile(r"null|true|false|yes|no|on|off|y|n", re.IGNORECASE)
_FLOW_WIDTH: Final = 60


def scalar(value: Any, *, in_flow: bool = False) -> str:
    """One value on one line, quoted only if it must be; `in_flow` is inside brackets."""
    if not isinstance(value, str):
        return text_of(value)
    plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value)
    if plain and not (in_flow and ("$" in value or ":" in value)):
        return value
    return '"' + "".join(_escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    return char if char.isprintable() else f"\\U{ord(char):08x}"


def block(value: Any, indent: int = 0) -> list[str]:
    """A map or a list as lines, `indent` columns deep."""
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            lines += _entry(f"{pad}{scalar(key)}:", item, indent + 2)
    else:
        for item in value:
            inner = (
                block(item, indent + 2) if _is_deep(item) and item else _entry(f"{pad}  ", item, indent + 2)
            )
            first = inner[0][indent + 2 :] if _is_deep(item) and item else inner[0][indent + 2 :].lstrip()
            lines += [f"{pad}- {first}", *inner[1:]]
    return lines


def _entry(head: str, item: Any, indent: int) -> list[str]:
    if isinstance(item, str) and _reads_as_literal(item):
        return [
            f"{head} {_literal_mark(item)}",
            *(f"{' ' * indent}{line}".rstrip() for line in item.removesuffix("\n").split("\n")),
        ]
    flow = _flow(item)
    if flow is not None:
        return [f"{head} {flow}"]
    return [head, *block(item, indent)]


def _literal_mark(text: str) -> str:
    return "|" if text.endswith("\n") else "|-"


def _reads_as_literal(text: str) -> bool:
    lines = text.removesuffix("\n").split("\n")
    visible = all(line.isprintable() and line == line.rstrip() for line in lines)
    return len(lines) > 1 and visible and lines[0][:1] not in ("", " ") and lines[-1] != ""


def _is_deep(item: Any) -> bool:
    return isinstance(item, Mapping) or (isinstance(item, Sequence) and not isinstance(item, str))


def _flow(item: Any) -> str | None:
    """On one line, if that reads well: a scalar, something empty, a short list of short scalars."""
    if isinstance(item, Mapping):
        return None if item else "{}"
    if not _is_deep(item):
        return scalar(item)
    if any(_is_deep(one) or (isinstance(one, str) and "\n" in one) for one in item):
        return None
    line = "[" + ", ".join(scalar(one, in_flow=True) for one in item) + "]"
    return line if len(line) <= _FLOW_WIDTH or not item else None
