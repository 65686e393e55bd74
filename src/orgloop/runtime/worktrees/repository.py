"""What git says of a repository, of its references, and of what lies in one of its trees."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orgloop.config.git_files import git_directory
from orgloop.core.runs.worktree import TreeContents
from orgloop.runtime.support.git import Said, git

Env = Mapping[str, str]

LOOK: Final = 60.0
"""Seconds in which git has to look through a tree."""

_UNFINISHED: Final = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
"""Files in a tree's git directory, and what git is in the middle of while they are there."""


class NoRepository(Exception):
    """A directory has no repository that trees could belong to; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GitRepository:
    """`common` is what all its trees share, `root` the tree that a directory is in, `prefix` where there."""

    common: str
    root: str
    prefix: str
    remote: str = ""
    """The remote that is fetched; empty if there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What branches begin at: the full name of a reference, or a commit, and the commit that it names now."""

    ref: str
    commit: str

    @property
    def shown(self) -> str:
        """As people call it."""
        for beginning in ("refs/heads/", "refs/remotes/", "refs/tags/"):
            if self.ref.startswith(beginning):
                return self.ref.removeprefix(beginning)
        return self.ref[:12]


async def find(directory: str, env: Env) -> GitRepository:
    """The repository of a directory. Raises NoRepository."""
    if not await asyncio.to_thread(os.path.isdir, directory):
        raise NoRepository(f"`cwd` is {directory}, and there is no such directory; create it")
    said = await git(directory, "rev-parse", "--is-bare-repository", "--is-inside-work-tree", env=env)
    if said.status is None:
        raise NoRepository(said.why)
    if not said.ok:
        if "not a git repository" in said.error:
            raise NoRepository(
                f"`cwd` is {directory}, which is not a git repository; type `git init {directory}`"
            )
        raise NoRepository(f"git refuses {directory}: {said.why}")
    bare, inside = [*said.out.split(), "", ""][:2]
    if bare == "true" or inside != "true":
        raise NoRepository(
            f"`cwd` is {directory}, a repository without a work tree; name a clone of it that has one"
        )
    places = [
        await _line(directory, env, "rev-parse", *question)
        for question in (["--git-common-dir"], ["--show-toplevel"], ["--show-prefix"])
    ]
    common, root, prefix = places
    if not common or not root or prefix is None:
        raise NoRepository(f"git does not tell where the repository of {directory} lies")
    return GitRepository(
        common=await _real(directory, common),
        root=await _real(root),
        prefix=prefix,
        remote=await _remote(root, env),
    )


async def _real(*parts: str) -> str:
    """A path without links. A file system may be slow to tell."""
    return await asyncio.to_thread(os.path.realpath, Path(*parts))


async def _remote(root: str, env: Env) -> str:
    said = await git(root, "remote", env=env)
    names = said.out.split() if said.ok else []
    return "origin" if "origin" in names else next(iter(names), "")


async def base_of(repository: GitRepository, name: str | None, env: Env) -> Base | None:
    """What new branches begin at. None: there is none of that name, or no commit at all."""
    root, remote = repository.root, repository.remote
    if name is not None:
        of_remote = [f"refs/remotes/{remote}/{name}"] if remote else []
        wanted = [*of_remote, f"refs/heads/{name}", f"refs/remotes/{name}", f"refs/tags/{name}", name]
        return await _first(root, wanted, env)
    own = await _line(root, env, "symbolic-ref", "--quiet", "HEAD") or ""
    named = [await _line(root, env, "symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD") or ""]
    if own and remote:
        named.append(f"refs/remotes/{remote}/{own.removeprefix('refs/heads/')}")
    return await _first(root, [*filter(None, named if remote else []), *filter(None, [own]), "HEAD"], env)


async def _first(root: str, names: list[str], env: Env) -> Base | None:
    for name in names:
        commit = await commit_of(root, name, env)
        if commit is not None:
            return Base(ref=name if name.startswith("refs/") else commit, commit=commit)
    return None


async def commit_of(directory: str, name: str, env: Env) -> str | None:
    """The commit that a name means."""
    return await _line(directory, env, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


async def has_directory(root: str, commit: str, path: str, env: Env) -> bool:
    """Whether a commit has a directory at this path, which counts from the root."""
    return await _line(root, env, "cat-file", "-t", f"{commit}:{path}") == "tree"


async def place_of_branch(root: str, branch: str, env: Env) -> str | None:
    """The tree in which a branch is checked out, whether that tree is still there or not."""
    return next((one.path for one in await trees(root, env) if one.branch == branch), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A tree that a repository knows. `branch` is empty if it is on none."""

    path: str
    commit: str = ""
    branch: str = ""
    locked: bool = False


async def trees(root: str, env: Env) -> list[Registered]:
    """All trees that the repository knows, whether they are there or not."""
    found: list[Registered] = []
    for line in (await git(root, "worktree", "list", "--porcelain", env=env)).out.splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "worktree":
                found.append(Registered(path=rest))
            case "HEAD":
                found[-1] = replace(found[-1], commit=rest)
            case "branch":
                found[-1] = replace(found[-1], branch=rest.removeprefix("refs/heads/"))
            case "locked":
                found[-1] = replace(found[-1], locked=True)
            case _:
                pass
    return found


async def registered(root: str, path: str, env: Env) -> Registered | None:
    """What the repository knows of a tree at this path."""
    real = await _real(path)
    for one in await trees(root, env):
        if await _real(one.path) == real:
            return one
    return None


async def unregister(root: str, path: str, env: Env) -> None:
    """Let the repository know no tree at this path any more, and remove what is there."""
    if await registered(root, path, env) is not None:
        await git(root, "worktree", "unlock", path, env=env, writes=True)
        await git(root, "worktree", "remove", "--force", "--force", path, timeout=LOOK, env=env, writes=True)


async def is_tree_of(path: str, common: str, env: Env) -> bool:
    """Whether a directory is the root of a tree of this repository, and no part of another one."""
    found = await _line(path, env, "rev-parse", "--git-common-dir")
    root = await _line(path, env, "rev-parse", "--show-toplevel")
    if not found or not root:
        return False
    return await _real(path, found) == common and await _real(root) == await _real(path)


async def save_loose_commits(root: str, path: str, branch: str, env: Env) -> None:
    """Give commits a branch that only a tree led to whose directory somebody has deleted."""
    found = await registered(root, path, env)
    if found is not None and not found.branch and found.commit:
        alone = ("rev-list", "--count", "--max-count=1", found.commit, "--not", "--branches", "--remotes")
        if (await git(root, *alone, env=env)).out.strip() != "0":
            name = f"{branch}-{found.commit[:12]}"
            await git(root, "branch", name, found.commit, env=env, writes=True)


async def alone(directory: str, tip: str, base: str, env: Env) -> int | None:
    """How many commits up to this one neither a remote-tracking branch has nor the base; None: git fails."""
    beside = [base] if base and await commit_of(directory, base, env) is not None else []
    said = await git(
        directory, "rev-list", "--count", tip, "--not", "--remotes", *beside, timeout=LOOK, env=env
    )
    return int(said.out) if said.ok else None


async def contents(path: str, base: str, env: Env) -> TreeContents:
    """What lies in a tree and nowhere else, with its submodules."""
    found = await _own_contents(path, base, env)
    inside = await _submodules(path, env)
    if inside is None:
        return replace(found, unknown="submodules that git does not list")
    for inner in inside:
        below = await _own_contents(inner, "", env)
        found = TreeContents(
            uncommitted=found.uncommitted + below.uncommitted,
            unpushed=found.unpushed + below.unpushed,
            unfinished=found.unfinished or below.unfinished,
            nested=found.nested or below.nested,
            unknown=found.unknown or below.unknown,
        )
    return found


async def _own_contents(path: str, base: str, env: Env) -> TreeContents:
    status = await git(
        path,
        *("status", "--porcelain", "-z", "--untracked-files=normal", "--ignored", "--ignore-submodules=none"),
        timeout=LOOK,
        env=env,
    )
    if not status.ok:
        return TreeContents(unknown=f"what git does not look through: {status.why}")
    entries = [entry for entry in status.out.split("\0") if len(entry) > 3 and entry[2] == " "]
    ignored = [entry[3:] for entry in entries if entry.startswith("!!")]
    found = TreeContents(
        uncommitted=len(entries) - len(ignored),
        unfinished=_unfinished(path),
        nested=next((one for one in ignored if _holds_repository(Path(path, one))), ""),
    )
    hidden = await _hidden(path, env)
    if hidden:
        found = replace(found, unknown=f"a file that git is told not to look at: {hidden}")
    if await commit_of(path, "HEAD", env) is None:
        return found
    count = await alone(path, "HEAD", base, env)
    if count is None:
        return replace(found, unknown="commits that git does not count")
    return replace(found, unpushed=count)


async def _hidden(path: str, env: Env) -> str:
    """A file whose changes git does not see: marked as unchanged, or as left out, and there all the same."""
    said = await git(path, "ls-files", "-v", "-z", timeout=LOOK, env=env)
    marked = [line[2:] for line in said.out.split("\0") if line[:1].islower() or line[:1] == "S"]
    return next((name for name in marked if _is_there(Path(path, name))), "")


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _unfinished(path: str) -> str:
    own = git_directory(path)
    if own is None:
        return ""
    return next((what for file, what in _UNFINISHED.items() if os.path.lexists(own / file)), "")


def _holds_repository(place: Path) -> bool:
    """Whether an ignored directory is a repository, or has one right within: git says nothing of either."""
    if not place.is_dir() or place.is_symlink():
        return False
    try:
        inner = [Path(entry.path) for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return True
    return any(os.path.lexists(one / ".git") for one in (place, *inner))


async def _submodules(path: str, env: Env) -> list[str] | None:
    """The directories of those that are there; None if git does not say."""
    if not has_submodules(path):
        return []
    told = 'printf "%s\\0" "$toplevel/$sm_path"'
    said = await git(path, "submodule", "--quiet", "foreach", "--recursive", told, timeout=LOOK, env=env)
    return [one for one in said.out.split("\0") if one] if said.ok else None


def has_submodules(path: str) -> bool:
    """Whether the tree has repositories of submodules of its own, which go with it."""
    own = git_directory(path)
    return own is not None and (own / "modules").is_dir()


async def _line(directory: str, env: Env, *arguments: str) -> str | None:
    said: Said = await git(directory, *arguments, env=env)
    return said.out.removesuffix("\n") if said.ok else None
