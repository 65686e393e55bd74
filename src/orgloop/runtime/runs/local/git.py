"""What a run did to the git tree that it worked in, told by git itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orgloop.runtime.support.git import git
from orgloop.runtime.support.sanitize import text


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A tree's branch and commit."""

    branch: str
    commit: str

    @classmethod
    def of(cls, stored: Mapping[str, str] | None) -> Head | None:
        """From `as_json`."""
        return cls(branch=stored["branch"], commit=stored["commit"]) if stored else None

    def as_json(self) -> dict[str, str]:
        """For the journal: a daemon that takes the run over goes on from here."""
        return {"branch": self.branch, "commit": self.commit}


async def head(directory: str) -> Head | None:
    """Branch and commit of the tree that holds `directory`; None outside of git, or before a first commit."""
    if not _in_tree(Path(directory)):
        return None
    out = await _say(directory, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    lines = out.split() if out is not None else []
    return Head(commit=lines[0], branch=lines[1]) if len(lines) == 2 else None


async def changes(directory: str, before: Head | None, base: str = "") -> dict[str, Any] | None:
    """`{branch, before, after, commits, dirty, unpushed}` for `actor.stopped`; None outside of git.

    `unpushed` is None where there is nothing to compare with: no remote, and no `base`.
    """
    after = await head(directory)
    if after is None:
        return None
    commits = "0"
    if before is not None and before.commit != after.commit:
        commits = await _say(directory, "rev-list", "--count", f"{before.commit}..{after.commit}") or "0"
    status = await _say(directory, "status", "--porcelain", "--untracked-files=normal")
    return {
        "branch": after.branch,
        "before": before.commit if before else None,
        "after": after.commit,
        "commits": int(commits),
        "dirty": bool(status and status.strip()),
        "unpushed": await unpushed(directory, base),
    }


async def unpushed(directory: str, base: str = "") -> int | None:
    """How many commits of the tree neither a remote-tracking branch has, nor what it is based on."""
    if not base and not await _say(directory, "for-each-ref", "--count=1", "refs/remotes"):
        return None
    beside = [base] if base and await _say(directory, "rev-parse", "--verify", f"{base}^{{commit}}") else []
    count = await _say(directory, "rev-list", "--count", "HEAD", "--not", "--remotes", *beside)
    return int(count) if count is not None and count.isdigit() else None


def _in_tree(directory: Path) -> bool:
    # Unlike Path.exists, this answers for a directory that may not be read, too.
    return any(os.path.exists(parent / ".git") for parent in (directory, *directory.parents))  # noqa: PTH110


async def _say(directory: str, *arguments: str) -> str | None:
    said = await git(directory, *arguments)
    return text(said.out.strip()) if said.ok else None
