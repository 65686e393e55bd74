"""Prompt files: their front matter, and whether they are fit for a wake."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orgloop.config.findings import Code
from orgloop.config.paths import read_file
from orgloop.config.yaml import ParsedFile, Problem, parse
from orgloop.core.fields import Path as FieldPath
from orgloop.core.fields import in_event
from orgloop.core.templates import Fallback, Fault, Template, TemplateError

_FRONT_MATTER: Final = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


MAX_BYTES: Final = 1024 * 1024
"""Bytes of a prompt file: far more than an agent reads with care."""


_PLACEHOLDER: Final = re.compile(r"\{\{(?:(?!\{\{|\}\})[^\n])*+\}\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """One placeholder of a prompt file that is rendered, and where it is in the file, from 1."""

    part: FieldPath | Fallback
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SopFacts:
    """A prompt file. `hash` is its SHA-256, `rendered` what its front matter says.

    `first_placeholder` is the line of the first `{{` after the front matter, `lost` why the front matter
    means nothing, if it cannot be read. Of a file that is rendered, `placeholders` are those that can be
    filled in, `faults` the others; their lines are those of the file.
    """

    hash: str
    rendered: bool
    first_placeholder: int | None
    lost: Problem | None
    placeholders: Sequence[Placeholder] = ()
    faults: Sequence[Fault] = ()


def split(text: str) -> tuple[Mapping[str, Any], str]:
    """Front matter and body of a prompt file. Front matter that is no map has no meaning, and is left out."""
    meta, body = _parts(text)
    return meta.data if isinstance(meta.data, dict) else {}, body


def _parts(text: str) -> tuple[ParsedFile, str]:
    front = _FRONT_MATTER.match(text)
    if front is None:
        return ParsedFile(), text.removeprefix("\ufeff")
    # The empty line stands for the dashes, so that places are those in the file.
    meta = parse(("\n" + front.group(1)).encode())
    if not isinstance(meta.data, dict | None):
        no_map = Problem(
            code=Code.FRONT_MATTER,
            message="it is not a map of keys and values",
            place=meta.find(()),
            hint="write a map, such as `render: true`",
        )
        meta = replace(meta, problems=(no_map,))
    return meta, text[front.end() :]


def renders(meta: Mapping[str, Any]) -> bool:
    """Whether a prompt file with this front matter wants its placeholders filled in."""
    return meta.get("render") is True


def read(path: Path) -> bytes:
    """A prompt file as it is. Raises OSError, or ValueError if it is too large."""
    content = read_file(path, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1024**2} MB")
    return content


def inspect(path: Path) -> SopFacts:
    """Read a prompt file. Raises OSError, or ValueError if it is too large or not UTF-8."""
    content = read(path)
    text = content.decode("utf-8")
    meta, body = _parts(text)
    at = text.find("{{", len(text) - len(body))
    rendered = isinstance(meta.data, dict) and renders(meta.data)
    placeholders, faults = _placeholders(body, text) if rendered else ([], [])
    return SopFacts(
        hash=hashlib.sha256(content).hexdigest(),
        rendered=rendered,
        first_placeholder=text.count("\n", 0, at) + 1 if at >= 0 else None,
        lost=None if isinstance(meta.data, dict) else next(iter(meta.problems), None),
        placeholders=placeholders,
        faults=faults,
    )


def _placeholders(body: str, text: str) -> tuple[list[Placeholder], list[Fault]]:
    """The placeholders of a prompt file that can be filled in, and what is wrong with the others."""
    found: list[Placeholder] = []
    faults: list[Fault] = []
    line, begin = text.count("\n", 0, len(text) - len(body)) + 1, 0
    for one in _PLACEHOLDER.finditer(body):
        line += body.count("\n", begin, one.start())
        begin = one.start()
        column = begin - body.rfind("\n", 0, begin)
        try:
            parts = Template.parse(one[0], in_event).parts
        except TemplateError as exc:
            faults += [replace(fault, line=line, column=column) for fault in exc.faults]
            continue
        found += [
            Placeholder(part=part, line=line, column=column) for part in parts if not isinstance(part, str)
        ]
    return found, faults
