"""What a run did to the git tree that it worked in, told by git itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.core.environment import child_environment
from orgloop.plugin.starting import started

TIMEOUT: Final = 5.0
"""Seconds that git may take; a run's report is not worth more."""


# The tree's own configuration is whatever an agent made it: nothing that it names is run, nothing is written.
_HARMLESS: Final = (
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A tree's branch and commit."""

    branch: str
    commit: str

    @classmethod
    def of(cls, said: Mapping[str, str] | None) -> Head | None:
        """From `as_json`."""
        return cls(branch=said["branch"], commit=said["commit"]) if said else None

    def as_json(self) -> dict[str, str]:
        """For the journal: a daemon that takes the run over goes on from here."""
        return {"branch": self.branch, "commit": self.commit}


async def head(directory: str) -> Head | None:
    """Branch and commit of the tree that holds `directory`; None outside of git, or before a first commit."""
    if not _in_tree(Path(directory)):
        return None
    out = await _git(directory, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    lines = out.split() if out is not None else []
    return Head(commit=lines[0], branch=lines[1]) if len(lines) == 2 else None


async def changes(directory: str, before: Head | None) -> dict[str, Any] | None:
    """`{branch, before, after, commits, dirty}` for `actor.stopped`; None outside of git."""
    after = await head(directory)
    if after is None:
        return None
    commits = "0"
    if before is not None and before.commit != after.commit:
        commits = await _git(directory, "rev-list", "--count", f"{before.commit}..{after.commit}") or "0"
    status = await _git(directory, "status", "--porcelain", "--untracked-files=normal")
    return {
        "branch": after.branch,
        "before": before.commit if before else None,
        "after": after.commit,
        "commits": int(commits),
        "dirty": bool(status and status.strip()),
    }


def _in_tree(directory: Path) -> bool:
    # Unlike Path.exists, this answers for a directory that may not be read, too.
    return any(os.path.exists(parent / ".git") for parent in (directory, *directory.parents))  # noqa: PTH110


async def _git(directory: str, *arguments: str) -> str | None:
    start = asyncio.create_subprocess_exec(
        "git",
        *_HARMLESS,
        "-C",
        directory,
        *arguments,
        env=child_environment(os.environ, [name for name in os.environ if name.startswith("GIT_CONFIG")]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        process = await started(start, _end)
    except (OSError, ValueError):
        return None
    try:
        async with asyncio.timeout(TIMEOUT):
            out, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        await _end(process)
    return out.decode("utf-8", errors="replace").strip() if process.returncode == 0 else None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
