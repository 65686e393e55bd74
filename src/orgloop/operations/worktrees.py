"""The work trees of a home: how each is, and removing those that nobody needs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop.errors import NotFound, OrgLoopError

if TYPE_CHECKING:
    from orgloop.journal.protocols import Reader
    from orgloop.project.home import Home
    from orgloop.runtime.worktrees.clean import Cleaned, Cleaner, TreeState
    from orgloop.runtime.worktrees.registry import TreeRecord

AT_ONCE: Final = 4
"""Trees that are looked at together."""

MOST_RUNS: Final = 1_000
MOST_SESSIONS: Final = 10_000


def records(home: Home) -> list[TreeRecord]:
    """What is written down about every tree of the home."""
    from orgloop.runtime.worktrees.registry import Shelf

    return Shelf(Path(os.path.realpath(home.path))).all()


def looks(home: Home, reader: Reader | None, actor: str = "") -> list[TreeState]:
    """How every tree of the home is now, or every tree of one actor. Asks git about each."""
    cleaner, found = _cleaner(home, reader), [one for one in records(home) if actor in ("", one.actor)]

    async def look() -> list[TreeState]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(record: TreeRecord) -> TreeState:
            async with slots:
                return await cleaner.look(record)

        return list(await asyncio.gather(*(one(record) for record in found)))

    return asyncio.run(look())


def clean(
    home: Home,
    reader: Reader | None,
    chosen: Sequence[TreeRecord],
    *,
    forced: Collection[str] = (),
    dry_run: bool = False,
) -> list[Cleaned]:
    """Remove these trees; those whose names are `forced` with whatever is in them.

    Raises OrgLoopError if what is written down about one cannot be changed.
    """
    cleaner = _cleaner(home, reader)

    async def each() -> list[Cleaned]:
        return [
            await cleaner.clean(record, force=record.name in forced, dry_run=dry_run) for record in chosen
        ]

    try:
        return asyncio.run(each())
    except OSError as exc:
        raise OrgLoopError(
            f"the work trees in {home.path} cannot be changed: {exc.strerror or exc}",
            hint="make the directory writable, and free some space",
        ) from exc


def sessions_in(reader: Reader | None, path: str) -> list[str]:
    """The sessions that keys lead to and that belong to a tree: without it they are not taken up."""
    rows = reader.sessions(active_only=True, limit=MOST_SESSIONS) if reader is not None else ()
    return [row.id for row in rows if row.work_dir and Path(row.work_dir).is_relative_to(path)]


def due(found: Sequence[TreeRecord]) -> list[TreeRecord]:
    """Those that have been kept long enough, and those that were begun and never finished."""
    from orgloop.core.runs.worktree import is_due
    from orgloop.runtime.worktrees.registry import Stage

    now = int(time.time() * 1000)
    return [one for one in found if one.stage is Stage.ADDING or is_due(one.used_at, one.keep_ms, now)]


def named(found: Sequence[TreeRecord], names: Sequence[str]) -> list[TreeRecord]:
    """The trees at these paths, or of these names. Raises NotFound."""
    chosen = []
    for name in names:
        real = os.path.realpath(name)
        match = next((one for one in found if name == one.name or real == one.path), None)
        if match is None:
            raise NotFound(f"there is no work tree {name}", hint="orgloop worktrees lists them")
        chosen.append(match)
    return chosen


def state(look: TreeState) -> str:
    """How a tree is, in words."""
    from orgloop.runtime.worktrees.registry import Stage

    if look.busy:
        return look.busy
    if look.gone:
        return "its directory was deleted"
    match look.record.stage:
        case Stage.ADDING:
            return "not completed: no run has worked in it"
        case Stage.SETUP:
            return f"not set up yet{_and(look.why)}"
        case Stage.READY:
            return look.why or "clean and pushed"


def document(look: TreeState) -> Mapping[str, Any]:
    """A tree, for programs."""
    return {
        **described(look.record),
        "state": state(look),
        "busy": bool(look.busy),
        "uncommitted": look.contents.uncommitted,
        "unpushed": look.contents.unpushed,
        "removable": not look.why,
    }


def described(record: TreeRecord) -> Mapping[str, Any]:
    """What is written down about a tree, for programs."""
    from orgloop.operations.views.json_rows import when
    from orgloop.runtime.support.sanitize import text

    return {
        "name": record.name,
        "path": text(record.path),
        "repository": text(record.root),
        "actor": record.actor,
        "key": text(record.key),
        "branch": text(record.branch),
        "base": text(record.base),
        "stage": record.stage.value,
        "made_at": when(record.made_at),
        "used_at": when(record.used_at),
        "keep_ms": record.keep_ms,
        "kept": record.kept,
    }


def _and(why: str) -> str:
    return f", {why}" if why else ""


def _cleaner(home: Home, reader: Reader | None) -> Cleaner:
    from orgloop.journal.model import Query
    from orgloop.runtime.support.git import environment
    from orgloop.runtime.worktrees.clean import Cleaner
    from orgloop.runtime.worktrees.registry import Shelf

    def busy() -> list[str]:
        runs = reader.runs(Query(limit=MOST_RUNS), open_only=True) if reader is not None else ()
        return [run.spec["cwd"] for run in runs if run.spec.get("cwd")]

    return Cleaner(Shelf(Path(os.path.realpath(home.path))), environment(os.environ), busy)
