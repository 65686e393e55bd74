"""Prompt files: found by the routes that name them, read once, and checked with their front matter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orgloop.config.findings import Code, Report, Where, advised
from orgloop.config.reading.documents import Spot
from orgloop.config.reading.paths import find_file, neighbour, read_file, reason, shown
from orgloop.config.reading.positions import line_and_column
from orgloop.config.reading.yaml import ParsedFile, Problem, parse
from orgloop.core.events.fields import Path as FieldPath
from orgloop.core.events.fields import in_event
from orgloop.core.events.templates import Fallback, Fault, Template, TemplateError

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


class Prompts:
    """Finds the prompt files of routes. `facts` has all that were read, or why one could not be."""

    def __init__(self, root: Path, report: Report) -> None:
        self._root = root
        self._report = report
        self._paths: dict[tuple[str, Path], Path] = {}
        self.facts: dict[Path, SopFacts | str] = {}

    def placeholders(self, path: Path | None) -> Sequence[Placeholder]:
        """Those of a prompt file that `find` gave."""
        facts = self.facts.get(path) if path is not None else None
        return facts.placeholders if isinstance(facts, SopFacts) else ()

    def find(self, text: str, spot: Spot) -> Path | None:
        """The file that `with.prompt_file` of a route names; None if it names none, or after a finding."""
        if not text or spot.lacks_variable("with", "prompt_file"):
            return None
        try:
            path = self._path(text, spot.folder)
        except ValueError as exc:
            self._missing(text, reason(exc), "", spot)
            return None
        if path not in self.facts:
            self.facts[path] = _inspected(path)
        facts = self.facts[path]
        if isinstance(facts, str):
            self._missing(text, facts, neighbour(path) or neighbour(self._root / text), spot)
            return None
        file = shown(path, self._root)
        self._doubt(facts, file)
        for fault in facts.faults:
            said, hint = advised(fault.message, "correct the placeholder")
            where = Where(file=file, line=fault.line, column=fault.column)
            self._report.error(Code.BAD_TEMPLATE, where, said, hint)
        return None if facts.faults else path

    def _path(self, text: str, folder: Path) -> Path:
        if (text, folder) not in self._paths:
            self._paths[text, folder] = find_file(text, folder, self._root)
        return self._paths[text, folder]

    def _missing(self, text: str, why: str, near: str, spot: Spot) -> None:
        message = f"{spot.label}: its prompt file {text} cannot be read: {why}"
        hint = "create it, or correct the path; it is looked up beside this file, then beside orgloop.yaml"
        self._report.error(Code.MISSING_SOP, spot.where("with", "prompt_file"), message, near or hint)

    def _doubt(self, facts: SopFacts, file: str) -> None:
        if facts.lost is not None:
            line, column = line_and_column(facts.lost.place)
            message = f"the front matter has no effect: {facts.lost.message}"
            place = Where(file=file, line=line, column=column)
            self._report.warn(Code.FRONT_MATTER, place, message, facts.lost.hint)
        elif facts.first_placeholder is not None and not facts.rendered:
            message = "the placeholder {{ }} is not filled in, because the file has no `render: true`"
            hint = "add front matter with `render: true` at the beginning of the file"
            place = Where(file=file, line=facts.first_placeholder, column=1)
            self._report.warn(Code.UNRENDERED_SOP, place, message, hint)


def _inspected(path: Path) -> SopFacts | str:
    try:
        return inspect(path)
    except (OSError, ValueError) as exc:
        return reason(exc)
