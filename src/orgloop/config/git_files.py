"""Work trees: what a directory belongs to as git sees it, whichever path leads there."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Final

from orgloop.core.runs.environment import child_environment

GIT: Final = ".git"
LONGEST_LINK: Final = 4_096
"""Bytes of a `.git` file that are read: it holds one path."""

QUICK: Final = 5.0
"""Seconds for a question to git."""

MOST_PACKED: Final = 64 << 20
"""Characters of a repository's list of references that are read."""


def root_of(directory: str) -> str:
    """The root of the work tree that holds a directory, with links resolved; without one, the directory.

    Two work trees of one repository have two roots.
    """
    real = os.path.realpath(directory)
    return next((str(place) for place in _upwards(real) if _is_there(place / GIT)), real)


def git_directory(root: str) -> Path | None:
    """Where git keeps what belongs to this work tree alone; None if that cannot be told."""
    link = Path(root, GIT)
    try:
        found = link.stat()
        if stat.S_ISDIR(found.st_mode):
            return link
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST_LINK:
            return None
        word, _, path = link.read_text("utf-8").partition(":")
    except (OSError, ValueError):
        return None
    place = Path(root, path.strip())
    return place if word == "gitdir" and place.is_dir() else None


def has_revision(root: str, name: str) -> bool | None:
    """Whether a repository has a branch, of its own or of a remote, or a tag of this name.

    None: nobody can tell without git, as for a commit, or where references lie in a table.
    """
    own = git_directory(root)
    if own is None or re.fullmatch(r"[0-9a-f]{7,64}", name) or not re.fullmatch(r"[\w./-]+", name):
        return None
    shared = _shared(own)
    if (shared / "reftable").exists():
        return None
    remotes = [place.name for place in _listed(shared / "refs" / "remotes")]
    packed = _packed(shared)
    remotes += {ref.split("/")[2] for ref in packed if ref.startswith("refs/remotes/")}
    wanted = {f"refs/{kind}/{name}" for kind in ("heads", "tags", "remotes")}
    wanted |= {f"refs/remotes/{remote}/{name}" for remote in remotes}
    return any(ref in packed or (shared / ref).is_file() for ref in wanted)


def lacking(directory: str, base: str | None) -> str:
    """The branch or tag that work trees would begin at, if this directory is not committed in it.

    Empty if it is, and where git cannot tell: without a commit, or without git.
    """
    root = root_of(directory)
    own, inside = git_directory(root), os.path.relpath(os.path.realpath(directory), root)
    if own is None or inside == os.curdir:
        return ""
    remotes = (_said(own, "remote") or "").split()
    remote = f"refs/remotes/{'origin' if 'origin' in remotes else remotes[0]}/" if remotes else ""
    if base is None:
        head = _said(own, "symbolic-ref", "--quiet", "HEAD") or "HEAD"
        follows = [f"{remote}HEAD", f"{remote}{head.removeprefix('refs/heads/')}"] if remote else []
        names = [*follows, head, "HEAD"]
    else:
        names = [*([remote + base] if remote else []), f"refs/heads/{base}", f"refs/remotes/{base}"]
        names += [f"refs/tags/{base}", base]
    verify = ("rev-parse", "--verify", "--quiet")
    name = next((one for one in names if _said(own, *verify, f"{one}^{{commit}}")), None)
    if name is None or _said(own, *verify, f"{name}:{inside}") != "":
        return ""
    return re.sub(r"^refs/(heads|remotes|tags)/", "", name)


def _said(own: Path, *arguments: str) -> str | None:
    """What git answers about a repository, empty if it knows of none such; None if it does not answer."""
    silent = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", f"--git-dir={own}", *arguments],
            env=child_environment(os.environ, (), silent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=QUICK,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if done.returncode not in (0, 1):
        return None
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def _shared(own: Path) -> Path:
    """What all trees of a repository share."""
    try:
        return own / (own / "commondir").read_text("utf-8").strip()
    except (OSError, ValueError):
        return own


def _listed(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError:
        return []


def _packed(shared: Path) -> set[str]:
    try:
        with (shared / "packed-refs").open(encoding="utf-8", errors="replace") as file:
            lines = file.read(MOST_PACKED).splitlines()
    except OSError:
        return set()
    return {line.partition(" ")[2] for line in lines if line[:1] not in "#^"}


def _upwards(real: str) -> list[Path]:
    place = Path(real)
    return [place, *place.parents]


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)
