"""What is said about a project with more than sixty mistakes, word for word."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orgloop.config.findings import Code, Report, Severity, Where, nearest
from orgloop.config.load import Loaded, load_project
from tests.config.doubles import registry
from tests.config.project import HEAD, load

BROKEN = Path(__file__).parent / "broken"


@pytest.fixture
def broken(tmp_path: Path) -> Loaded:
    root = Path(shutil.copytree(BROKEN / "project", tmp_path / "project"))
    (root / "transforms/plain.sh").chmod(0o644)
    (root / "transforms/silent.sh").chmod(0o755)
    (root / ".env").write_text("LINEAR_API_KEY=lin_api_secret\nthis is no assignment\n", "utf-8")
    return load_project(root, registry(), {})


def test_all_problems_are_told_at_once_with_place_code_and_next_step(broken: Loaded) -> None:
    told = "".join(f"{finding}\n" for finding in broken.findings)
    assert told == (BROKEN / "findings.txt").read_text("utf-8")
    assert len(broken.errors) > 30


def test_each_place_shows_the_thing_that_the_finding_is_about(broken: Loaded, tmp_path: Path) -> None:
    for finding in broken.findings:
        if finding.code is Code.UNKNOWN_KEY:
            lines = (tmp_path / "project" / finding.file).read_text("utf-8").splitlines()
            assert finding.line is not None
            assert finding.column is not None
            key = finding.path.rsplit(".", 1)[-1]
            assert lines[finding.line - 1][finding.column - 1 :].startswith(f"{key}:")


def test_every_code_has_a_sentence_and_a_stable_form() -> None:
    for code in Code:
        assert code.meaning.endswith(".")
        assert code == code.name.lower().replace("_", "-")


def test_a_finding_says_where_it_is(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD + "\nroute: []\n")
    text = next(str(finding) for finding in loaded.findings if finding.code is Code.UNKNOWN_KEY)
    assert text == (
        "orgloop.yaml:9:1: error: the project: `route` is not a known key [unknown-key]\n"
        "  did you mean `routes`?"
    )


def test_the_same_finding_counts_once_and_only_errors_fail() -> None:
    doubtful, wrong = Report(), Report()
    where = Where(file="a.yaml", line=2, column=3, path="x")
    for report in (doubtful, wrong):
        report.warn(Code.CYCLE, where, "round and round")
        report.warn(Code.CYCLE, where, "round and round")
    wrong.error(Code.BAD_VALUE, Where(file="a.yaml", line=1, column=1), "bad")
    assert (doubtful.failed, wrong.failed) == (False, True)
    found = [finding.severity for finding in wrong.sorted(["a.yaml"])]
    assert found == [Severity.ERROR, Severity.WARNING]


def test_findings_follow_the_order_of_files_then_of_lines() -> None:
    report = Report()
    for file, line in (("b", 2), ("a", 9), ("b", 1), ("z", 1)):
        report.error(Code.BAD_VALUE, Where(file=file, line=line, column=1), "bad")
    assert [(one.file, one.line) for one in report.sorted(["z", "b"])] == [
        ("z", 1),
        ("b", 1),
        ("b", 2),
        ("a", 9),
    ]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("githb", ["github", "linear"], "did you mean `github`?"),
        ("GitHub", ["github", "linear"], "did you mean `github`?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", [], ""),
        (
            "zzz",
            [f"n{n:02}" for n in range(13)],
            f"known: {', '.join(f'n{n:02}' for n in range(13))}",
        ),
        (
            "zzz",
            [f"n{n:02}" for n in range(14)],
            f"known: {', '.join(f'n{n:02}' for n in range(12))} and 2 more",
        ),
    ],
)
def test_a_hint_names_the_nearest_or_what_there_is(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint
