"""What git is asked after a run, and what it may not do meanwhile: an agent wrote its configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orgloop.runtime.runs.local import git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git tree with one commit."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "Dev"],
        ["config", "user.email", "dev@example.com"],
        ["commit", "-q", "--allow-empty", "-m", "Begin"],
    ):
        subprocess.run(["git", "-C", str(tree), *arguments], check=True)
    return tree


async def test_what_changed_is_told(tree: Path) -> None:
    before = await git.head(str(tree))
    assert before is not None
    subprocess.run(["git", "-C", str(tree), "commit", "-q", "--allow-empty", "-m", "More"], check=True)
    (tree / "new").touch()
    after = await git.head(str(tree))
    assert after is not None
    assert await git.changes(str(tree), before) == {
        "branch": "main",
        "before": before.commit,
        "after": after.commit,
        "commits": 1,
        "dirty": True,
        "unpushed": None,
    }


async def test_git_runs_nothing_that_the_tree_asks_for_and_gets_no_secret(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nenv > {seen}\n")
    hook.chmod(0o755)
    subprocess.run(["git", "-C", str(tree), "config", "core.fsmonitor", str(hook)], check=True)
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "s3cret")
    assert await git.changes(str(tree), None) is not None
    assert not seen.exists()


async def test_a_git_directory_of_the_daemons_own_is_not_the_agents(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert await git.head(str(tree)) is not None
