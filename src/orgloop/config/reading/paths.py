"""Paths as the YAML files write them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from orgloop.core.text.suggest import nearest_name


def find_file(text: str, *folders: Path) -> Path:
    """The file that `text` names: absolute or `~`, else in the first folder that has it, or in the first.

    Raises ValueError if the text cannot be a path.
    """
    if "\0" in text or not text.strip():
        raise ValueError("it is not a path")
    try:
        path = Path(text).expanduser()
    except RuntimeError as exc:
        raise ValueError("no such user's home") from exc
    if path.is_absolute():
        return path
    return next((folder / path for folder in folders if _exists(folder / path)), folders[0] / path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def read_file(path: Path, at_most: int = -1) -> bytes:
    """Content or first bytes of a file. Raises OSError, for pipes and devices too: they may have no end."""
    if "\0" in str(path):
        raise OSError("it is not a path")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError("it is a pipe or a device, not a file")
    with path.open("rb") as stream:
        return stream.read(at_most)


def shown(path: Path, root: Path) -> str:
    """`path` for people: relative to the project if it lies in it."""
    absolute = Path(os.path.normpath(path))
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


def reason(exc: OSError | ValueError) -> str:
    """Why a file could not be read, as the end of a sentence."""
    match exc:
        case FileNotFoundError():
            return "it does not exist"
        case IsADirectoryError():
            return "it is a directory"
        case PermissionError():
            return "permission denied"
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case OSError():
            text = exc.strerror or str(exc)
            return text[:1].lower() + text[1:]
        case _:
            return str(exc)


def neighbour(path: Path) -> str:
    """A hint with the nearest name in the same directory, or nothing."""
    if os.path.lexists(path):
        return ""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        return ""
    near = nearest_name(path.name, names, careful=True)
    return f"did you mean `{near}`?" if near else ""


def yaml_files(folder: Path, failed: Callable[[OSError], None]) -> Iterator[Path]:
    """Every *.yaml and *.yml in `folder` and below it, sorted, but for hidden ones.

    Links are followed, each directory is entered once. `failed` hears of those that cannot be read.
    """
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = os.path.realpath(place)
        if here in entered:
            folders.clear()
            continue
        entered.add(here)
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                yield Path(place) / name
