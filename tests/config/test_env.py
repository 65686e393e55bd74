"""Variables: filled in per project, told when they are missing, never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.config.findings import Code, Report, Where
from orgloop.config.reading.env import Variables, read_dotenv
from tests.config.project import HEAD, ROUTES, codes, load, of, only, sound


def fill(data: Any, **environment: str) -> tuple[Any, list[Code]]:
    report = Report()
    filled = Variables(environment, report).fill(data, lambda _: Where(file="x"))
    return filled.data, [finding.code for finding in report.sorted(())]


@pytest.mark.parametrize(
    ("text", "environment", "value"),
    [
        ("${A}", {"A": "1"}, "1"),
        ("x${A}y${B}z", {"A": "1", "B": ""}, "x1yz"),
        ("${A:-b c}", {}, "b c"),
        ("${A:-b}", {"A": ""}, "b"),
        ("${A:-b}", {"A": "c"}, "c"),
        ("${A:-}", {}, ""),
        ("$${A}", {"A": "1"}, "${A}"),
        ("$$${A}", {"A": "1"}, "$${A}"),
        ("$A", {"A": "1"}, "$A"),
        ("{{A}}", {"A": "1"}, "{{A}}"),
        ("${A", {"A": "1"}, "${A"),
        ("${A}", {"A": "${B}", "B": "1"}, "${B}"),
        ("${A}", {"A": "a: b"}, "a: b"),
    ],
)
def test_a_variable_is_filled_in_as_text(text: str, environment: dict[str, str], value: str) -> None:
    data, found = fill({"key": text, "list": [text]}, **environment)
    assert data == {"key": value, "list": [value]}
    assert found == []


def test_keys_keep_their_dollars() -> None:
    assert fill({"${A}": "${A}"}, A="1")[0] == {"${A}": "1"}


@pytest.mark.parametrize("text", ["${}", "${a b}", "${A-b}", "${1A}", "${A:?x}"])
def test_what_is_no_variable_is_told_with_the_way_to_write_it(text: str) -> None:
    assert fill(text, A="1")[1] == [Code.BAD_VARIABLE]


def test_a_variable_that_is_set_to_nothing_is_all_right_inside_text_and_doubtful_alone() -> None:
    assert fill("${A}", A="")[1] == [Code.EMPTY_VARIABLE]
    assert fill("a${A}", A="")[1] == []
    assert fill("${A:-}", A="")[1] == []


@given(
    st.recursive(
        st.text("${}:-AB x"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    )
)
def test_any_text_can_be_filled_in(data: Any) -> None:
    filled, _ = fill(data, A="1")
    assert isinstance(filled, type(data))


def test_a_missing_variable_is_told_at_each_use_with_what_it_is_for(tmp_path: Path) -> None:
    text = HEAD + ROUTES + "\nloggers:\n  - {name: x, type: console, config: {level: '${GITHUB_TOKEN}'}}\n"
    loaded = load(tmp_path, text, {})
    assert codes(loaded) == [Code.MISSING_VARIABLE] * 2
    first = loaded.findings[0]
    assert (first.file, first.line, first.column) == ("orgloop.yaml", 3, 64)
    assert first.path == "sources.0.config.token"
    assert "GITHUB_TOKEN" in first.message
    assert "a GitHub token" in first.hint
    assert "https://github.com/settings/tokens" in first.hint
    assert loaded.organization is None
    assert loaded.sound is not None


def test_a_variable_with_a_default_is_never_missing(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD.replace("${GITHUB_TOKEN}", "${GITHUB_TOKEN:-none}") + ROUTES, {})
    assert codes(loaded) == []
    assert [(use.name, use.is_set, use.default) for use in loaded.variables] == [
        ("GITHUB_TOKEN", False, "none")
    ]


def test_comments_use_no_variables(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD.replace("metadata", "# ${WEBHOOK_SECRET}\nmetadata") + ROUTES)
    assert [use.name for use in loaded.variables] == ["GITHUB_TOKEN"]
    assert sound(loaded).variables == {"GITHUB_TOKEN": "orgloop.yaml"}


def test_a_missing_variable_causes_no_second_finding(tmp_path: Path) -> None:
    files = {
        "orgloop.yaml": HEAD
        + """
routes:
  - name: work
    when: {source: "${SOURCE}", events: [a]}
    transforms: ["${STEP}"]
    then: {actor: "${ACTOR}", limits: {runs: "${RUNS}"}, delivery: {timeout: "${TIMEOUT}"}}
    with: {prompt_file: "${SOP}"}
connectors: ["${FILE}"]
""",
    }
    found = codes(load(tmp_path, files))
    assert found.count(Code.MISSING_VARIABLE) == 7
    assert set(found) <= {Code.MISSING_VARIABLE, Code.DEAD_SOURCE, Code.UNREACHABLE_ACTOR}


def test_the_shell_wins_over_dotenv_and_an_empty_value_is_a_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GITHUB_TOKEN=from-file\nOTHER=kept\n", "utf-8")
    organization = sound(load(tmp_path, HEAD + ROUTES, {"GITHUB_TOKEN": "from-shell"}))
    assert organization.environment == {"GITHUB_TOKEN": "from-shell", "OTHER": "kept"}
    assert only(load(tmp_path, HEAD + ROUTES, {"GITHUB_TOKEN": ""})).code is Code.EMPTY_VARIABLE


def test_two_projects_never_see_each_others_variables(tmp_path: Path) -> None:
    """One process, two projects: each has its own `.env`, and the process's environment stays as it is."""
    before = dict(os.environ)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".env").write_text(f"GITHUB_TOKEN=token-of-{name}\n", "utf-8")
    one, two = (sound(load(tmp_path / name, HEAD + ROUTES, {})) for name in ("one", "two"))
    tokens = [project.sources["github"].settings.token.get_secret_value() for project in (one, two)]  # type: ignore[attr-defined]
    assert tokens == ["token-of-one", "token-of-two"]
    assert dict(os.environ) == before


def test_a_changed_value_changes_the_fingerprint_but_not_what_is_written(tmp_path: Path) -> None:
    one, two = (
        sound(load(tmp_path, HEAD + ROUTES, {"GITHUB_TOKEN": token})) for token in ("first", "second")
    )
    assert one.sources["github"].fingerprint != two.sources["github"].fingerprint
    assert one.actors["agent"].fingerprint == two.actors["agent"].fingerprint
    assert one.snapshot["sources"]["github"]["config"] == two.snapshot["sources"]["github"]["config"]


def test_dotenv_lines_are_read_as_shells_write_them(tmp_path: Path) -> None:
    file, report = tmp_path / ".env", Report()
    file.write_text(
        "\ufeff# comment\nexport A=1\nB='single $x'\nC=\"two\\nlines\"\nD= spaced # comment\nA=2\nE=${A}\n",
        "utf-8",
    )
    assert read_dotenv(file, ".env", report) == {
        "A": "2",
        "B": "single $x",
        "C": "two\nlines",
        "D": "spaced",
        "E": "${A}",
    }
    assert not report.failed


def test_dotenv_lines_that_cannot_be_read_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GITHUB_TOKEN=x\n\n# fine\nno assignment here\nALONE\n", "utf-8")
    loaded = load(tmp_path, HEAD + ROUTES, {})
    assert [(one.code, one.file, one.line) for one in loaded.findings] == [
        (Code.ENV_SYNTAX, ".env", 4),
        (Code.ENV_SYNTAX, ".env", 5),
    ]
    assert "ALONE" not in "".join(str(one) for one in loaded.findings), "it may be a secret"


def test_a_dotenv_of_another_system_is_read(tmp_path: Path) -> None:
    file, report = tmp_path / ".env", Report()
    file.write_bytes(b"\xef\xbb\xbfA=1\r\nB='two\r\nlines'\r\n")
    assert read_dotenv(file, ".env", report) == {"A": "1", "B": "two\nlines"}
    assert not report.failed


def test_a_value_that_no_environment_can_hold_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=1\0\n")
    assert of(load(tmp_path, HEAD + ROUTES), Code.ENV_SYNTAX).line == 1


def test_a_dotenv_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    assert of(load(tmp_path, HEAD + ROUTES), Code.MISSING_FILE).file == ".env"
