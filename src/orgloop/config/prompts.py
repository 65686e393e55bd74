"""The prompt files that routes name: found, read once, doubted where they will not do what they seem to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orgloop.config.documents import Spot
from orgloop.config.findings import Code, Report, Where, advised
from orgloop.config.paths import find_file, neighbour, reason, shown
from orgloop.config.places import line_and_column
from orgloop.config.sop import Placeholder, SopFacts, inspect


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
            self.facts[path] = _read(path)
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
        hint = "create it, or correct the path; it is looked for beside this file, then beside orgloop.yaml"
        self._report.error(Code.MISSING_SOP, spot.where("with", "prompt_file"), message, near or hint)

    def _doubt(self, facts: SopFacts, file: str) -> None:
        if facts.lost is not None:
            line, column = line_and_column(facts.lost.place)
            message = f"the front matter has no effect: {facts.lost.message}"
            place = Where(file=file, line=line, column=column)
            self._report.warn(Code.FRONT_MATTER, place, message, facts.lost.hint)
        elif facts.first_placeholder is not None and not facts.rendered:
            message = "the placeholder {{ }} stays as it is: prompt files are not rendered unless they say so"
            hint = "begin the file with front matter that says `render: true`"
            place = Where(file=file, line=facts.first_placeholder, column=1)
            self._report.warn(Code.UNRENDERED_SOP, place, message, hint)


def _read(path: Path) -> SopFacts | str:
    try:
        return inspect(path)
    except (OSError, ValueError) as exc:
        return reason(exc)
