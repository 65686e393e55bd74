"""What is in a directory, and how two looks at it differ."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from orgloop.connectors.files.settings import FilesSettings
from orgloop.plugin import PluginError

MOST_ENTRIES: Final = 200_000
"""Names in all directories that one look goes through."""

DEEPEST: Final = 64


class Print(NamedTuple):
    """What tells one state of a file from another: its inode, its size, and its time in ns since 1970."""

    inode: int
    size: int
    modified: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What happened to a file. `now` is None if it is gone, `old_path` its name before it was renamed."""

    event: str
    path: str
    now: Print | None
    old_path: str | None = None


def scan(settings: FilesSettings, stopped: threading.Event) -> dict[str, Print]:
    """The files that are looked at, by their path below the directory. Links are not followed.

    Raises PluginError: the directory cannot be read, or has more in it than it may. It is called in a thread.
    """
    found: dict[str, Print] = {}
    seen = 0
    for path, entry in _walk(settings, settings.directory, "", 0):
        seen += 1
        if stopped.is_set():
            break
        if seen > MOST_ENTRIES:
            raise PluginError(
                f"there are more than {MOST_ENTRIES} names below {settings.directory}",
                hint="name directories in `exclude`, or switch `recursive` off",
            )
        if not any(_matches(path, pattern) for pattern in settings.include):
            continue
        try:
            known = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(known.st_mode):
            continue
        if len(found) >= settings.max_files:
            raise PluginError(
                f"there are more than {settings.max_files} files in {settings.directory}",
                hint="narrow `include` down, or raise `max_files`",
            )
        found[path] = Print(known.st_ino, known.st_size, known.st_mtime_ns)
    return found


def _walk(
    settings: FilesSettings, directory: Path, above: str, depth: int
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file that is not left out, with its path."""
    try:
        with os.scandir(directory) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        if depth:
            return  # It has gone in the meantime.
        raise PluginError(f"there is no {directory}", hint=f"type: mkdir {directory}") from None
    except OSError as exc:
        hint = "make it readable for the daemon, or name it in `exclude`"
        raise PluginError(f"{directory} cannot be read: {exc.strerror}", hint=hint) from exc
    for entry in listed:
        path = above + readable(entry.name)
        hidden = entry.name.startswith(".") and not settings.hidden
        if hidden or any(_matches(path, pattern) for pattern in settings.exclude):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield path, entry
        elif settings.recursive and depth < DEEPEST:
            yield from _walk(settings, Path(entry.path), f"{path}/", depth + 1)


def readable(name: str) -> str:
    """A name as text. Bytes that are no UTF-8 read as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _matches(path: str, pattern: str) -> bool:
    """A pattern without a slash is about the name, any other about the path."""
    if "/" not in pattern and pattern != "**":
        return fnmatchcase(path.rpartition("/")[2], pattern)
    return _parts_match(path.split("/"), pattern.split("/"))


def _parts_match(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Which beginnings of the path match the beginning of the pattern so far."""
    reached = {0}
    for part in pattern:
        if part == "**":
            reached = set(range(min(reached), len(path) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(path) and fnmatchcase(path[at], part)}
    return len(path) in reached


def differences(before: Mapping[str, Print], now: Mapping[str, Print]) -> list[Difference]:
    """What happened in between. What got another name is renamed, also where others took up its old one."""
    places = {one: path for path, one in before.items()}
    here = {one.inode for one in now.values()}
    found: list[Difference] = []
    moved: set[str] = set()
    for path, one in now.items():
        if before.get(path) == one:
            continue
        old = places.get(one)
        if old is not None and now.get(old) != one and old not in moved:
            moved.add(old)
            found.append(Difference(event="renamed", path=path, now=one, old_path=old))
        elif path not in before or (before[path].inode != one.inode and before[path].inode in here):
            # The file that had this name lives on under another one: this is a new one.
            found.append(Difference(event="created", path=path, now=one))
        else:
            found.append(Difference(event="changed", path=path, now=one))
    gone = [path for path in before if path not in now and path not in moved]
    return [*found, *(Difference(event="removed", path=path, now=None) for path in gone)]


def take(known: dict[str, Print], one: Difference) -> None:
    """Keep in `known` what one difference says."""
    if one.now is None:
        known.pop(one.path, None)
        return
    if one.old_path is not None and known.get(one.old_path) == one.now:
        del known[one.old_path]
    known[one.path] = one.now
