"""Work trees: what a directory belongs to as git sees it, whichever path leads there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

GIT: Final = ".git"
LONGEST_LINK: Final = 4_096
"""Bytes of a `.git` file that are read: it holds one path."""


def root_of(directory: str) -> str:
    """The root of the work tree that holds a directory, with links resolved; without one, the directory.

    Two work trees of one repository have two roots.
    """
    real = os.path.realpath(directory)
    return next((str(place) for place in _upwards(real) if _is_there(place / GIT)), real)


def git_directory(root: str) -> Path | None:
    """Where git keeps what belongs to this work tree alone; None if that cannot be told."""
    link = Path(root, GIT)
    try:
        found = link.stat()
        if stat.S_ISDIR(found.st_mode):
            return link
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST_LINK:
            return None
        word, _, path = link.read_text("utf-8").partition(":")
    except (OSError, ValueError):
        return None
    place = Path(root, path.strip())
    return place if word == "gitdir" and place.is_dir() else None


def _upwards(real: str) -> list[Path]:
    place = Path(real)
    return [place, *place.parents]


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)
