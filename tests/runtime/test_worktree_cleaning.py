"""Work trees that are removed, and those that are kept: nothing that is nowhere else is ever deleted."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.core.text.units import DAY
from orgloop.runtime.support.git import environment
from orgloop.runtime.worktrees.clean import Cleaned, Cleaner
from orgloop.runtime.worktrees.lease import hold
from orgloop.runtime.worktrees.registry import Shelf, Stage, TreeRecord
from tests.runtime.engine import Engine, engine, until
from tests.runtime.test_worktrees import ends, project, trees, wake, works
from tests.support.repository import cloned, commit, git, new_repository

COMMIT = "echo work > work; git add .; git commit -qm Work"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return cloned(tmp_path)


async def swept(it: Engine, *, later: int = 3 * DAY) -> list[TreeRecord]:
    """The trees that are left after a look, when some time has gone by."""
    it.clock.ms += later
    await it.runtime.worktrees.sweep(it.runtime.wiring.keeps, lambda: it.runtime.runs.directories)
    return trees(it)


def cleaner(it: Engine) -> Cleaner:
    return Cleaner(Shelf(it.root / "home"), environment(os.environ))


class TestSweep:
    async def test_what_is_pushed_goes_with_its_branch_when_its_time_is_over(
        self, tmp_path: Path, app: Path
    ) -> None:
        script = f"{COMMIT}; git push -q -u origin HEAD"
        async with engine(tmp_path, project(app, "keep: 3d"), works(script)) as it:
            end = await wake(it, 1, "k")
            assert end["git"]["unpushed"] == 0
            (tree,) = trees(it)
            assert await swept(it, later=3 * DAY - 1) == [tree]
            assert await swept(it, later=1) == []
            assert not Path(tree.path).exists()
            assert git(app, "branch", "--list", tree.branch) == ""
            assert tree.path not in git(app, "worktree", "list")
            assert git(app, "rev-parse", f"origin/{tree.branch}") == end["git"]["after"]
            assert [file.name for file in (tmp_path / "home" / "worktrees" / ".trees").iterdir()] == []

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            (COMMIT, "1 unpushed commit"),
            (f"git checkout -q --detach; {COMMIT}", "1 unpushed commit"),
            ("echo work > untracked", "1 uncommitted file"),
            ("mkdir deep; echo work > deep/untracked", "1 uncommitted file"),
            ("echo work >> README", "1 uncommitted file"),
            ("echo work >> README; git add README", "1 uncommitted file"),
            ("git rm -q README", "1 uncommitted file"),
            ("rm README", "1 uncommitted file"),
            (f"{COMMIT}; git push -q origin HEAD; echo more >> work", "1 uncommitted file"),
            ("git bisect start -q; git bisect bad", "an unfinished bisect"),
            ("echo cache > .git/info/exclude 2>/dev/null; git init -q inner", "1 uncommitted file"),
            ("rm .git; echo work > file", "no work tree"),
            ("git update-index --assume-unchanged README; echo work >> README", "not to look at: README"),
            ("git update-index --skip-worktree README; echo work >> README", "not to look at: README"),
        ],
    )
    async def test_what_is_nowhere_else_is_kept_and_status_says_so(
        self, tmp_path: Path, app: Path, script: str, why: str
    ) -> None:
        async with engine(tmp_path, project(app), works(script)) as it:
            await it.emit(1, key="k")
            await it.delivered()
            before = sorted(path.name for path in Path(trees(it)[0].path).iterdir())
            (tree,) = await swept(it, later=30 * DAY)
            assert why in tree.kept
            assert sorted(path.name for path in Path(tree.path).iterdir()) == before

    async def test_a_repository_within_an_ignored_directory_is_kept(self, tmp_path: Path, app: Path) -> None:
        commit(app, ".gitignore", "vendor\n")
        git(app, "push", "-q")
        async with engine(
            tmp_path, project(app), works("git init -q vendor/one; echo work > vendor/one/file")
        ) as it:
            await wake(it, 1, "k")
            (tree,) = await swept(it)
            assert "vendor" in tree.kept

    async def test_work_in_a_submodule_is_kept(self, tmp_path: Path, app: Path) -> None:
        library = new_repository(tmp_path / "library")
        allowed = ("-c", "protocol.file.allow=always")
        git(app, *allowed, "submodule", "--quiet", "add", str(library), "lib")
        git(app, "commit", "-q", "-m", "Add the library")
        git(app, "push", "-q")
        update = "git -c protocol.file.allow=always submodule --quiet update --init"
        async with engine(tmp_path, project(app), works(update)) as it:
            await wake(it, 1, "clean")
            assert await swept(it) == [], "what its remote has may go"
        who = "git config user.name D; git config user.email d@example.com"
        script = f"{update}; cd lib; {who}; {COMMIT}; cd ..; "
        script += "git add lib; git commit -qm Library; git push -q origin HEAD"
        async with engine(tmp_path, project(app), works(script)) as it:
            end = await wake(it, 1, "work")
            assert (end["git"]["unpushed"], end["git"]["dirty"]) == (0, False)
            (tree,) = await swept(it)
            assert tree.kept == "1 unpushed commit"

    async def test_a_tree_that_was_pushed_meanwhile_goes_with_the_next_look(
        self, tmp_path: Path, app: Path
    ) -> None:
        async with engine(tmp_path, project(app), works(COMMIT)) as it:
            await wake(it, 1, "k")
            (tree,) = await swept(it)
            git(Path(tree.path), "push", "-q", "origin", "HEAD")
            assert await swept(it, later=0) == []

    async def test_a_run_keeps_its_tree_and_its_end_begins_the_time_anew(
        self, tmp_path: Path, app: Path
    ) -> None:
        gate = tmp_path / "gate"
        async with engine(tmp_path, project(app), works(f"while [ ! -e {gate} ]; do sleep 0.01; done")) as it:
            await it.emit(1, key="k")
            await it.settled("started")
            await until(lambda: bool(it.programs()), "the run")
            (tree,) = await swept(it, later=10 * DAY)
            assert tree.kept == ""
            gate.touch()
            await it.delivered()
            assert len(await swept(it, later=3 * DAY - 1)) == 1
            assert await swept(it, later=1) == []

    async def test_without_a_remote_only_what_the_base_has_may_go(self, tmp_path: Path) -> None:
        repo = new_repository(tmp_path / "local")
        async with engine(
            tmp_path, project(repo), works(f"[ -e ../first ] && {COMMIT}; touch ../first")
        ) as it:
            await wake(it, 1, "one")
            await wake(it, 2, "two")
            (left,) = await swept(it)
            assert (left.key, left.kept) == ("two", "1 unpushed commit")
            git(repo, "merge", "-q", left.branch)
            assert await swept(it, later=0) == []
            assert git(repo, "branch", "--list", "orgloop/*") == ""

    async def test_a_branch_that_was_there_before_stays(self, tmp_path: Path, app: Path) -> None:
        git(app, "branch", "mine")
        async with engine(tmp_path, project(app, 'branch: "{{payload.key}}"'), works("true")) as it:
            await wake(it, 1, "mine")
            assert await swept(it) == []
            assert git(app, "branch", "--list", "mine").strip() == "mine"

    async def test_a_tree_that_a_person_has_locked_stays(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            git(app, "worktree", "lock", trees(it)[0].path)
            (tree,) = await swept(it)
            assert "git worktree unlock" in tree.kept
            assert "git worktree unlock" in (await cleaner(it).clean(tree, force=True)).why
            assert (await wake(it, 2, "k"))["git"]["worktree"] == tree.path

    async def test_a_tree_whose_repository_is_gone_stays(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("echo work > file")) as it:
            await wake(it, 1, "k")
            app.rename(tmp_path / "away")
            (tree,) = await swept(it)
            assert tree.kept
            assert (Path(tree.path) / "file").exists()

    async def test_the_record_of_a_tree_that_somebody_deleted_goes(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works(f"git checkout -q --detach; {COMMIT}")) as it:
            end = await wake(it, 1, "k")
            os.system(f"rm -rf {trees(it)[0].path}")
            assert await swept(it) == []
            assert git(app, "branch", "--contains", end["git"]["after"]).strip(), "its commits have a branch"

    async def test_the_loop_looks_by_itself(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app, "keep: 0s"), works("true")) as it:
            await wake(it, 1, "k")
            await it.pass_time(3_600)
            await until(lambda: trees(it) == [], "the look")


def moved(it: Engine, tree: TreeRecord) -> None:
    Path(tree.path).rename(Shelf(it.root / "home").waste(tree.name))


def unregistered(it: Engine, tree: TreeRecord) -> None:
    moved(it, tree)
    git(Path(tree.root), "worktree", "remove", tree.path)


def without_branch(it: Engine, tree: TreeRecord) -> None:
    unregistered(it, tree)
    git(Path(tree.root), "branch", "-D", tree.branch)


@pytest.mark.parametrize("step", [moved, unregistered, without_branch])
async def test_a_daemon_that_is_killed_while_it_removes_a_tree_leaves_nothing(
    tmp_path: Path, app: Path, step: Callable[[Engine, TreeRecord], None]
) -> None:
    async with engine(tmp_path, project(app), works("ls -A")) as it:
        await wake(it, 1, "k")
        (tree,) = trees(it)
        step(it, tree)
        assert await swept(it) == []
        assert git(app, "branch", "--list", tree.branch) == ""
        assert not Shelf(tmp_path / "home").waste(tree.name).exists()
        await wake(it, 2, "k")
        step(it, tree)
        assert (await wake(it, 3, "k"))["result"]["text"].split() == [".git", "README"]
        assert await swept(it) == []


async def test_a_tree_whose_files_cannot_be_deleted_is_told_and_tried_again(
    tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    async with engine(tmp_path, project(app), works("true")) as it:
        await wake(it, 1, "k")
        with monkeypatch.context() as patch:
            patch.setattr("orgloop.runtime.worktrees.clean.shutil.rmtree", refuse)
            (tree,) = await swept(it)
        assert "Permission denied" in tree.kept
        assert await swept(it, later=0) == []


class TestByName:
    async def clean(self, it: Engine, **how: Any) -> Cleaned:
        (tree,) = trees(it)
        return await cleaner(it).clean(tree, **how)

    async def test_force_removes_what_is_not_pushed_and_names_its_commit(
        self, tmp_path: Path, app: Path
    ) -> None:
        async with engine(tmp_path, project(app), works(f"{COMMIT}; echo more > untracked")) as it:
            end = await wake(it, 1, "k")
            (tree,) = trees(it)
            assert (await self.clean(it)).why == "1 unpushed commit, 1 uncommitted file"
            done = await self.clean(it, force=True)
            assert (done.why, done.branch, done.commit) == ("", "", end["git"]["after"])
            assert not Path(tree.path).exists()
            assert git(app, "rev-parse", tree.branch) == done.commit, "commits are never deleted"

    async def test_force_takes_no_tree_from_a_run(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            (tree,) = trees(it)
            lock = hold(tree.path)
            assert lock is not None
            assert "a run works in it" in (await self.clean(it, force=True)).why
            os.close(lock)
            busy = Cleaner(Shelf(tmp_path / "home"), environment(os.environ), lambda: [f"{tree.path}/api"])
            assert "a run works in it" in (await busy.clean(tree, force=True)).why
            assert Path(tree.path).exists()

    async def test_a_dry_run_changes_nothing(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            before = trees(it)
            assert (await self.clean(it, dry_run=True)).why == ""
            (Path(before[0].path) / "file").touch()
            assert (await self.clean(it, dry_run=True)).why == "1 uncommitted file"
            assert (await self.clean(it, dry_run=True, force=True)).why == ""
            assert trees(it) == before
            assert Path(before[0].path).is_dir()

    async def test_force_removes_what_is_no_tree_any_more(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("rm .git")) as it:
            await it.emit(1, key="k")
            await it.delivered()
            (tree,) = trees(it)
            assert (await self.clean(it, force=True)).why == ""
            assert not Path(tree.path).exists()
            assert tree.path not in git(app, "worktree", "list")


async def test_two_that_clean_at_once_remove_it_once(tmp_path: Path, app: Path) -> None:
    async with engine(tmp_path, project(app), works("true")) as it:
        await wake(it, 1, "k")
        (tree,) = trees(it)
        shelf = Shelf(tmp_path / "home")
        lock = shelf.lock(tree.name)
        assert lock is not None
        assert "made or removed" in (await cleaner(it).clean(tree)).why
        os.close(lock)
        assert (await cleaner(it).clean(tree)).why == ""
        assert (await cleaner(it).clean(tree)).why == ""
        assert ends(it)


ACTIONS: dict[str, str] = {
    "commit": "date +%N > $RANDOM_NAME; git add .; git commit -qm Work",
    "push": "git push -q origin HEAD:refs/heads/there",
    "change": "echo change >> README",
    "file": "echo file > $RANDOM_NAME",
    "ignored": "echo ignored > $RANDOM_NAME.ignored",
    "detach": "git checkout -q --detach",
    "attach": "git checkout -q orgloop/k",
    "branch": "git checkout -q -b $RANDOM_NAME",
    "stash": "git stash -q -u",
    "tag": "git tag $RANDOM_NAME",
    "gone": "git push -q origin :refs/heads/there",
}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(sorted(ACTIONS)), max_size=6))
def test_whatever_is_done_in_a_tree_no_commit_and_no_file_is_lost(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    root = tmp_path_factory.mktemp("any")
    app, shelf = cloned(root), Shelf(root / "home")
    (app / ".git" / "info" / "exclude").write_text("*.ignored\n")
    path = shelf.place("one", "k-0")
    git(app, "worktree", "add", "-q", "--no-track", "-b", "orgloop/k", str(path), "origin/main")
    record = TreeRecord(
        name="k-0",
        path=str(path),
        repository=str(app / ".git"),
        root=str(app),
        actor="one",
        key="k",
        stage=Stage.READY,
        branch="orgloop/k",
        own_branch=True,
        base="refs/remotes/origin/main",
    )
    shelf.write(record)
    commits = set()
    for number, action in enumerate(actions):
        script = ACTIONS[action].replace("$RANDOM_NAME", f"name-{number}")
        subprocess.run(["sh", "-c", script], cwd=path, capture_output=True, check=False)
        commits.add(git(path, "rev-parse", "HEAD"))
    uncommitted = git(path, "status", "--porcelain")
    done = asyncio.run(Cleaner(shelf, environment(os.environ)).clean(record))
    assert path.exists() == bool(done.why)
    if not done.why:
        assert uncommitted == ""
        assert commits <= set(git(app, "rev-list", "--all").split())
