"""Every file of a project, and every source, actor, transform, route and logger in them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from orgloop.config.findings import Code, Report, Where
from orgloop.config.reading.documents import Document, Spot, read_document
from orgloop.config.reading.env import Variables
from orgloop.config.reading.paths import find_file, neighbour, reason, shown, yaml_files
from orgloop.config.reading.validation import read_part
from orgloop.config.schema import models as schema
from orgloop.config.schema.limits import ConfigPart

_P = TypeVar("_P", bound=ConfigPart)

_MODELS: Final[dict[str, type[ConfigPart]]] = {
    "sources": schema.SourceConfig,
    "actors": schema.ActorConfig,
    "transforms": schema.TransformConfig,
    "routes": schema.RouteConfig,
    "loggers": schema.LoggerConfig,
}
_FILES_OF: Final = {
    "connectors": "ConnectorGroup",
    "sources": "ConnectorGroup",
    "actors": "ConnectorGroup",
    "transforms": "TransformGroup",
    "routes": "RouteGroup",
    "loggers": "LoggerGroup",
}
_SECTIONS: Final = {
    "ConnectorGroup": ("sources", "actors"),
    "TransformGroup": ("transforms",),
    "RouteGroup": ("routes",),
    "LoggerGroup": ("loggers",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Generic[_P]):
    """One thing of a project, and where it stands."""

    name: str
    part: _P
    spot: Spot


@dataclass(kw_only=True, slots=True)
class Collected:
    """All that a project's files say. `incomplete` are sections of which some file could not be read."""

    root: Path
    project: Entry[schema.Project] | None = None
    sources: list[Entry[schema.SourceConfig]] = field(default_factory=list)
    actors: list[Entry[schema.ActorConfig]] = field(default_factory=list)
    transforms: list[Entry[schema.TransformConfig]] = field(default_factory=list)
    routes: list[Entry[schema.RouteConfig]] = field(default_factory=list)
    loggers: list[Entry[schema.LoggerConfig]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    incomplete: set[str] = field(default_factory=set)


class Collector:
    """Reads orgloop.yaml, the files that it names, and the routes directory."""

    def __init__(self, root: Path, variables: Variables, report: Report) -> None:
        self.found = Collected(root=root)
        self._variables = variables
        self._report = report
        self._read: set[str] = set()

    def collect(self, file: Path) -> Collected:
        """Everything, from orgloop.yaml on. Raises OSError if that one file cannot be read."""
        document = self._document(file)
        spot = Spot(document=document, at=(), label="the project") if document else None
        part = self._project(spot) if spot else None
        if spot is None or part is None:
            self.found.incomplete.update(_MODELS)
        else:
            self.found.project = Entry(name="", part=part, spot=spot)
            for section in ("connectors", *_MODELS):
                self._listed(section, getattr(part, section) or [], spot)
        folder = self.found.root / "routes"
        for path in yaml_files(folder, self._unreadable) if os.path.lexists(folder) else ():
            if os.path.realpath(path) not in self._read:
                self._group(path, "RouteGroup", Where(file=shown(path, self.found.root)))
        return self.found

    def _project(self, spot: Spot) -> schema.Project | None:
        if spot.raw != {}:
            return self._head(schema.Project, "Project", spot)
        # A failed redirect or save leaves such a file. As a project it would take away all that runs.
        message = f"{spot.document.shown} is empty"
        hint = "restore its content, or remove it and type `orgloop init` to begin anew"
        self._report.error(Code.EMPTY_PROJECT, spot.where(), message, hint)
        return None

    def _unreadable(self, exc: OSError) -> None:
        name = shown(Path(exc.filename), self.found.root)
        self._missing(name, "RouteGroup", Where(file=name), exc, "make it a directory that can be read")

    def _document(self, file: Path) -> Document | None:
        self._read.add(os.path.realpath(file))
        self.found.files.append(file)
        document = read_document(file, shown(file, self.found.root), self._variables, self._report)
        if document is not None:
            self.found.documents.append(document)
        return document

    def _head(self, model: type[_P], kind: str, spot: Spot) -> _P | None:
        """A file's top level; its `kind` and `apiVersion` are looked at here."""
        part = read_part(model, spot, self._report)
        for section, group in _FILES_OF.items():
            if not isinstance(spot.get(section), list | None):
                self.found.incomplete.update(_SECTIONS[group])
        kind_in_file, version = spot.get("kind"), spot.get("apiVersion")
        if isinstance(kind_in_file, str) and kind_in_file != kind:
            message = f"this file should be of kind {kind}, not {kind_in_file}"
            hint = "list it under the section of its kind, or correct `kind:`"
            self._report.error(Code.WRONG_KIND, spot.where("kind"), message, hint)
        if isinstance(version, str) and version != schema.API_VERSION:
            message = f"`apiVersion: {version}` is not known; the file is read as {schema.API_VERSION}"
            hint = f"write {schema.API_VERSION}"
            self._report.warn(Code.API_VERSION, spot.where("apiVersion"), message, hint)
        return part

    def _listed(self, section: str, entries: list[Any], spot: Spot) -> None:
        """A list in orgloop.yaml: things, and paths of files that hold them."""
        for number, entry in enumerate(entries):
            where = spot.where(section, number)
            if spot.lacks_variable(section, number) and isinstance(entry, str):
                self.found.incomplete.update(_SECTIONS[_FILES_OF[section]])
            elif isinstance(entry, str):
                self._named(entry, _FILES_OF[section], where)
            elif section != "connectors":
                self._entry(section, spot, (section, number))
            elif isinstance(entry, dict) and ("sources" in entry or "actors" in entry):
                inner = Spot(document=spot.document, at=(section, number), label="the connectors")
                self._sections("ConnectorGroup", inner)
            else:
                hint = "name a file here, or list the thing itself under `sources:` or `actors:`"
                self._report.error(Code.WRONG_TYPE, where, "`connectors` lists files", hint)

    def _named(self, text: str, kind: str, where: Where) -> None:
        try:
            path = find_file(text, self.found.root)
        except ValueError as exc:
            self._missing(text, kind, where, exc, "name a file")
            return
        if os.path.realpath(path) in self._read:
            message = f"{text} is listed twice; it is read once"
            self._report.warn(Code.DUPLICATE_FILE, where, message, "remove one of the lines")
            return
        self._group(path, kind, where, text)

    def _group(self, path: Path, kind: str, where: Where, text: str | None = None) -> None:
        try:
            document = self._document(path)
        except (OSError, ValueError) as exc:
            self.found.files.remove(path)
            name = text or shown(path, self.found.root)
            hint = "name the files in it" if isinstance(exc, IsADirectoryError) else neighbour(path)
            self._missing(name, kind, where, exc, hint or "create it, or correct the path")
            return
        if document is None:
            self.found.incomplete.update(_SECTIONS[kind])
        else:
            self._sections(kind, Spot(document=document, at=(), label="the file"))

    def _missing(self, text: str, kind: str, where: Where, exc: OSError | ValueError, hint: str) -> None:
        self.found.incomplete.update(_SECTIONS[kind])
        self._report.error(Code.MISSING_FILE, where, f"{text} cannot be read: {reason(exc)}", hint)

    def _sections(self, kind: str, spot: Spot) -> None:
        part = self._head(schema.GROUPS[kind], kind, spot)
        if part is None:
            self.found.incomplete.update(_SECTIONS[kind])
            return
        for section in _SECTIONS[kind]:
            for number in range(len(getattr(part, section) or [])):
                self._entry(section, spot, (*spot.at, section, number))

    def _entry(self, section: str, spot: Spot, at: tuple[str | int, ...]) -> None:
        model = _MODELS[section]
        word = section.removesuffix("s")
        whole = Spot(document=spot.document, at=at, label=word)
        name = whole.get("id" if section in ("sources", "actors") else "name")
        known = name if isinstance(name, str) else ""
        label = f"{word} {known!r}" if known else f"{word} number {int(at[-1]) + 1}"
        labelled = Spot(document=spot.document, at=at, label=label)
        part = read_part(model, labelled, self._report)
        if part is None or not known:
            self.found.incomplete.add(section)
        if part is not None:
            entry = Entry(name=known, part=part, spot=labelled)
            cast("list[Entry[ConfigPart]]", getattr(self.found, section)).append(entry)
