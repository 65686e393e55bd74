"""Which file a project begins with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from orgloop.errors import ConfigError

PROJECT_FILE: Final = "orgloop.yaml"
"""The file that a project begins with."""


def project_file(named: str | None) -> Path:
    """The project's file: `named`, a file or a directory, else here or in the nearest directory above.

    It need not exist if it was named. Raises ConfigError if nothing names one.
    """
    if named is not None:
        path = Path(named).expanduser().absolute()
        return _in_directory(path) or path / PROJECT_FILE if path.is_dir() else path
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (found := _in_directory(directory)) is not None:
            return found
    raise ConfigError(
        f"there is no {PROJECT_FILE} in this directory ({here}), nor in one above it",
        hint="create a project with `orgloop init`, or name one with `--config PATH`",
    )


def shown(path: Path | str) -> str:
    """A path as a person writes it: relative if it lies below the working directory, else with ~."""
    absolute = Path(os.path.normpath(Path(path).absolute()))
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if absolute == base:
            return prefix.rstrip("/") or "."
        if absolute.is_relative_to(base):
            return prefix + str(absolute.relative_to(base))
    return str(absolute)


def _in_directory(directory: Path) -> Path | None:
    files = (directory / name for name in (PROJECT_FILE, "orgloop.yml"))
    # A pipe, or a link to nothing, is found as well: whoever reads it says what it is.
    return next((file for file in files if os.path.lexists(file) and not file.is_dir()), None)
