"""A repository with a remote, as people have them: `origin.git`, and a clone of it."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

WHO = ("-c", "user.name=Dev", "-c", "user.email=dev@example.com")


def git(directory: Path, *arguments: str) -> str:
    """Run git there; what it says."""
    done = subprocess.run(
        ["git", *WHO, "-C", str(directory), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(tree: Path, file: str = "file", text: str = "text\n", message: str = "Change") -> str:
    """Commit a file; the commit."""
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(text)
    git(tree, "add", "--all")
    git(tree, "commit", "-q", "-m", message)
    return git(tree, "rev-parse", "HEAD")


def new_repository(place: Path) -> Path:
    """A repository with one commit on `main`, and no remote."""
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    git(place, "config", "user.name", "Dev")
    git(place, "config", "user.email", "dev@example.com")
    commit(place, "README", "hello\n", "Begin")
    return place


def cloned(root: Path) -> Path:
    """A clone in `root`, of a remote beside it with one commit on `main`."""
    shutil.copytree(_template(), root, dirs_exist_ok=True)
    app = root / "app"
    git(app, "remote", "set-url", "origin", str(root / "origin.git"))
    return app


@cache
def _template() -> Path:
    """Made once: a copy is quicker than git."""
    root = Path(tempfile.mkdtemp(prefix="repository-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    first = new_repository(root / "first")
    git(root, "clone", "-q", "--bare", str(first), str(root / "origin.git"))
    git(root, "clone", "-q", str(root / "origin.git"), str(root / "app"))
    git(root / "app", "config", "user.name", "Dev")
    git(root / "app", "config", "user.email", "dev@example.com")
    shutil.rmtree(first)
    return root


def push_elsewhere(root: Path, branch: str, file: str = "theirs", *, begin: str = "main") -> str:
    """Somebody else pushes a commit to a branch of the remote; the commit."""
    other = root / "other"
    if not other.exists():
        git(root, "clone", "-q", str(root / "origin.git"), str(other))
    git(other, "fetch", "-q")
    git(other, "checkout", "-q", "-B", branch, f"origin/{begin}")
    made = commit(other, file, f"{file}\n", f"Add {file}")
    git(other, "push", "-q", "origin", f"HEAD:{branch}")
    return made
