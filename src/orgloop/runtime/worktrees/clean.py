"""Removing work trees: only what is committed and pushed, or what a person has named and wants gone."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from orgloop.core.runs.worktree import TreeContents, why_kept
from orgloop.runtime.support.git import git
from orgloop.runtime.worktrees import repository as repositories
from orgloop.runtime.worktrees.lease import TreeBusy, hold, taken
from orgloop.runtime.worktrees.registry import Shelf, Stage, TreeRecord
from orgloop.runtime.worktrees.repository import Env
from orgloop.runtime.worktrees.setup import end_leftovers

AT_WORK: Final = "a run works in it"


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeState:
    """What was found of a tree. `busy` says who is in it; `gone`: it is not there any more."""

    record: TreeRecord
    contents: TreeContents = field(default_factory=TreeContents)
    busy: str = ""
    gone: bool = False

    @property
    def why(self) -> str:
        """Why it is kept; empty if it may go."""
        return self.busy or why_kept(self.contents)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What became of a tree. `why` says what keeps it; it is empty if it was removed, or would have been.

    `branch` is the branch that went with it, `commit` what it had checked out: that leads back to its work.
    """

    record: TreeRecord
    why: str = ""
    branch: str = ""
    commit: str = ""


class Cleaner:
    """Looks at trees and removes them. `busy` gives directories in which runs go on."""

    def __init__(self, shelf: Shelf, env: Env, busy: Callable[[], Collection[str]] = tuple) -> None:
        self._shelf = shelf
        self._env = env
        self._busy = busy

    async def look(self, record: TreeRecord) -> TreeState:
        """What lies in a tree. Nothing is changed, and nobody is kept out meanwhile."""
        lock = await taken(lambda: self._shelf.lock(record.name))
        if lock is None:
            return TreeState(record=record, busy="it is being made or removed")
        os.close(lock)
        held = await self._hold(record)
        if isinstance(held, TreeState):
            return held
        _give_back(held)
        return await self._look(record)

    async def clean(self, record: TreeRecord, *, force: bool = False, dry_run: bool = False) -> Cleaned:
        """Remove a tree if nothing is lost with it, or by `force`; never while a run is in it.

        Raises OSError if what is written down about it cannot be changed.
        """
        lock = await taken(lambda: self._shelf.lock(record.name))
        if lock is None:
            return Cleaned(record=record, why="it is being made or removed")
        try:
            found = await asyncio.to_thread(self._shelf.read, record.name)
            return await self._clean(found, force, dry_run) if found is not None else Cleaned(record=record)
        finally:
            os.close(lock)

    async def _clean(self, record: TreeRecord, force: bool, dry_run: bool) -> Cleaned:
        held = await self._hold(record)
        if isinstance(held, TreeState):
            return Cleaned(record=record, why=held.busy)
        try:
            found = await self._look(record)
            if found.busy or (found.why and not force):
                if not dry_run:
                    await asyncio.to_thread(self._shelf.write, replace(record, kept=found.why))
                return Cleaned(record=record, why=found.why)
            commit = await repositories.commit_of(record.path, "HEAD", self._env) if not found.gone else ""
            if dry_run:
                return Cleaned(record=record, commit=commit or "")
            return replace(await self._remove(record), commit=commit or "")
        finally:
            _give_back(held)

    async def _hold(self, record: TreeRecord) -> int | TreeState | None:
        """The lock of a tree, if it has one; or who is in there."""
        if any(Path(place).is_relative_to(record.path) for place in self._busy()):
            return TreeState(record=record, busy=AT_WORK)
        if not await asyncio.to_thread(os.path.lexists, os.path.join(record.path, ".git")):  # noqa: PTH118
            return None
        try:
            return await taken(lambda: hold(record.path))
        except TreeBusy:
            return TreeState(record=record, busy=AT_WORK)

    async def _look(self, record: TreeRecord) -> TreeState:
        if record.stage is Stage.ADDING:
            return TreeState(record=record)
        if not await asyncio.to_thread(os.path.lexists, record.path):
            return TreeState(record=record, gone=True)
        if not await repositories.is_tree_of(record.path, record.repository, self._env):
            why = f"it is no work tree of {record.root} any more"
            return TreeState(record=record, contents=TreeContents(unknown=why))
        known = await repositories.registered(record.repository, record.path, self._env)
        if known is not None and known.locked:
            unlock = f"git worktree unlock {shlex.quote(record.path)}"
            return TreeState(record=record, busy=f"it is locked; type `{unlock}`")
        found = await repositories.contents(record.path, record.base, self._env)
        return TreeState(record=record, contents=found)

    async def _remove(self, record: TreeRecord) -> Cleaned:
        """Remove it, in steps of which each may be the last: the next look, or the next wake, goes on."""
        path, common = record.path, record.repository
        if record.stage is Stage.ADDING:
            await asyncio.to_thread(end_leftovers, path)
        waste = self._shelf.waste(record.name)
        # One step, so that nobody finds half a tree: nothing can be put into it any more.
        problem = await asyncio.to_thread(_move, path, waste)
        if not problem and await asyncio.to_thread(os.path.isdir, common):
            await repositories.save_loose_commits(common, path, record.branch, self._env)
            await repositories.unregister(common, path, self._env)
        problem = problem or await asyncio.to_thread(_delete, waste)
        if problem:
            await asyncio.to_thread(self._shelf.write, replace(record, kept=problem))
            return Cleaned(record=record, why=problem)
        branch = await self._drop_branch(record)
        await asyncio.to_thread(self._shelf.forget, record.name)
        return Cleaned(record=record, branch=branch)

    async def _drop_branch(self, record: TreeRecord) -> str:
        """Remove the branch that was made with the tree, if its commits are elsewhere, too; which one."""
        common, name = record.repository, f"refs/heads/{record.branch}"
        if not record.own_branch or not await asyncio.to_thread(os.path.isdir, common):
            return ""
        tip = await repositories.commit_of(common, name, self._env)
        if tip is None or await repositories.place_of_branch(common, record.branch, self._env) is not None:
            return ""
        base = record.base if record.base.startswith("refs/") else ""
        if await repositories.alone(common, tip, base, self._env) != 0:
            return ""
        if not (await git(common, "update-ref", "-d", name, tip, env=self._env, writes=True)).ok:
            return ""
        settings = ("config", "--remove-section", f"branch.{record.branch}")
        await git(common, *settings, env=self._env, writes=True)
        return record.branch


def _move(path: str, waste: Path) -> str:
    """Put a tree where its files are deleted; why that did not work. One that is not there is fine."""
    try:
        if waste.exists():
            shutil.rmtree(waste)
        Path(path).rename(waste)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return f"it cannot be moved: {exc.strerror or exc}"
    return ""


def _delete(waste: Path) -> str:
    """Delete what is left of a tree; why that did not work."""
    try:
        shutil.rmtree(waste)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return f"files of it in {waste} cannot be deleted: {exc.strerror or exc}"
    return ""


def _give_back(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
