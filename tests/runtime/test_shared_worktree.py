"""Two runs are never in one work tree, whichever paths lead there and whoever starts them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from orgloop import runner
from orgloop.config.git_files import git_directory, root_of
from orgloop.core.deliveries.admission import ScopeLevel
from orgloop.plugin import RunSpec, Wake, WakeSession
from orgloop.runtime.dispatch import tree_roots
from orgloop.runtime.dispatch.tree_roots import FRESH_MS, TreeRoots
from orgloop.runtime.worktrees.lease import LOCK, TreeBusy, hold
from tests.runtime.engine import HandClock, engine, turn, until
from tests.runtime.test_limits import Gates, project, stage


class Places(Gates):
    """Gates whose programs work in a place of their own."""

    def __init__(self, gates: Gates, place: Path) -> None:
        super().__init__(gates.root)
        self.place = place

    def program(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        spec = super().program(wake, session)
        *shell, script = spec.argv
        return replace(spec, argv=[*shell, f"sleep 0.1; echo begun; {script}"], cwd=str(self.place))


def repository(place: Path) -> Path:
    (place / ".git").mkdir(parents=True)
    (place / "packages" / "api").mkdir(parents=True)
    return place


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


class TestRoot:
    def test_a_directory_deep_inside_belongs_to_its_tree(self, tmp_path: Path) -> None:
        repo = repository(tmp_path / "repo")
        assert {root_of(str(repo)), root_of(str(repo / "packages" / "api"))} == {str(repo)}

    def test_a_link_leads_to_the_tree_in_which_its_target_is(self, tmp_path: Path) -> None:
        repo = repository(tmp_path / "repo")
        (tmp_path / "link").symlink_to(repo / "packages")
        assert root_of(str(tmp_path / "link" / "api")) == str(repo)

    def test_work_trees_of_one_repository_and_submodules_are_trees_of_their_own(self, tmp_path: Path) -> None:
        repo = repository(tmp_path / "repo")
        kept = repo / ".git" / "worktrees" / "other"
        kept.mkdir(parents=True)
        other = repo / "other"
        other.mkdir()
        (other / ".git").write_text(f"gitdir: {kept}\n")
        assert (root_of(str(other)), git_directory(str(other))) == (str(other), kept)
        assert git_directory(str(repo)) == repo / ".git"

    def test_outside_of_git_a_directory_stands_for_itself(self, tmp_path: Path) -> None:
        assert root_of(str(tmp_path / "a" / "b")) == str(tmp_path / "a" / "b")
        assert git_directory(str(tmp_path)) is None

    def test_a_relative_link_is_seen_from_its_tree(self, tmp_path: Path) -> None:
        (tmp_path / "git").mkdir()
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / ".git").write_text("gitdir: ../git\n")
        assert git_directory(str(tmp_path / "tree")) == tmp_path / "tree" / "../git"

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"gitdir: /nowhere\n", b"gitdir: " + b"x" * 9_000])
    def test_a_git_file_that_says_nothing_leads_nowhere(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / ".git").write_bytes(content)
        assert git_directory(str(tmp_path)) is None

    def test_a_fifo_in_its_place_is_not_read(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / ".git")
        assert git_directory(str(tmp_path)) is None


async def test_two_directories_of_one_tree_have_one_run_at_a_time(tmp_path: Path, gates: Gates) -> None:
    repo = repository(tmp_path / "repo")
    shared = {"one": str(repo), "two": str(repo / "packages" / "api")}
    async with engine(tmp_path, project(), stage(gates, directories=shared)) as it:
        await it.emit(1)
        await it.settled("started")
        await it.emit(2, source="side")
        await until(lambda: len(it.full_scopes()) == 1, "the verdict on the second")
        (scope,) = it.full_scopes()
        assert (scope.level, scope.name, scope.actor) == (ScopeLevel.WORKTREE, str(repo), "two")
        gates.open(1, 2)
        await it.delivered(2)


async def test_runs_that_may_overlap_work_in_one_tree_at_once(tmp_path: Path, gates: Gates) -> None:
    repo = repository(tmp_path / "repo")
    async with engine(tmp_path, project(), stage(Places(gates, repo))) as it:
        await it.emit(1)
        await it.emit(2, source="side")
        await it.settled("started", "started")
        gates.open(1, 2)
        await it.delivered(2)


async def test_a_root_is_looked_for_again_in_a_while(tmp_path: Path) -> None:
    clock, found = HandClock(), asyncio.Event()
    trees = TreeRoots(clock, found.set)
    inside = tmp_path / "repo" / "packages" / "api"
    inside.mkdir(parents=True)
    assert trees.root(str(inside)) is None
    await found.wait()
    assert trees.root(str(inside)) == str(inside)
    (tmp_path / "repo" / ".git").mkdir()
    clock.ms += FRESH_MS
    found.clear()
    assert trees.root(str(inside)) == str(inside), "what was known holds meanwhile"
    await found.wait()
    assert trees.root(str(inside)) == str(tmp_path / "repo")
    await trees.close()


async def test_a_file_system_that_hangs_holds_one_thread_and_the_path_stands_for_its_tree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, asked = threading.Event(), []

    def hang(directory: str) -> str:
        asked.append(directory)
        go_on.wait(60)
        return "/root"

    monkeypatch.setattr(tree_roots, "root_of", hang)
    monkeypatch.setattr(tree_roots, "PATIENCE", 0.05)
    clock, found = HandClock(), asyncio.Event()
    trees = TreeRoots(clock, found.set)
    assert trees.root("/mnt/there") is None
    await found.wait()
    clock.ms += FRESH_MS
    assert trees.root("/mnt/there") == "/mnt/there"
    assert asked == ["/mnt/there"]
    found.clear()
    go_on.set()
    await found.wait()
    assert trees.root("/mnt/there") == "/root"
    await trees.close()


class TestTwoHomes:
    async def test_a_run_of_another_home_keeps_this_ones_waiting_until_it_has_ended(
        self, tmp_path: Path, gates: Gates
    ) -> None:
        repo = repository(tmp_path / "repo")
        theirs = stage(Places(gates, repo), directories={"one": str(repo)})
        ours = stage(Places(gates, repo / "packages"), directories={"one": str(repo / "packages")})
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        async with (
            engine(tmp_path / "a", project(), theirs) as a,
            engine(tmp_path / "b", project(), ours) as b,
        ):
            await a.emit(1)
            await a.settled("started")
            await until(lambda: bool(a.programs()), "the runner")
            # The runner has let go of all that it does not keep once the child's own line is there.
            said = a.programs()[0].directory / runner.STDOUT
            await until(lambda: said.exists() and said.read_text() == "begun\n", "the program's first line")
            for _ in range(50):
                await turn()
                with pytest.raises(TreeBusy):
                    hold(str(repo))
            await b.emit(2)
            await until(lambda: any("another home" in row.detail for row in b.rows()), "the reason")
            assert (b.states(), b.runs()) == (["pending"], [])
            gates.open(1, 2)
            await a.delivered()
            b.clock.ms += 5_000
            b.runtime.dispatcher.wake_all()
            await b.delivered()

    async def test_the_lock_goes_with_its_holder(self, tmp_path: Path) -> None:
        repo = repository(tmp_path / "repo")
        lock = hold(str(repo))
        assert lock is not None
        with pytest.raises(TreeBusy, match="another home"):
            hold(str(repo / "packages"))
        child = subprocess.Popen(["sleep", "60"], stdin=lock)
        os.close(lock)
        with pytest.raises(TreeBusy):
            hold(str(repo))
        child.kill()
        child.wait()
        lock = hold(str(repo))
        assert lock is not None
        os.close(lock)

    @pytest.mark.parametrize("trap", ["link", "fifo", "directory"])
    def test_what_lies_in_the_locks_place_is_neither_followed_nor_waited_for(
        self, tmp_path: Path, trap: str
    ) -> None:
        repo = repository(tmp_path / "repo")
        place = repo / ".git" / LOCK
        match trap:
            case "link":
                place.symlink_to(tmp_path / "elsewhere")
            case "fifo":
                os.mkfifo(place)
            case _:
                place.mkdir()
        assert hold(str(repo)) is None
        assert not (tmp_path / "elsewhere").exists()

    def test_outside_of_git_there_is_nothing_to_lock(self, tmp_path: Path) -> None:
        assert hold(str(tmp_path)) is None
