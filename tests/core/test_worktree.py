"""Names of work trees and branches, and the rule by which a tree may be removed."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.runs.worktree import (
    MOST_BRANCH,
    TreeContents,
    branch_name,
    is_branch,
    is_due,
    slug,
    tree_name,
    why_kept,
)

TEXTS = st.text(max_size=300) | st.text(alphabet="./-@{}~^: aA\\lock\x00\ud800", max_size=30)


@given(TEXTS)
def test_the_name_of_a_tree_is_one_plain_part_of_a_path(key: str) -> None:
    name = tree_name("/repo", "actor", key)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(name) <= 60
    assert name[0] != "-"


@given(TEXTS, TEXTS)
def test_two_keys_have_two_names(one: str, other: str) -> None:
    assert (tree_name("/repo", "actor", one) == tree_name("/repo", "actor", other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("/a", "x", "k"), ("/b", "x", "k")),
        (("/a", "x", "k"), ("/a", "y", "k")),
        (("/a", "x", "k"), ("/a", "x", "K")),
        (("/a", "x", "a/b"), ("/a", "x", "a-b")),
        (("/a", "x", "k" * 100_000), ("/a", "x", "k" * 100_001)),
        (("/ab", "x", "k"), ("/a", "bx", "k")),
    ],
)
def test_what_differs_has_another_name(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert tree_name(*one) != tree_name(*other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pr:acme/app#42", "pr-acme-app-42"),
        ("Größe", "gr-e"),
        ("...", ""),
        ("🎉", ""),
        ("x" * 99, "x" * 40),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_a_name_shows_the_beginning_of_its_key(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(TEXTS)
def test_every_text_names_a_branch(text: str) -> None:
    name = branch_name(text)
    assert is_branch(name)
    assert len(name.encode()) <= MOST_BRANCH
    assert name == text or not is_branch(text)


@given(TEXTS, TEXTS)
def test_two_texts_name_two_branches(one: str, other: str) -> None:
    assert (branch_name(one) == branch_name(other)) == (one == other)


NAMES = (
    *("main", "feature/one", "a.b", "grüße", "fix-1", "a@b", "1", "a{b}", "x" * 200),
    *(
        "",
        "HEAD",
        "-a",
        "a/-b",
        ".a",
        "a.",
        "a/.b",
        "a/",
        "/a",
        "a//b",
        "a..b",
        "a@{b",
        "a b",
        "a~b",
        "a^b",
    ),
    *("a:b", "a?b", "a*b", "a[b", "a\\b", "a.lock", "a.lock/b", "a\x7fb", "a\tb", "x" * 201, "a\ud800"),
)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
def test_what_we_take_for_a_branch_git_takes_too(name: str) -> None:
    if "\ud800" in name:
        assert not is_branch(name)
        return
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    taken = done.returncode == 0
    too_long = len(name.encode()) > MOST_BRANCH
    assert is_branch(name) == (taken and not too_long)
    assert (
        subprocess.run(["git", "check-ref-format", "--branch", branch_name(name)], check=False).returncode
        == 0
    )


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\u115f", "\u3164", "\u2066", "\ufe0f", "\U000e0041", "\xad"]
)
def test_a_branch_has_nothing_in_its_name_that_nobody_sees(hidden: str) -> None:
    name = branch_name(f"fix-{hidden}login")
    assert hidden not in name
    assert name != branch_name("fix-login")


def test_what_git_reads_as_another_name_is_no_branch() -> None:
    assert not is_branch("@")


@given(
    st.builds(
        TreeContents,
        uncommitted=st.integers(0, 3),
        unpushed=st.integers(0, 3),
        unfinished=st.sampled_from(["", "rebase"]),
        nested=st.sampled_from(["", "vendor"]),
        unknown=st.sampled_from(["", "submodules"]),
    )
)
def test_a_tree_may_go_only_if_nothing_is_lost_with_it(contents: TreeContents) -> None:
    nothing = contents == TreeContents()
    assert (why_kept(contents) == "") == nothing


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (TreeContents(unpushed=1), "1 unpushed commit"),
        (TreeContents(unpushed=2, uncommitted=1), "2 unpushed commits, 1 uncommitted file"),
        (TreeContents(unfinished="rebase"), "an unfinished rebase"),
    ],
)
def test_why_a_tree_is_kept_is_said_in_words(contents: TreeContents, words: str) -> None:
    assert why_kept(contents) == words


@pytest.mark.parametrize(
    ("used", "keep", "now", "due"), [(0, 10, 9, False), (0, 10, 10, True), (5, 0, 5, True), (9, 10, 5, False)]
)
def test_a_tree_stays_for_its_time(used: int, keep: int, now: int, due: bool) -> None:
    assert is_due(used, keep, now) == due
