"""Making the work tree of a wake, or using one that is there: each step can be done again after a crash."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orgloop.core.deliveries.transition import Rejected, Retry, Throttled, Unavailable
from orgloop.core.runs.worktree import branch_name
from orgloop.plugin.worktree import Worktree
from orgloop.runtime.support.git import Said, git
from orgloop.runtime.worktrees import repository as repositories
from orgloop.runtime.worktrees import setup
from orgloop.runtime.worktrees.registry import MOST_KEY, Shelf, Stage, TreeRecord
from orgloop.runtime.worktrees.repository import Base, Env, GitRepository

log = logging.getLogger(__name__)

FETCH: Final = 120.0
"""Seconds in which the remote has to answer. A run goes on with what is known if it does not."""

ADD: Final = 600.0
"""Seconds in which git has to write all files of a tree."""


class NoTree(Exception):
    """A wake gets no tree now; `outcome` is what becomes of it."""

    def __init__(self, outcome: Retry | Unavailable | Throttled | Rejected) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The tree that a wake needs. `branch` is what its template says, None if a part has no value.

    `env` is for git, `setup_env` for the setup.
    """

    settings: Worktree
    repository: GitRepository
    name: str
    path: Path
    actor: str
    key: str
    branch: str | None
    env: Env
    setup_env: Mapping[str, str]

    @property
    def own_branch(self) -> str:
        """The branch that is named after its tree."""
        return f"orgloop/{self.path.parent.name}/{self.name}"


class Maker:
    """Makes the trees of one home. Its caller holds the lock of the tree."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._fetches: dict[str, _Fetch] = {}
        self._adds: dict[str, asyncio.Lock] = {}

    async def make(self, wanted: Wanted, record: TreeRecord | None, now: int) -> TreeRecord:
        """A tree that is there with nothing missing but its setup. Raises NoTree."""
        if record is not None and record.stage is Stage.ADDING:
            await self._undo(wanted, record)
        elif await asyncio.to_thread(_is_full, wanted.path):
            await self._require_ours(wanted)
            if record is None:
                return await self._adopted(wanted, now)
            return record
        return await self._add(wanted, record, now)

    async def set_up(self, wanted: Wanted, record: TreeRecord) -> TreeRecord:
        """Run the setup of a tree that had none. Raises NoTree."""
        command = wanted.settings.setup
        if record.stage is Stage.SETUP and command is not None:
            await asyncio.to_thread(setup.end_leftovers, record.path)
            seconds = wanted.settings.setup_timeout / 1000
            file = self._shelf.log(record.name)
            try:
                await setup.run(command, record.path, wanted.setup_env, file, seconds)
            except setup.SetupFailed as exc:
                reason = f"`worktree.setup` failed in {record.path}: {exc} (its whole output: {file})"
                raise NoTree(Retry(reason=reason)) from exc
        return (
            await self._write(replace(record, stage=Stage.READY)) if record.stage is Stage.SETUP else record
        )

    async def update(self, wanted: Wanted, record: TreeRecord) -> tuple[int, str]:
        """Bring a tree up to date, where nothing of the work in it can be lost.

        Returns by how many commits it is behind, and why it was left so.
        """
        problem = await self.fetch(wanted)
        target = await self._target(wanted, record)
        if target is None:
            return 0, problem
        behind = await _count(record.path, f"HEAD..{target}", wanted.env)
        if not behind:
            return 0, problem
        why = await self._why_left(record, target, wanted.env)
        if not why:
            merge = ("merge", "--ff-only", "--no-overwrite-ignore", "--quiet", target)
            said = await git(record.path, *merge, timeout=ADD, env=wanted.env, writes=True)
            why = "" if said.ok else said.why
        left = f"it was not updated: {why}" if why else ""
        return (behind if why else 0), "; ".join(filter(None, (problem, left)))

    async def fetch(self, wanted: Wanted) -> str:
        """Ask the remote for news. Returns why that did not work; empty if it did, or if there is none."""
        repository = wanted.repository
        if not repository.remote:
            return ""
        fetch = self._fetches.setdefault(repository.common, _Fetch())
        said = await fetch.after_now(
            lambda: git(
                repository.root,
                *("fetch", "--quiet", "--no-prune", "--no-recurse-submodules", repository.remote),
                timeout=FETCH,
                env=wanted.env,
                writes=True,
            )
        )
        if said.ok:
            return ""
        log.warning("%s: %s is not fetched: %s", repository.root, repository.remote, said.why)
        return f"{repository.remote} was not fetched: {said.why}"

    async def _add(self, wanted: Wanted, record: TreeRecord | None, now: int) -> TreeRecord:
        root, env = wanted.repository.root, wanted.env
        if wanted.path.is_relative_to(root):
            home = self._shelf.trees.parent
            raise _unavailable(
                f"the home {home} lies in the repository {root}; set ORGLOOP_HOME to another place"
            )
        base = await self._base(wanted)
        branch = await self._branch(wanted, record, base)
        place = await repositories.place_of_branch(root, branch, env)
        if place is not None and Path(place) != wanted.path:
            raise NoTree(
                Retry(
                    reason=f"the branch {branch} is checked out in {place}, and git lets one tree have it: "
                    "check out another branch there, or change `worktree.branch`"
                )
            )
        exists = await repositories.commit_of(root, f"refs/heads/{branch}", env) is not None
        await self._require_directory(wanted, branch, base)
        await repositories.save_loose_commits(root, str(wanted.path), wanted.own_branch, env)
        await repositories.unregister(root, str(wanted.path), env)
        known = record.own_branch if record is not None else False
        made = await self._write(
            _record(wanted, now, base, stage=Stage.ADDING, branch=branch, own_branch=known or not exists)
        )
        async with self._adds.setdefault(wanted.repository.common, asyncio.Lock()):
            # Two at once would meet at the repository's settings. Files are written side by side.
            said = await self._git_add(wanted, branch, base, exists=exists)
        if said.ok:
            reset = ("reset", "--hard", "--quiet", "--no-recurse-submodules")
            said = await git(str(wanted.path), *reset, timeout=ADD, env=_marked(wanted), writes=True)
        if not said.ok:
            await self._undo(wanted, made)
            raise _failed(said, f"git makes no work tree at {wanted.path}")
        return await self._write(replace(made, stage=Stage.SETUP))

    async def _require_directory(self, wanted: Wanted, branch: str, base: Base) -> None:
        """Raises NoTree, before anything is made, if the tree would lack the directory of `cwd`."""
        inside = wanted.repository.prefix.rstrip("/")
        if not inside:
            return
        theirs = f"refs/remotes/{wanted.repository.remote}/{branch}"
        begins = {f"refs/heads/{branch}": branch, theirs: branch, base.commit: base.shown}
        for start, shown in begins.items():
            if await repositories.commit_of(wanted.repository.root, start, wanted.env) is None:
                continue
            if await repositories.has_directory(wanted.repository.root, start, inside, wanted.env):
                return
            reason = (
                f"the directory `{inside}` is not committed in {shown}, so a work tree of it would lack it: "
                "commit it, or remove `worktree`"
            )
            # What all trees begin at lacks it for every wake; a branch of its own, for this one.
            raise _unavailable(reason) if start == base.commit else NoTree(Retry(reason=reason))

    async def _git_add(self, wanted: Wanted, branch: str, base: Base, *, exists: bool) -> Said:
        """The branch as it is here, else as the remote has it, else a new one at the base."""
        root, path, remote = wanted.repository.root, str(wanted.path), wanted.repository.remote
        theirs = f"refs/remotes/{remote}/{branch}"
        if exists:
            words = [path, branch]
        elif remote and await repositories.commit_of(root, theirs, wanted.env) is not None:
            words = ["--track", "-b", branch, path, theirs]
        else:
            words = ["--no-track", "-b", branch, path, base.commit]
        add = ("worktree", "add", "--quiet", "--no-checkout", *words)
        return await git(root, *add, timeout=ADD, env=_marked(wanted), writes=True)

    async def _adopted(self, wanted: Wanted, now: int) -> TreeRecord:
        """A tree of the repository that is there, though nothing is written down about it."""
        found = await repositories.registered(wanted.repository.root, str(wanted.path), wanted.env)
        branch = found.branch if found is not None else ""
        base = await self._base(wanted)
        return await self._write(
            _record(wanted, now, base, stage=Stage.SETUP, branch=branch, own_branch=False)
        )

    async def _base(self, wanted: Wanted) -> Base:
        """What new branches begin at, as the remote has it now. Raises NoTree."""
        await self.fetch(wanted)
        base = await repositories.base_of(wanted.repository, wanted.settings.base, wanted.env)
        if base is None:
            raise _unavailable(_no_base(wanted))
        return base

    async def _branch(self, wanted: Wanted, record: TreeRecord | None, base: Base) -> str:
        """The branch of a new tree. Raises NoTree if all work is based on that: it would be changed."""
        if record is not None:
            there = await repositories.commit_of(
                wanted.repository.root, f"refs/heads/{record.branch}", wanted.env
            )
            if record.stage is not Stage.ADDING or there is not None:
                return record.branch
        if wanted.branch is None:
            return wanted.own_branch
        branch = branch_name(wanted.branch)
        usual = await repositories.base_of(wanted.repository, None, wanted.env)
        remote = f"{wanted.repository.remote}/"
        bases = {wanted.settings.base or "", base.shown, usual.shown if usual is not None else ""}
        if branch.casefold() in {one.removeprefix(remote).casefold() for one in bases}:
            raise NoTree(
                Rejected(
                    reason=f"`worktree.branch` names {branch} for this event, which is the base of all work; "
                    "let the route drop such events, or change `worktree.branch`"
                )
            )
        return branch

    async def _undo(self, wanted: Wanted, record: TreeRecord) -> None:
        """Remove a tree that git has not finished: nobody has worked in it. Its branch stays."""
        await asyncio.to_thread(setup.end_leftovers, record.path)
        await repositories.unregister(wanted.repository.root, record.path, wanted.env)
        await asyncio.to_thread(shutil.rmtree, record.path, ignore_errors=True)

    async def _require_ours(self, wanted: Wanted) -> None:
        if not await repositories.is_tree_of(str(wanted.path), wanted.repository.common, wanted.env):
            raise NoTree(
                Retry(
                    reason=f"{wanted.path} is there, and it is not a work tree of {wanted.repository.root}: "
                    "move it away, or remove it"
                )
            )

    async def _target(self, wanted: Wanted, record: TreeRecord) -> str | None:
        """The commit that a tree should have: its branch at the remote, else the base."""
        repository = wanted.repository
        if repository.remote:
            theirs = f"refs/remotes/{repository.remote}/{record.branch}"
            found = await repositories.commit_of(repository.root, theirs, wanted.env)
            if found is not None:
                return found
        base = await repositories.base_of(repository, wanted.settings.base, wanted.env)
        return base.commit if base is not None else None

    async def _why_left(self, record: TreeRecord, target: str, env: Env) -> str:
        """Why a tree is not moved on to a commit; empty if nothing of it can be lost."""
        path = record.path
        found = await repositories.registered(record.repository, path, env)
        if found is None or found.branch != record.branch:
            where = found.branch if found is not None and found.branch else "no branch"
            return f"it is on {where}, not on {record.branch}"
        if await _count(path, f"{target}..HEAD", env) != 0:
            return "it has commits of its own"
        inside = await repositories.contents(path, "", env)
        if inside.uncommitted or inside.unfinished or inside.unknown:
            return "it has uncommitted changes"
        return ""

    async def _write(self, record: TreeRecord) -> TreeRecord:
        """Raises NoTree if the disk does not let us."""
        try:
            await asyncio.to_thread(self._shelf.write, record)
        except OSError as exc:
            why = f"{self._shelf.trees} cannot be written: {exc.strerror or exc}"
            raise _unavailable(why) from exc
        return record


def _record(
    wanted: Wanted, now: int, base: Base, *, stage: Stage, branch: str, own_branch: bool
) -> TreeRecord:
    return TreeRecord(
        name=wanted.name,
        path=str(wanted.path),
        repository=wanted.repository.common,
        root=wanted.repository.root,
        actor=wanted.actor,
        key=wanted.key[:MOST_KEY],
        stage=stage,
        branch=branch,
        own_branch=own_branch,
        base=base.ref,
        keep_ms=wanted.settings.keep,
        made_at=now,
        used_at=now,
    )


def _marked(wanted: Wanted) -> Env:
    """For what makes the tree: it is found and ended if this daemon is gone before it has."""
    return {**wanted.env, setup.MAKES: str(wanted.path)}


class _Fetch:
    """Fetches of one repository: one at a time, and one for all who wait."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asked = 0
        self._begun = 0
        self._said = Said(status=0)

    async def after_now(self, fetch: Callable[[], Awaitable[Said]]) -> Said:
        """What a fetch said that began after this was called."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._begun < mine:
                covers = self._asked
                self._said = await fetch()
                self._begun = covers
            return self._said


async def _count(path: str, commits: str, env: Env) -> int:
    """How many commits these are; 0 if git does not say."""
    said = await git(path, "rev-list", "--count", commits, env=env)
    return int(said.out) if said.ok else 0


def _is_full(path: Path) -> bool:
    """Whether there is something at this path that is no empty directory."""
    return next(path.iterdir(), None) is not None if path.is_dir() else os.path.lexists(path)


def _no_base(wanted: Wanted) -> str:
    root, base = wanted.repository.root, wanted.settings.base
    if base is None:
        return f"{root} has no commit that a work tree could begin at; make a first one"
    return f"{root} has no branch, tag or commit {base}; correct `worktree.base`, or make the branch"


def _unavailable(reason: str) -> NoTree:
    return NoTree(Unavailable(reason=reason))


def _failed(said: Said, what: str) -> NoTree:
    """A full disk is nothing that this wake has done."""
    full = os.strerror(errno.ENOSPC)
    if full in said.error:
        return NoTree(Unavailable(reason=f"{what}: {full}; free some"))
    return NoTree(Retry(reason=f"{what}: {said.why}"))
