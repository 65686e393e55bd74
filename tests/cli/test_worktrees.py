"""`orgloop worktrees`: what is listed, what is removed, and what needs its path and --force."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.text.units import DAY, HOUR
from orgloop.journal.model import AppliedRow, BacklogRow
from orgloop.operations.status.attention import attention
from orgloop.operations.status.status import Status, status
from orgloop.operations.status.stuck import waiting
from orgloop.project.home import DaemonInfo, Home
from orgloop.runtime.worktrees.lease import hold
from orgloop.runtime.worktrees.registry import Shelf, Stage, TreeRecord
from tests.cli.conftest import Orgloop
from tests.support.repository import cloned, commit, git

Make = Callable[..., Path]


@pytest.fixture
def app(place: Path, tmp_path: Path) -> Path:
    (place / "orgloop.yaml").write_text("metadata: {name: acme}\n")
    return cloned(tmp_path)


@pytest.fixture
def tree(app: Path, home: Path) -> Make:
    """Makes a tree of the engineer for a key, which was used so many ms ago."""

    def make(key: str, used: int = 0, kept: str = "") -> Path:
        shelf = Shelf(home)
        path = shelf.place("engineer", f"{key}-0")
        git(app, "worktree", "add", "-q", "--no-track", "-b", f"orgloop/{key}", str(path), "origin/main")
        now = int(time.time() * 1000)
        shelf.write(
            TreeRecord(
                name=path.name,
                path=str(path),
                repository=str(app / ".git"),
                root=str(app),
                actor="engineer",
                key=key,
                stage=Stage.READY,
                branch=f"orgloop/{key}",
                own_branch=True,
                base="refs/remotes/origin/main",
                keep_ms=3 * DAY,
                made_at=now - used,
                used_at=now - used,
                kept=kept,
            )
        )
        return path

    return make


def test_without_trees_there_is_nothing_to_say(app: Path, orgloop: Orgloop) -> None:
    assert orgloop("worktrees").out == "there are no work trees\n"
    assert orgloop("worktrees", "--json").json == []
    assert orgloop("worktrees", "clean").out == "there is nothing to remove\n"


def test_a_tree_that_was_begun_and_not_finished_is_shown_and_removed(
    tree: Make, home: Path, app: Path, orgloop: Orgloop
) -> None:
    path, shelf = tree("half"), Shelf(home)
    [record] = shelf.all()
    shelf.write(replace(record, stage=Stage.ADDING))
    assert "not completed" in orgloop("worktrees", "--json").json[0]["state"]
    assert "removed" in orgloop("worktrees", "clean").out
    assert not path.exists()
    assert shelf.all() == []
    assert "half" not in git(app, "worktree", "list")


def test_the_list_says_what_is_in_each(tree: Make, orgloop: Orgloop) -> None:
    clean, dirty, ahead, busy = (tree(key) for key in ("clean", "dirty", "ahead", "busy"))
    (dirty / "file").touch()
    commit(ahead)
    lock = hold(str(busy))
    rows = {row["key"]: row for row in orgloop("worktrees", "list", "--json").json}
    said = orgloop("worktrees").out
    assert lock is not None
    assert {key: (row["state"], row["removable"]) for key, row in rows.items()} == {
        "clean": ("clean and pushed", True),
        "dirty": ("1 uncommitted file", False),
        "ahead": ("1 unpushed commit", False),
        "busy": ("a run works in it", False),
    }
    assert (rows["ahead"]["unpushed"], rows["ahead"]["uncommitted"]) == (1, 0)
    assert (rows["clean"]["path"], rows["clean"]["branch"]) == (str(clean), "orgloop/clean")
    assert all(str(path.name) in said for path in (clean, dirty, ahead, busy))
    assert orgloop("worktrees", "list", "--actor", "other", "--json").json == []


def test_clean_removes_what_was_kept_long_enough(tree: Make, app: Path, orgloop: Orgloop) -> None:
    old, recent, ahead = tree("old", 4 * DAY), tree("recent", DAY), tree("ahead", 4 * DAY)
    commit(ahead)
    tried = orgloop("worktrees", "clean", "--dry-run", "--json").json
    assert ([one["key"] for one in tried["removed"]], tried["dry_run"]) == (["old"], True)
    assert old.exists()
    done = orgloop("worktrees", "clean")
    assert done.code == 0
    assert "orgloop/old" in done.out
    assert "1 unpushed commit" in done.err
    assert (old.exists(), recent.exists(), ahead.exists()) == (False, True, True)
    assert git(app, "branch", "--list", "orgloop/old") == ""


def test_a_path_is_removed_at_once_and_refused_with_work_in_it(tree: Make, orgloop: Orgloop) -> None:
    clean, ahead = tree("clean"), tree("ahead")
    commit(ahead)
    assert orgloop("worktrees", "clean", str(clean)).code == 0
    assert not clean.exists()
    refused = orgloop("worktrees", "clean", str(ahead))
    assert (refused.code, ahead.exists()) == (1, True)
    assert "1 unpushed commit" in refused.err
    assert orgloop("worktrees", "clean", "--all").code == 0
    assert ahead.exists()
    done = orgloop("worktrees", "clean", "--force", str(ahead), "--json")
    assert (done.code, done.json["removed"][0]["deleted_branch"], ahead.exists()) == (0, "", False)


def test_force_is_about_the_path_that_it_names(tree: Make, orgloop: Orgloop) -> None:
    one, other = tree("one"), tree("other")
    commit(one)
    commit(other)
    assert orgloop("worktrees", "clean", str(other), "--force", str(one)).code == 1
    assert (one.exists(), other.exists()) == (False, True)


def test_all_removes_every_tree_that_may_go(tree: Make, orgloop: Orgloop) -> None:
    trees = [tree("one"), tree("two")]
    assert len(orgloop("worktrees", "clean", "--all", "--json").json["removed"]) == 2
    assert not any(one.exists() for one in trees)


@pytest.mark.parametrize("words", [["nothing"], ["--force", "nothing"], ["/"]])
def test_a_path_that_is_no_tree_is_an_error(tree: Make, orgloop: Orgloop, words: list[str]) -> None:
    path = tree("one")
    failed = orgloop("worktrees", "clean", *words)
    assert failed.code == 1
    assert "there is no work tree" in failed.err
    assert path.exists()


def test_status_names_what_is_kept_and_the_command(tree: Make, home: Path) -> None:
    path = tree("one", 4 * DAY, kept="2 unpushed commits")
    seen = status(None, None, home=Home(home), daemon=None, since=0)
    assert [one.path for one in seen.kept_trees] == [str(path)]
    found = [item for item in attention(_started(seen)) if item.kind == "work-tree"]
    assert [(item.text, item.command) for item in found] == [
        ("the work tree of engineer for one is kept: 2 unpushed commits", f"git -C {path} status")
    ]


def test_status_sums_many_up(tree: Make, home: Path) -> None:
    for key in "abcde":
        tree(key, 4 * DAY, kept="1 unpushed commit")
    seen = status(None, None, home=Home(home), daemon=None, since=0)
    found = [item for item in attention(_started(seen)) if item.kind.startswith("work-tree")]
    assert [(item.count, item.command) for item in found] == [(5, "orgloop worktrees")]


def test_status_says_that_a_setup_takes_long(tree: Make, home: Path) -> None:
    path = tree("one")
    shelf = Shelf(home)
    (record,) = shelf.all()
    shelf.write(replace(record, stage=Stage.SETUP))
    seen = _started(status(None, None, home=Home(home), daemon=None, since=0))
    info = DaemonInfo(pid=1, started_at=0, port=1, project="acme", root="/srv/acme", version="0.1.0")
    row = BacklogRow(
        actor="engineer", route="r", state=State.RUNNING, reason="", count=1, since=seen.now - HOUR, due=None
    )
    (item,) = waiting(replace(seen, daemon=info, backlog=[row]))
    assert "work tree" in item.text
    shelf.write(record)
    seen = _started(status(None, None, home=Home(home), daemon=None, since=0))
    (item,) = waiting(replace(seen, daemon=info, backlog=[row]))
    assert "being woken" in item.text
    assert path.exists()


def _started(seen: Status) -> Status:
    """As if something had run here once."""
    return replace(seen, applied=AppliedRow(at=0, project="acme", root="/srv/acme", snapshot={}))
