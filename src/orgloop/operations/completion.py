"""What a shell completes a word with: names in the project's file and in what runs, ids in the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from orgloop.errors import OrgLoopError
from orgloop.journal.backend import applied_project, ids_beginning
from orgloop.project.files import project_file
from orgloop.project.home import Home, read_file

SECTIONS: Final[Mapping[str, str]] = {
    "source": "sources",
    "actor": "actors",
    "route": "routes",
    "transform": "transforms",
    "logger": "loggers",
}
"""Kinds of parts, and under which key of a project they stand."""

IDS: Final[Mapping[str, str]] = {"event": "evt_", "delivery": "dlv_", "run": "run_"}
"""Kinds of what has happened, and how their ids begin."""

_SECTION: Final = re.compile(r"([a-z]{1,20}):")
_NAME: Final = re.compile(r"(?:^|[-{])[ \t]{0,20}(?:id|name):[ \t]{0,20}[\"']?([\w.:-]{1,100})")


def matching(home: Home, config: str | None, kinds: Sequence[str], begin: str) -> Iterator[tuple[str, str]]:
    """Names and ids of these kinds that begin so, each with a few words about it.

    Ids are looked for only once their first letters stand there, if there are several kinds.
    """
    parts = _parts(home, config) if set(kinds) & set(SECTIONS) else {}
    for kind in kinds:
        if kind in SECTIONS:
            yield from ((name, kind) for name in parts.get(SECTIONS[kind], ()) if name.startswith(begin))
        elif len(kinds) == 1 or (begin and begin[:4] == IDS.get(kind, "")[: len(begin)]):
            yield from ids_beginning(home.path, kind, begin)


def _parts(home: Home, config: str | None) -> Mapping[str, Sequence[str]]:
    """Names by section: those in the file that is meant, then those that run, if that is the same project."""
    try:
        file = project_file(config)
        found = _written(file)
    except (OrgLoopError, OSError):
        file, found = None, {}
    root, snapshot = applied_project(home.path)
    if file is None or Path(root) == file.parent.resolve():
        for section in SECTIONS.values():
            found.setdefault(section, []).extend(snapshot.get(section) or ())
    return {section: list(dict.fromkeys(names)) for section, names in found.items()}


def _written(file: Path) -> dict[str, list[str]]:
    """Names by section, as the lines of the file look: to understand it takes longer than a person waits."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in read_file(file).decode("utf-8", "replace").splitlines():
        if begins := _SECTION.match(line):
            section = begins[1]
        found.setdefault(section, []).extend(_NAME.findall(line))
    return found
