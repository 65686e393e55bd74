"""The work trees of a home: a wake gets one, its run keeps it, and its end is noted."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orgloop.core.deliveries.transition import Throttled, Unavailable
from orgloop.core.runs.worktree import is_due, tree_name
from orgloop.plugin import Clock
from orgloop.plugin.worktree import Worktree
from orgloop.runtime.support import git
from orgloop.runtime.support.sanitize import text
from orgloop.runtime.worktrees import repository as repositories
from orgloop.runtime.worktrees.clean import Cleaner
from orgloop.runtime.worktrees.lease import TreeBusy, hold, taken
from orgloop.runtime.worktrees.make import Maker, NoTree, Wanted
from orgloop.runtime.worktrees.registry import Shelf, Stage, TreeRecord
from orgloop.runtime.worktrees.repository import GitRepository, NoRepository
from orgloop.runtime.worktrees.setup import MAKES

log = logging.getLogger(__name__)

FIRST_SWEEP: Final = 60.0
SWEEP: Final = 3600.0
"""Seconds until trees are looked at for the first time, and between two looks."""

BUSY_MS: Final = 5_000
"""How long a wake waits for a tree that somebody is in, before it is tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreePlan:
    """Where a wake would work. Nothing is made yet."""

    repository: GitRepository
    settings: Worktree
    name: str
    path: Path
    actor: str
    key: str

    @property
    def directory(self) -> str:
        """The directory in the tree that `cwd` is in its repository."""
        return os.path.normpath(self.path / self.repository.prefix)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeLease:
    """A tree that is a wake's alone. `lock` is a descriptor: whoever has it keeps all others out."""

    lock: int
    record: TreeRecord
    behind: int = 0
    note: str = ""
    log: Path | None = None
    """What its setup wrote, if it was run for this wake."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the run's event says of its tree."""
        base = self.record.base
        shown = base.removeprefix("refs/").partition("/")[2] or base
        known = {"worktree": text(self.record.path), "base": text(shown), "behind": self.behind}
        return known | ({"note": text(self.note)} if self.note else {})

    def release(self) -> None:
        """Let others in, unless a run has taken it over."""
        os.close(self.lock)


class Worktrees:
    """All trees of one home."""

    def __init__(self, home: Path, clock: Clock) -> None:
        # Without links: git names places so, and the home must not seem to lie outside of a repository.
        self.shelf = Shelf(Path(os.path.realpath(home)))
        self._clock = clock
        self._maker = Maker(self.shelf)

    async def plan(self, settings: Worktree, cwd: str, actor: str, key: str) -> TreePlan:
        """The tree of a key. Raises NoTree if there is no repository that it could belong to."""
        try:
            repository = await repositories.find(cwd, git.environment(os.environ))
        except NoRepository as exc:
            raise NoTree(Unavailable(reason=f"actor {actor}: {exc}")) from exc
        # Of two homes with one repository, each has its own trees and branches.
        name = tree_name(f"{self.shelf.trees}\0{repository.common}", actor, key)
        path = self.shelf.place(actor, name)
        return TreePlan(repository=repository, settings=settings, name=name, path=path, actor=actor, key=key)

    async def lease(
        self, plan: TreePlan, branch: str | None, environ: Mapping[str, str], variables: Mapping[str, str]
    ) -> TreeLease:
        """Make the tree, or take it as it is, and bring it up to date; nobody else is in it then.

        `environ` is ours, `variables` all that a run in it gets. Raises NoTree. Cancelled, it leaves a tree
        that the next call makes whole.
        """
        lock = await self._lock(plan)
        try:
            own, lease = await self._held(plan, branch, environ, variables)
        except BaseException:
            os.close(lock)
            raise
        if own is None:
            # The file system has no locks for the tree itself: then the lock of its record stays.
            return replace(lease, lock=lock)
        os.close(lock)
        return replace(lease, lock=own)

    async def ended(self, name: str) -> None:
        """A run in this tree has ended."""
        now = self._clock.now()
        try:
            await asyncio.to_thread(self._note, name, now)
        except OSError as exc:
            log.warning("the work tree %s: its use is not noted: %s", name, exc.strerror or exc)

    async def run(self, keeps: Callable[[], Mapping[str, int]], busy: Callable[[], Collection[str]]) -> None:
        """Remove what has been kept long enough, again and again. Until cancelled; may be begun again.

        `keeps` says for how many ms each actor keeps its trees; `busy` names directories in which runs go on.
        """
        pause = FIRST_SWEEP
        while True:
            await self._clock.sleep(pause)
            await self.sweep(keeps(), busy)
            pause = SWEEP

    async def sweep(self, keeps: Mapping[str, int], busy: Callable[[], Collection[str]] = tuple) -> None:
        """Remove what has been kept long enough and is committed and pushed."""
        cleaner = Cleaner(self.shelf, git.environment(os.environ), busy)
        for record in await asyncio.to_thread(self.shelf.all):
            if not is_due(record.used_at, keeps.get(record.actor, record.keep_ms), self._clock.now()):
                continue
            try:
                cleaned = await cleaner.clean(record)
            except OSError as exc:
                log.warning("the work tree %s is not removed: %s", record.path, exc.strerror or exc)
                continue
            if cleaned.why:
                log.info("the work tree %s is kept: %s", record.path, cleaned.why)
            else:
                log.info("the work tree %s is removed", record.path)

    def _note(self, name: str, now: int) -> None:
        record = self.shelf.read(name)
        if record is not None:
            self.shelf.write(replace(record, used_at=now, kept=""))

    async def _lock(self, plan: TreePlan) -> int:
        try:
            lock = await taken(lambda: self.shelf.lock(plan.name))
        except OSError as exc:
            raise self._unwritable(exc) from exc
        if lock is None:
            raise self._busy(f"the work tree {plan.path} is being made or removed")
        return lock

    async def _held(
        self, plan: TreePlan, branch: str | None, environ: Mapping[str, str], variables: Mapping[str, str]
    ) -> tuple[int | None, TreeLease]:
        wanted = Wanted(
            settings=plan.settings,
            repository=plan.repository,
            name=plan.name,
            path=plan.path,
            actor=plan.actor,
            key=plan.key,
            branch=branch,
            env=git.environment(environ, variables),
            setup_env={**variables, MAKES: str(plan.path)},
        )
        before = await asyncio.to_thread(self.shelf.read, plan.name)
        record = await self._maker.make(wanted, before, self._clock.now())
        try:
            own = await taken(lambda: hold(record.path))
        except TreeBusy as exc:
            raise self._busy(str(exc)) from exc
        try:
            return own, await self._ready(wanted, record)
        except BaseException:
            if own is not None:
                os.close(own)
            raise

    async def _ready(self, wanted: Wanted, record: TreeRecord) -> TreeLease:
        """Set up if that is missing, else up to date."""
        fresh = record.stage is not Stage.READY
        behind, note = (0, "") if fresh else await self._maker.update(wanted, record)
        record = await self._maker.set_up(wanted, record)
        record = replace(record, used_at=self._clock.now(), keep_ms=wanted.settings.keep, kept="")
        try:
            await asyncio.to_thread(self.shelf.write, record)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        ran = self.shelf.log(record.name) if fresh and wanted.settings.setup is not None else None
        return TreeLease(lock=-1, record=record, behind=behind, note=note, log=ran)

    def _unwritable(self, exc: OSError) -> NoTree:
        return NoTree(Unavailable(reason=f"{self.shelf.trees} cannot be written: {exc.strerror or exc}"))

    def _busy(self, reason: str) -> NoTree:
        return NoTree(Throttled(until=self._clock.now() + BUSY_MS, reason=reason))
