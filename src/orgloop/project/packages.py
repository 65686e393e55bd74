"""A connector's package of its own, as `orgloop add connector` writes it: it works, and passes its tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from orgloop.errors import Conflict, Refused

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST: Final = 40
_WORD: Final = re.compile("MODULE|CLASS|NAME")
_FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": "pyproject.toml.txt",
    "orgloop_{module}.py": "connector.py.txt",
    "test_orgloop_{module}.py": "test_connector.py.txt",
}
"""The files of a package, and their templates."""


def connector_package(name: str) -> dict[str, str]:
    """The files of a new connector's package, by their names. Raises Refused for a name that is none."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise Refused(
            f"{name!r} cannot be the name of a connector",
            hint=f"write up to {_LONGEST} lower-case letters, digits and single hyphens: my-tracker",
        )
    words = {"MODULE": name.replace("-", "_"), "CLASS": name.title().replace("-", ""), "NAME": name}
    place = files("orgloop.project") / "connector_package"
    written: dict[str, str] = {}
    for file, template in _FILES.items():
        text = (place / template).read_text("utf-8")
        written[file.format(module=words["MODULE"])] = _WORD.sub(lambda found: words[found[0]], text)
    return written


def write_package(name: str, parent: Path) -> list[Path]:
    """Write the package into a new directory of `parent`; its files. Raises Refused, or Conflict."""
    package = connector_package(name)
    directory = parent / f"orgloop-{name}"
    try:
        directory.mkdir()
    except FileExistsError as exc:
        raise Conflict(f"{directory} exists already", hint="choose another name, or remove it") from exc
    except OSError as exc:
        raise Refused(
            f"{directory} cannot be created: {exc.strerror}", hint="go to a directory that you may write to"
        ) from exc
    for file, text in package.items():
        (directory / file).write_text(text, "utf-8")
    return [directory / file for file in package]
