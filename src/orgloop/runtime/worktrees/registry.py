"""Where work trees lie, and what is written down about each, before anything is made.

`HOME/worktrees/ACTOR/NAME` is a tree. `HOME/worktrees/.trees/` has `NAME.json`, the record; `NAME.lock`, held
by the process that makes, repairs or removes the tree; `NAME.log`, what its `setup` wrote; and `NAME.gone`, a
tree that was removed, while its files are deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from orgloop.core.runs.worktree import slug
from orgloop.project.home import read_file, replace_file

TREES: Final = "worktrees"
_RECORDS: Final = ".trees"

MOST_KEY: Final = 1_000
"""Characters of a key that its record has."""


class Stage(StrEnum):
    """How far a tree has come."""

    ADDING = "adding"
    """git makes it: nobody has worked in it."""
    SETUP = "setup"
    """It is there; its `setup` has not succeeded yet."""
    READY = "ready"
    """Runs work in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeRecord:
    """A tree. `repository` is what all trees of its repository share, `root` one of them that a person knows.

    `base` is the full name of a reference, or a commit. `own_branch`: the branch was made with the tree.
    `used_at` is when its last run began or ended. `kept` says what would be lost with it, as seen last.
    Times are milliseconds since 1970.
    """

    name: str
    path: str
    repository: str
    root: str
    actor: str
    key: str
    stage: Stage
    branch: str
    own_branch: bool = False
    base: str = ""
    keep_ms: int = 0
    made_at: int = 0
    used_at: int = 0
    kept: str = ""


class Shelf:
    """The work trees of one home. Every method is quick, and blocks: files are read and written."""

    def __init__(self, home: Path) -> None:
        self.trees = home / TREES
        self._records = self.trees / _RECORDS

    def place(self, actor: str, name: str) -> Path:
        """Where the tree of this name lies."""
        return self.trees / (slug(actor) or "actor") / name

    def log(self, name: str) -> Path:
        """What its `setup` wrote."""
        return self._records / f"{name}.log"

    def waste(self, name: str) -> Path:
        """Where a tree lies from the moment when it is removed until all its files are deleted."""
        return self._records / f"{name}.gone"

    def all(self) -> list[TreeRecord]:
        """Every tree that is written down, by its path."""
        try:
            names = [entry.name for entry in os.scandir(self._records) if entry.name.endswith(".json")]
        except OSError:
            return []
        found = (self.read(name.removesuffix(".json")) for name in names)
        return sorted((one for one in found if one is not None), key=lambda one: one.path)

    def read(self, name: str) -> TreeRecord | None:
        """What is written down of a tree; None if nothing that can be read is."""
        try:
            said = json.loads(read_file(self._records / f"{name}.json"))
            known = {field.name: said[field.name] for field in fields(TreeRecord)}
            record = TreeRecord(**{**known, "stage": Stage(known["stage"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if record.name == name and _is_sound(record) else None

    def write(self, record: TreeRecord) -> None:
        """Write it down: the old or the new, whatever happens meanwhile. Raises OSError."""
        self._ensure()
        replace_file(self._records / f"{record.name}.json", json.dumps(asdict(record), indent=2) + "\n")

    def forget(self, name: str) -> None:
        """Nothing is written down about it any more. Call it under its lock. Raises OSError."""
        for suffix in ("log", "json", "lock"):
            (self._records / f"{name}.{suffix}").unlink(missing_ok=True)

    def lock(self, name: str) -> int | None:
        """Take the lock of a tree; None if somebody has it. Raises OSError.

        Returns a descriptor: it is held as long as any process has it.
        """
        self._ensure()
        path = self._records / f"{name}.lock"
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return None
            except OSError:
                os.close(lock)
                raise
            # Whoever removed the tree has removed the file, too: then this is the lock of nothing.
            if _is_same(path, lock):
                return lock
            os.close(lock)

    def _ensure(self) -> None:
        self._records.mkdir(mode=0o700, parents=True, exist_ok=True)


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _is_sound(record: TreeRecord) -> bool:
    return all(isinstance(getattr(record, name), kind) for name, kind in _kinds())


def _kinds() -> Iterator[tuple[str, type[Any]]]:
    kinds: dict[str, type[Any]] = {"str": str, "int": int, "bool": bool, "Stage": Stage}
    for field in fields(TreeRecord):
        yield field.name, kinds[str(field.type)]
