"""What `validate` says of work trees: settings that cannot be meant, and repositories that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.config.findings import Code, Severity
from orgloop.config.git_files import has_revision
from orgloop.config.load import load_project
from orgloop.plugin.registry import Registry
from tests.config.project import write
from tests.support.repository import cloned, commit, git, new_repository, push_elsewhere

Told = list[tuple[Code, int | None, int | None, str]]


def told(root: Path, worktree: str, cwd: str = "app", more: str = "") -> Told:
    """The findings about an actor with these work trees, and where they stand."""
    text = f"""\
metadata: {{name: trees}}
sources: [{{id: hook, connector: webhook}}]
actors:
  - id: one
    connector: process
    config:
      command: "true"
      cwd: {cwd}
      worktree: {worktree}{more}
routes:
  - name: r
    when: {{source: hook, events: [a]}}
    then: {{actor: one, config: {{session_key: "{{{{payload.k}}}}"}}}}
"""
    found = load_project(write(root, {"orgloop.yaml": text}), Registry.installed(), {}).findings
    return [(one.code, one.line, one.column, one.message) for one in found]


@pytest.mark.parametrize(
    "worktree",
    [
        "{}",
        "{per: run}",
        "{per: key, base: main, keep: 3d, setup: ./script/setup, branch: 'fix/{{payload.k}}'}",
        "{base: origin/main, keep: 0s, setup: [make, setup], setup_timeout: 90s}",
        "{base: feature}",
        "{base: v1}",
        "{base: 0123456789abcdef0123456789abcdef01234567}",
    ],
)
def test_sound_settings_bring_no_finding(tmp_path: Path, worktree: str) -> None:
    app = cloned(tmp_path)
    push_elsewhere(tmp_path, "feature")
    git(app, "fetch", "-q")
    commit(app, "script/setup")
    (app / "script" / "setup").chmod(0o755)
    git(app, "tag", "v1")
    git(app, "pack-refs", "--all")
    assert told(tmp_path, worktree) == []


@pytest.mark.parametrize(
    ("worktree", "code", "word"),
    [
        ("{per: branch}", Code.BAD_VALUE, "per"),
        ("{keep: 3}", Code.BAD_VALUE, "keep"),
        ("{keep: -1d}", Code.BAD_VALUE, "keep"),
        ("{setup_timeout: 0s}", Code.BAD_VALUE, "setup_timeout"),
        ("{base: ''}", Code.BAD_VALUE, "base"),
        ("{base: --force}", Code.BAD_VALUE, "base"),
        ("{branch: ' '}", Code.BAD_VALUE, "branch"),
        ("{branch: '{{payload..k}}'}", Code.BAD_VALUE, "branch"),
        ("{branch: work}", Code.RISKY_SETTING, "placeholder"),
        ("{setup: ''}", Code.BAD_VALUE, "setup"),
        ('{setup: "a \'b"}', Code.BAD_VALUE, "setup"),
        ("{setup: ./none}", Code.MISSING_SCRIPT, "./none"),
        ("{pre: key}", Code.UNKNOWN_KEY, "pre"),
        ("true", Code.WRONG_TYPE, "worktree"),
    ],
)
def test_settings_that_cannot_be_meant_are_told_at_their_place(
    tmp_path: Path, worktree: str, code: Code, word: str
) -> None:
    new_repository(tmp_path / "app")
    [(found, line, column, message)] = told(tmp_path, worktree)
    assert (found, line) == (code, 9), message
    assert (column or 0) >= 7
    assert word in message or code is Code.RISKY_SETTING


def test_a_base_that_does_not_exist_is_told_at_its_place(tmp_path: Path) -> None:
    new_repository(tmp_path / "app")
    [(code, line, column, message)] = told(tmp_path, "{per: key, base: trunk}")
    assert (code, line, column) == (Code.MISSING_BASE, 9, 34)
    assert "'trunk'" in message


def test_a_directory_in_no_repository_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    [(code, line, column, message)] = told(tmp_path, "{}")
    assert (code, line, column) == (Code.NO_REPOSITORY, 8, 7)
    assert str(tmp_path / "app") in message


@pytest.mark.parametrize("cwd", ["app/new", "app/old/new", "app/main-only"])
@pytest.mark.parametrize("worktree", ["{}", "{base: feature}", "{base: v1}"])
def test_a_directory_that_the_base_lacks_is_told_at_its_place(
    tmp_path: Path, worktree: str, cwd: str
) -> None:
    app = cloned(tmp_path)
    commit(app, "old/file")
    git(app, "branch", "feature")
    git(app, "tag", "v1")
    git(app, "push", "-q")
    (tmp_path / cwd).mkdir(parents=True)
    if cwd == "app/main-only":
        commit(app, "main-only/file")
    [(code, line, column, message)] = told(tmp_path, worktree, cwd)
    assert (code, line, column) == (Code.UNCOMMITTED_CWD, 8, 7)
    assert f"`{cwd.removeprefix('app/')}`" in message
    assert told(tmp_path, worktree, "app/old") == []
    git(app, "push", "-q")
    git(app, "branch", "-f", "feature")
    git(app, "tag", "-f", "v1")
    assert (told(tmp_path, worktree, cwd) == []) == (cwd == "app/main-only")


def test_a_switch_is_told_the_form_of_a_map_that_needs_no_key(tmp_path: Path) -> None:
    text = """\
metadata: {name: trees}
actors: [{id: one, connector: process, config: {command: "true", worktree: true}}]
"""
    loaded = load_project(write(tmp_path, {"orgloop.yaml": text}), Registry.installed(), {})
    [error] = loaded.errors
    assert "`worktree: {}`" in error.hint


@pytest.mark.parametrize(
    ("branch", "found"),
    [
        ("{{payload.head_ref}}", []),
        ("{{payload.head_reff}}", [(7, 54)]),
        ("fix/{{ provenance.pr_number ?? payload.nothing }}", []),
        ("{{payload.workflow_name}}", []),
        ("{{payload.merged_by}}", [(7, 54)]),
    ],
)
def test_a_path_in_a_branch_that_no_event_has_is_told(
    tmp_path: Path, branch: str, found: list[tuple[int, int]]
) -> None:
    new_repository(tmp_path / "app")
    text = f"""\
metadata: {{name: trees}}
sources: [{{id: github, connector: github, config: {{secret: s}}}}]
actors:
  - id: one
    connector: process
    config:
      {{command: "true", cwd: app, worktree: {{branch: "{branch}"}}}}
routes:
  - {{name: review, when: {{source: github, events: [pull_request.review_submitted]}}, then: {{actor: one}}}}
  - {{name: ci, when: {{source: github, events: [workflow_run.completed]}}, then: {{actor: one}}}}
"""
    findings = load_project(write(tmp_path, {"orgloop.yaml": text}), Registry.installed(), {}).findings
    assert [(one.line, one.column) for one in findings if one.code is Code.UNKNOWN_PATH] == found


def test_overlap_beside_work_trees_is_told(tmp_path: Path) -> None:
    new_repository(tmp_path / "app")
    [(code, line, _, _)] = told(tmp_path, "{}", more="\n      overlap: true")
    assert (code, line) == (Code.RISKY_SETTING, 10)


def test_references_are_found_however_they_are_kept(tmp_path: Path) -> None:
    app = cloned(tmp_path)
    git(app, "tag", "v1")
    git(app, "branch", "feature/one")
    for pack in (False, True):
        if pack:
            git(app, "pack-refs", "--all")
        for name in ("main", "origin/main", "v1", "feature/one"):
            assert has_revision(str(app), name), (name, pack)
        assert has_revision(str(app), "feature") is False
        assert has_revision(str(app), "abcdef1") is None
    git(app, "worktree", "add", "-q", str(tmp_path / "second"), "feature/one")
    assert has_revision(str(tmp_path / "second"), "main")


def test_every_finding_about_a_repository_is_a_warning(tmp_path: Path) -> None:
    """It may be cloned yet."""
    new_repository(tmp_path / "app")
    text = """\
metadata: {name: trees}
actors: [{id: one, connector: process, config: {command: "true", cwd: app, worktree: {base: trunk}}}]
"""
    loaded = load_project(write(tmp_path, {"orgloop.yaml": text}), Registry.installed(), {})
    assert {one.severity for one in loaded.findings} == {Severity.WARNING}
