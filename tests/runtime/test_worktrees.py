"""Work trees of runs: made with git, used again, brought up to date, and never two runs in one."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import RunSpec, Wake, WakeSession
from orgloop.runtime.runs.local import run_directory
from orgloop.runtime.support import git as support_git
from orgloop.runtime.support.git import Said
from orgloop.runtime.worktrees.lease import TreeBusy, hold
from orgloop.runtime.worktrees.make import _Fetch
from orgloop.runtime.worktrees.registry import Shelf, Stage, TreeRecord
from tests.runtime.engine import Engine, engine, turn, until
from tests.runtime.fakes import Stage as Plugins
from tests.support.repository import cloned, commit, git, new_repository, push_elsewhere

MINUTE_MS = 60_000


def project(repo: Path, worktree: str = "per: key", *, runs: int = 4, more: str = "") -> str:
    return f"""
defaults: {{limits: {{runs: {runs}}}}}
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: worker, config: {{cwd: "{repo}", worktree: {{{worktree}}}}}}}]
routes:
  - name: to-one
    when: {{source: in, events: ["*"]}}
    then: {{actor: one, config: {{session_key: "{{{{payload.key}}}}"}}{more}}}
"""


def works(script: str, **spec: Any) -> Plugins:
    """An agent whose program is this script of the shell."""

    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        return RunSpec(argv=["sh", "-c", script], cwd="/", **spec)

    return Plugins(programs={"one": program})


def ends(it: Engine) -> list[dict[str, Any]]:
    """What the ends of the runs carry, oldest first."""
    return [row.document["payload"] for row in it.events() if row.type == "actor.stopped"]


def trees(it: Engine) -> list[TreeRecord]:
    return Shelf(it.root / "home").all()


async def wake(it: Engine, number: int, key: str) -> dict[str, Any]:
    """Wake the agent, and what its end carries."""
    await it.emit(number, key=key)
    await until(
        lambda: len(ends(it)) == number or it.states()[-1] in ("dead", "held"), f"the end of {number}"
    )
    found = ends(it)
    assert len(found) == number, [(row.state.value, row.detail) for row in it.rows()]
    return found[-1]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return cloned(tmp_path)


class TestMaking:
    async def test_each_key_has_a_tree_and_a_branch_outside_of_the_repository(
        self, tmp_path: Path, app: Path
    ) -> None:
        async with engine(tmp_path, project(app), works("pwd; git branch --show-current")) as it:
            for number, key in enumerate(("pr:1", "pr:2", "pr:1"), 1):
                await wake(it, number, key)
            first, second, again = ends(it)
        one, two = sorted(trees(it), key=lambda tree: tree.key)
        assert [tree.key for tree in (one, two)] == ["pr:1", "pr:2"]
        assert one.path != two.path
        assert Path(one.path).is_relative_to(tmp_path / "home" / "worktrees")
        assert first["result"]["text"].split() == [one.path, one.branch]
        assert second["result"]["text"].split() == [two.path, two.branch]
        assert again["result"]["text"] == first["result"]["text"]
        assert first["working_directory"] == one.path
        assert first["git"]["worktree"] == one.path
        assert (first["git"]["base"], first["git"]["behind"]) == ("origin/main", 0)

    async def test_four_keys_of_one_repository_are_worked_on_at_the_same_time(
        self, tmp_path: Path, app: Path
    ) -> None:
        gate = tmp_path / "gate"
        script = f"echo here > mine; while [ ! -e {gate} ]; do sleep 0.01; done"
        stage = works(script)
        stage.directories["one"] = str(app)
        async with engine(tmp_path, project(app), stage) as it:
            for number in range(1, 5):
                await it.emit(number, key=f"pr:{number}")
            await it.settled(*["started"] * 4)
            assert len({tree.path for tree in trees(it)}) == 4
            gate.touch()
            await it.delivered(4)
            assert all(end["git"]["dirty"] for end in ends(it))

    async def test_per_run_every_delivery_has_a_tree_of_its_own(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app, "per: run"), works("pwd")) as it:
            first, second = [await wake(it, number, "pr:1") for number in (1, 2)]
            assert first["working_directory"] != second["working_directory"]

    async def test_wakes_without_a_key_do_not_share_a_tree(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("pwd")) as it:
            await it.emit(1)
            await it.emit(2)
            await it.delivered(2)
            assert len(trees(it)) == 2

    async def test_two_actors_have_two_trees_for_one_key(self, tmp_path: Path, app: Path) -> None:
        second = project(app).replace(
            "actors: [",
            f'actors: [{{id: two, connector: worker, config: {{cwd: "{app}", worktree: {{per: key}}}}}}, ',
        )
        second += """  - name: to-two
    when: {source: in, events: ["*"]}
    then: {actor: two, config: {session_key: "{{payload.key}}"}}
"""
        stage = works("pwd")
        stage.programs["two"] = stage.programs["one"]
        async with engine(tmp_path, second, stage) as it:
            await it.emit(1, key="k")
            await it.delivered(2)
            assert len({tree.path for tree in trees(it)}) == 2

    async def test_a_directory_within_the_repository_is_the_same_one_within_the_tree(
        self, tmp_path: Path, app: Path
    ) -> None:
        commit(app, "packages/api/file")
        git(app, "push", "-q")
        async with engine(tmp_path, project(app / "packages" / "api"), works("pwd; ls")) as it:
            end = await wake(it, 1, "k")
            assert end["result"]["text"].split() == [f"{trees(it)[0].path}/packages/api", "file"]

    async def test_any_key_has_a_safe_name(self, tmp_path: Path, app: Path) -> None:
        keys = [
            "../../../etc",
            "a/b",
            "a-b",
            "/",
            ".",
            "-rf",
            "grüße 🎉",
            "\udce9",
            "x" * 100_000,
            " ",
            "a\nb",
        ]
        async with engine(tmp_path, project(app, runs=len(keys)), works("pwd")) as it:
            for number, key in enumerate(keys):
                await it.emit(number, key=key)
            await it.delivered(len(keys))
            assert len({tree.path for tree in trees(it)}) == len(keys)
            assert {Path(tree.path).parent for tree in trees(it)} == {tmp_path / "home" / "worktrees" / "one"}
            assert all(Path(tree.path).is_dir() for tree in trees(it))


class TestBranch:
    async def test_a_branch_of_the_remote_is_checked_out_and_followed(
        self, tmp_path: Path, app: Path
    ) -> None:
        theirs = push_elsewhere(tmp_path, "feature")
        settings = 'branch: "{{payload.branch}}"'
        async with engine(
            tmp_path, project(app, settings), works("git log -1 --format=%H; git status -sb")
        ) as it:
            await it.emit(1, key="k", branch="feature")
            await it.delivered()
            assert ends(it)[0]["result"]["text"].split() == [theirs, "##", "feature...origin/feature"]
            later = push_elsewhere(tmp_path, "feature", "more", begin="feature")
            await it.emit(2, key="k", branch="feature")
            await it.delivered(2)
            assert ends(it)[1]["git"]["after"] == later

    @pytest.mark.parametrize("name", ["mine", "grüße/ü-1"])
    async def test_a_branch_that_is_there_is_used_with_its_commits(
        self, tmp_path: Path, app: Path, name: str
    ) -> None:
        git(app, "checkout", "-q", "-b", name)
        mine = commit(app)
        git(app, "checkout", "-q", "main")
        async with engine(tmp_path, project(app, 'branch: "{{payload.key}}"'), works("true")) as it:
            end = await wake(it, 1, name)
            assert (end["git"]["branch"], end["git"]["before"], end["git"]["unpushed"]) == (name, mine, 1)
            assert not trees(it)[0].own_branch

    async def test_a_branch_that_is_checked_out_elsewhere_is_a_failed_try_that_says_where(
        self, tmp_path: Path, app: Path
    ) -> None:
        git(app, "checkout", "-q", "-b", "taken")
        async with engine(tmp_path, project(app, 'branch: "{{payload.key}}"'), works("true")) as it:
            await it.emit(1, key="taken")
            await until(lambda: it.rows()[0].detail, "the reason")
            assert f"checked out in {app}" in it.rows()[0].detail
            git(app, "checkout", "-q", "main")
            await it.pass_time(60)
            await it.delivered()

    @pytest.mark.parametrize("base", ["", "base: main, ", "base: origin/main, ", "base: release, "])
    async def test_no_event_leads_to_the_base(self, tmp_path: Path, app: Path, base: str) -> None:
        """As for a pull request from the `main` of a fork."""
        push_elsewhere(tmp_path, "release")
        settings = f'{base}branch: "{{{{payload.key}}}}"'
        async with engine(tmp_path, project(app, settings), works("true")) as it:
            await it.emit(1, key="main")
            (row,) = await it.settled("dead")
            assert "main" in row.detail
            assert trees(it) == []

    async def test_a_template_without_a_value_names_the_trees_own_branch(
        self, tmp_path: Path, app: Path
    ) -> None:
        async with engine(tmp_path, project(app, 'branch: "fix/{{payload.none}}"'), works("true")) as it:
            end = await wake(it, 1, "k")
            assert end["git"]["branch"].startswith("orgloop/one/k-")


class TestUpToDate:
    async def test_a_clean_tree_without_commits_of_its_own_moves_on_to_the_base(
        self, tmp_path: Path, app: Path
    ) -> None:
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            news = push_elsewhere(tmp_path, "main")
            end = await wake(it, 2, "k")
            assert (end["git"]["before"], end["git"]["behind"]) == (news, 0)
            assert git(app, "rev-parse", "main") != news, "the person's own branch is left alone"

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("echo work > file; git add .; git commit -qm Work", "commits of its own"),
            ("echo work > untracked", "uncommitted changes"),
            ("echo work >> README", "uncommitted changes"),
            ("git checkout -q -b other", "it is on other"),
            ("git checkout -q --detach", "it is on no branch"),
        ],
    )
    async def test_what_has_work_in_it_is_left_and_the_event_says_so(
        self, tmp_path: Path, app: Path, script: str, why: str
    ) -> None:
        async with engine(
            tmp_path, project(app), works(f"[ -e ../ran ] || {{ touch ../ran; {script}; }}")
        ) as it:
            first = await wake(it, 1, "k")
            push_elsewhere(tmp_path, "main")
            second = await wake(it, 2, "k")
            assert second["git"]["before"] == first["git"]["after"]
            assert second["git"]["behind"] == 1
            assert why in second["git"]["note"]

    async def test_an_ignored_file_is_not_overwritten_by_the_base(self, tmp_path: Path, app: Path) -> None:
        commit(app, ".gitignore", "local\n")
        git(app, "push", "-q")
        async with engine(
            tmp_path, project(app), works("[ -e local ] || echo mine > local; cat local")
        ) as it:
            await wake(it, 1, "k")
            other = tmp_path / "other"
            git(tmp_path, "clone", "-q", str(tmp_path / "origin.git"), str(other))
            (other / "local").write_text("theirs\n")
            git(other, "add", "--force", "local")
            git(other, "commit", "-q", "-m", "Theirs")
            git(other, "push", "-q")
            end = await wake(it, 2, "k")
            assert end["result"]["text"] == "mine"
            assert end["git"]["behind"] == 1

    async def test_a_remote_that_does_not_answer_keeps_nobody_waiting(
        self, tmp_path: Path, app: Path
    ) -> None:
        git(app, "remote", "set-url", "origin", str(tmp_path / "gone.git"))
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            assert "origin was not fetched" in (await wake(it, 2, "k"))["git"]["note"]

    async def test_without_a_remote_trees_begin_at_the_branch_here(self, tmp_path: Path) -> None:
        repo = new_repository(tmp_path / "local")
        script = "[ -e file ] || { echo work > file; git add .; git commit -qm Work; }"
        async with engine(tmp_path, project(repo, "base: main"), works(script)) as it:
            end = await wake(it, 1, "k")
            assert (end["git"]["base"], end["git"]["commits"], end["git"]["unpushed"]) == ("main", 1, 1)

    async def test_a_repository_on_no_branch_gives_its_commit(self, tmp_path: Path) -> None:
        repo = new_repository(tmp_path / "local")
        git(repo, "checkout", "-q", "--detach")
        async with engine(tmp_path, project(repo), works("true")) as it:
            assert (await wake(it, 1, "k"))["git"]["before"] == git(repo, "rev-parse", "HEAD")


class TestSetup:
    async def test_it_is_run_once_in_the_tree_and_its_output_is_the_runs(
        self, tmp_path: Path, app: Path
    ) -> None:
        script = tmp_path / "prepare"
        script.write_text("#!/bin/sh\npwd; echo ran >> ../setups; echo $ORGLOOP_ACTOR $MINE\n")
        script.chmod(0o755)
        stage = works("true", env={"MINE": "yes"})
        async with engine(tmp_path, project(app, "setup: ./prepare"), stage) as it:
            await wake(it, 1, "k")
            await wake(it, 2, "k")
            (tree,) = trees(it)
            first, second = it.runs()
        assert (Path(tree.path).parent / "setups").read_text() == "ran\n"
        said = (Path(first.run_dir) / run_directory.SETUP_LOG).read_text()
        assert said.split() == [tree.path, "one", "yes"]
        assert not (Path(second.run_dir) / run_directory.SETUP_LOG).exists()

    @pytest.mark.parametrize(
        ("setup", "why"),
        [
            ("[sh, -c, 'echo no such package; exit 3']", "no such package"),
            ("[sh, -c, 'sleep 60'], setup_timeout: 200ms", "did not end within 0.2 s"),
            ("[no-such-program-at-all]", "no-such-program-at-all"),
        ],
    )
    async def test_one_that_fails_is_a_failed_try_and_runs_again(
        self, tmp_path: Path, app: Path, setup: str, why: str
    ) -> None:
        async with engine(tmp_path, project(app, f"setup: {setup}"), works("true")) as it:
            await it.emit(1, key="k")
            await until(lambda: it.rows()[0].detail, "the reason")
            row = it.rows()[0]
            assert (row.state.value, it.runs()) == ("pending", [])
            assert why in row.detail
            assert [tree.stage for tree in trees(it)] == [Stage.SETUP]
            await it.apply(project(app, "setup: [sh, -c, 'echo again > ready']"))
            await it.pass_time(60)
            await it.delivered()
            (tree,) = trees(it)
            assert (tree.stage, (Path(tree.path) / "ready").read_text()) == (Stage.READY, "again\n")

    async def test_a_stop_in_the_middle_ends_it_hands_the_wake_back_and_counts_nothing(
        self, tmp_path: Path, app: Path
    ) -> None:
        pid = tmp_path / "pid"
        setup = f"setup: [sh, -c, 'echo $$ > {pid}; exec sleep 600']"
        async with engine(tmp_path, project(app, setup), works("true"), on_disk=True) as it:
            await it.emit(1, key="k")
            await until(lambda: pid.exists() and pid.read_text().strip(), "the setup")
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
        async with engine(
            tmp_path, project(app, "setup: [sh, -c, 'true']"), works("true"), on_disk=True
        ) as it:
            (row,) = await it.delivered()
            assert (row.failures, row.crashes) == (0, 0)


class TestNoRepository:
    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (lambda root: (root / "repo").mkdir(), "not a git repository"),
            (lambda _: None, "no such directory"),
            (lambda root: git(root, "init", "-q", "--bare", "repo"), "without a work tree"),
            (lambda root: git(root, "init", "-q", "repo"), "no commit"),
        ],
        ids=["no repository", "no directory", "bare", "no commit"],
    )
    async def test_the_actors_work_waits_until_there_is_one(
        self, tmp_path: Path, make: Any, why: str
    ) -> None:
        make(tmp_path)
        async with engine(tmp_path, project(tmp_path / "repo"), works("true")) as it:
            await it.emit(1, key="k")
            (pause,) = await until(lambda: it.reader.pauses(), "the pause")
            assert why in pause.reason
            assert it.rows()[0].failures == 0
            if (tmp_path / "repo").exists():
                (tmp_path / "repo").rename(tmp_path / "away")
            new_repository(tmp_path / "repo")

            def over() -> bool:
                it.clock.advance(60)
                it.runtime.dispatcher.wake_all()
                return it.states().count("delivered") == 1

            await until(over, "the run")

    async def test_a_directory_that_is_not_committed_is_waited_for_and_nothing_is_made(
        self, tmp_path: Path, app: Path
    ) -> None:
        (app / "new").mkdir()
        async with engine(tmp_path, project(app / "new"), works("pwd")) as it:
            await it.emit(1, key="k")
            (pause,) = await until(lambda: it.reader.pauses(), "the pause")
            assert "`new` is not committed in origin/main" in pause.reason
            assert trees(it) == []
            assert len(git(app, "worktree", "list").splitlines()) == 1
            assert "orgloop" not in git(app, "branch")
            commit(app, "new/file")
            git(app, "push", "-q")

            def over() -> bool:
                it.clock.advance(60)
                it.runtime.dispatcher.wake_all()
                return it.states().count("delivered") == 1

            await until(over, "the run")

    async def test_a_branch_that_lacks_the_directory_is_a_failure_of_its_wake_alone(
        self, tmp_path: Path, app: Path
    ) -> None:
        git(app, "branch", "old")
        commit(app, "new/file")
        git(app, "push", "-q")
        text = project(app / "new", "branch: '{{payload.key}}'")
        async with engine(tmp_path, text, works("pwd")) as it:
            await it.emit(1, key="old")
            await until(lambda: it.rows()[0].failures, "the failure")
            assert "`new` is not committed in old" in it.rows()[0].detail
            await it.emit(2, key="fresh")
            await until(lambda: "delivered" in it.states(), "the run")

    async def test_a_base_that_is_not_there_is_named(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app, "base: trunk"), works("true")) as it:
            await it.emit(1, key="k")
            (pause,) = await until(lambda: it.reader.pauses(), "the pause")
            assert "trunk" in pause.reason

    async def test_a_home_within_the_repository_is_refused(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "-b", "main")
        git(tmp_path, "config", "user.name", "Dev")
        git(tmp_path, "config", "user.email", "dev@example.com")
        commit(tmp_path)
        async with engine(tmp_path, project(tmp_path), works("true")) as it:
            await it.emit(1, key="k")
            (pause,) = await until(lambda: it.reader.pauses(), "the pause")
            assert "lies in the repository" in pause.reason


class TestLease:
    async def test_a_tree_with_a_run_in_it_is_nobody_elses(self, tmp_path: Path, app: Path) -> None:
        gate = tmp_path / "gate"
        async with engine(tmp_path, project(app), works(f"while [ ! -e {gate} ]; do sleep 0.01; done")) as it:
            await it.emit(1, key="k")
            await it.settled("started")
            (tree,) = trees(it)
            await until(lambda: bool(it.programs()), "the runner")
            with pytest.raises(TreeBusy):
                hold(tree.path)
            gate.touch()
            await it.delivered()
        lock = hold(tree.path)
        assert lock is not None
        os.close(lock)

    async def test_a_wake_waits_for_whoever_is_in_its_tree(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("true")) as it:
            await wake(it, 1, "k")
            (tree,) = trees(it)
            lock = hold(tree.path)
            assert lock is not None
            await it.emit(2, key="k")
            await until(lambda: any("another home" in row.detail for row in it.rows()), "the reason")
            assert it.rows()[-1].failures == 0
            os.close(lock)
            await it.pass_time(6)
            await until(lambda: len(ends(it)) == 2, "the run")


class TestRepair:
    """What a daemon that was killed leaves, its successor makes whole."""

    async def left(self, it: Engine, stage: Stage) -> TreeRecord:
        (tree,) = trees(it)
        Shelf(it.root / "home").write(replace(tree, stage=stage))
        return tree

    async def test_a_tree_that_git_has_not_finished_is_made_again(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("ls -A")) as it:
            await wake(it, 1, "k")
            tree = await self.left(it, Stage.ADDING)
            (Path(tree.path) / "README").unlink()
            git(app, "worktree", "lock", tree.path)
            end = await wake(it, 2, "k")
            assert end["result"]["text"].split() == [".git", "README"]

    async def test_a_record_before_the_tree_is_no_obstacle(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("pwd")) as it:
            await wake(it, 1, "k")
            tree = await self.left(it, Stage.ADDING)
            git(app, "worktree", "remove", tree.path)
            git(app, "branch", "-D", tree.branch)
            assert (await wake(it, 2, "k"))["git"]["branch"] == tree.branch

    async def test_what_still_sets_it_up_is_ended_first(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app, "setup: [touch, ready]"), works("ls")) as it:
            await wake(it, 1, "k")
            tree = await self.left(it, Stage.SETUP)
            (Path(tree.path) / "ready").unlink()
            orphan = await asyncio.create_subprocess_exec(
                "sleep", "600", env={**os.environ, "ORGLOOP_MAKES_TREE": tree.path}
            )
            try:
                end = await wake(it, 2, "k")
                assert "ready" in end["result"]["text"]
                await until(lambda: orphan.returncode is not None, "its end")
                assert orphan.returncode == -9
            finally:
                with suppress(ProcessLookupError):
                    orphan.kill()
                await orphan.wait()

    async def test_a_tree_that_somebody_deleted_is_made_again_with_its_commits(
        self, tmp_path: Path, app: Path
    ) -> None:
        script = "[ -e file ] || { echo work > file; git add .; git commit -qm Work; }; git rev-parse HEAD"
        async with engine(tmp_path, project(app), works(script)) as it:
            first = await wake(it, 1, "k")
            git(tmp_path, "-C", str(app), "status", "-s")
            os.system(f"rm -rf {trees(it)[0].path}")
            second = await wake(it, 2, "k")
            assert second["result"]["text"] == first["result"]["text"]

    async def test_commits_on_no_branch_of_a_deleted_tree_get_one(self, tmp_path: Path, app: Path) -> None:
        script = "git checkout -q --detach; echo work > file; git add .; git commit -qm Work"
        async with engine(tmp_path, project(app), works(script)) as it:
            first = await wake(it, 1, "k")
            os.system(f"rm -rf {trees(it)[0].path}")
            await wake(it, 2, "k")
            assert git(app, "branch", "--contains", first["git"]["after"]).strip()

    async def test_what_is_no_tree_of_the_repository_is_left_alone(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("rm .git; echo precious > file")) as it:
            await it.emit(1, key="k")
            await it.delivered()
            (tree,) = trees(it)
            await it.emit(2, key="k")
            await until(lambda: any("not a work tree" in row.detail for row in it.rows()), "the reason")
            assert (Path(tree.path) / "file").read_text() == "precious\n"

    async def test_a_tree_that_nobody_wrote_down_is_used(self, tmp_path: Path, app: Path) -> None:
        async with engine(tmp_path, project(app), works("echo work > mine; pwd")) as it:
            first = await wake(it, 1, "k")
            (tree,) = trees(it)
            Shelf(tmp_path / "home").forget(tree.name)
            second = await wake(it, 2, "k")
            assert second["result"] == first["result"]
            assert trees(it)[0].branch == tree.branch


async def test_a_session_does_not_outlive_its_tree(tmp_path: Path, app: Path) -> None:
    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        known = session.id if session is not None else None
        return RunSpec(argv=["echo", known or "new"], cwd="/", session_id=known or f"s-{wake.run_id}")

    async with engine(tmp_path, project(app), Plugins(programs={"one": program})) as it:
        await wake(it, 1, "k")
        assert (await wake(it, 2, "k"))["resumed"]
        it.clock.advance(1)
        git(app, "worktree", "remove", trees(it)[0].path)
        end = await wake(it, 3, "k")
        assert (end["result"]["text"], "resumed" in end) == ("new", False)
        assert "work tree" in end["fresh_session"]
        it.clock.advance(1)
        assert (await wake(it, 4, "k"))["resumed"]


class TestFullDisk:
    async def waits(self, it: Engine, patch: pytest.MonkeyPatch, why: str) -> None:
        """The actor's work waits, nothing is counted, and it goes on once there is room."""
        await it.emit(1, key="k")
        (pause,) = await until(lambda: it.reader.pauses(), "the pause")
        assert why in pause.reason
        assert it.rows()[0].failures == 0
        patch.undo()

        def over() -> bool:
            it.clock.advance(60)
            it.runtime.dispatcher.wake_all()
            return it.states().count("delivered") == 1

        await until(over, "the run")
        assert Path(trees(it)[0].path, "README").exists()

    async def test_a_tree_that_cannot_be_written_down_is_not_made(
        self, tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, content: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        async with engine(tmp_path, project(app), works("true")) as it:
            monkeypatch.setattr("orgloop.runtime.worktrees.registry.replace_file", refuse)
            await self.waits(it, monkeypatch, "No space left on device")

    async def test_a_tree_that_git_has_no_room_for_is_taken_back(
        self, tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(directory: str, *arguments: str, **how: Any) -> Said:
            if arguments[0] != "reset":
                return await support_git.git(directory, *arguments, **how)
            return Said(
                status=128, error="error: unable to write file README\nfatal: No space left on device"
            )

        async with engine(tmp_path, project(app), works("true")) as it:
            monkeypatch.setattr("orgloop.runtime.worktrees.make.git", refuse)
            await self.waits(it, monkeypatch, "No space left on device")


async def test_without_git_the_actors_work_waits(
    tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with engine(tmp_path, project(app), works("true")) as it:
        await it.emit(1, key="k")
        (pause,) = await until(lambda: it.reader.pauses(), "the pause")
        assert "no program git" in pause.reason


async def test_those_who_wait_for_a_fetch_share_the_next_one() -> None:
    fetches, begun, answers = _Fetch(), 0, asyncio.Event()

    async def fetch() -> Said:
        nonlocal begun
        begun += 1
        await answers.wait()
        return Said(status=0, out=str(begun))

    first = asyncio.create_task(fetches.after_now(fetch))
    await turn()
    later = [asyncio.create_task(fetches.after_now(fetch)) for _ in range(5)]
    await turn()
    answers.set()
    assert (await first).out == "1"
    assert {(await one).out for one in later} == {"2"}, "what began before they asked may lack their news"
    assert begun == 2
