"""YAML text becomes plain data, and every key and value keeps its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.config.findings import Code
from orgloop.config.reading.positions import LINE_BREAK, line_and_column
from orgloop.config.reading.yaml import MAX_BYTES, MAX_COPIED, MAX_DEPTH, ParsedFile, parse


def read(text: str) -> ParsedFile:
    return parse(text.encode("utf-8", "surrogatepass"))


def problems(text: str) -> list[tuple[Code, tuple[int, int]]]:
    return [(one.code, line_and_column(one.place)) for one in read(text).problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-01-05", "2026-01-05"),
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z"),
        ("12:30:00", "12:30:00"),
        ("5m", "5m"),
        ("42", 42),
        ("-7", -7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2**64),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("0xffffffffffffffffff", 0xFFFFFFFFFFFFFFFFFF),
        ("1.2345678901234567890123", Decimal("1.2345678901234567890123")),
        ("12345678901234567890.0", 12345678901234567890),
        ("1e999", Decimal("1E+999")),
        ("1e2", 100.0),
        ("'42'", "42"),
        ('"true"', "true"),
        ("!!str 42", "42"),
        ("! 42", "42"),
        ("!!int 42", 42),
        ("!!float 1", 1),
        ("1.2.3", "1.2.3"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(written: str, value: Any) -> None:
    parsed = read(f"key: {written}")
    assert parsed.problems == ()
    assert parsed.data["key"] == value
    assert type(parsed.data["key"]) is type(value)


def test_keys_are_text_as_they_stand() -> None:
    assert read("1: a\ntrue: b\n~: c\n'x y': d\n0x1F: e\n").data == {
        "1": "a",
        "true": "b",
        "~": "c",
        "x y": "d",
        "0x1F": "e",
    }


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff", "---\n...\n", "null"])
def test_a_file_without_content_has_no_data_and_no_problem(text: str) -> None:
    assert read(text).data is None
    assert read(text).problems == ()


def test_places_are_those_of_keys_and_values() -> None:
    parsed = read("a: 1\nb:\n  - x\n  - c: é\n    d: {e: [1, 2]}\n")

    def at(*path: str | int, key: bool = False) -> tuple[int, int]:
        return line_and_column(parsed.find(path, key=key))

    assert at("a", key=True) == (1, 1)
    assert at("a") == (1, 4)
    assert at("b", key=True) == (2, 1)
    assert at("b") == (3, 3)
    assert at("b", 0) == (3, 5)
    assert at("b", 1, "d", key=True) == (5, 5)
    assert at("b", 1, "d", "e", 1) == (5, 16)
    assert at("b", 1, "missing", "deeper") == at("b", 1)
    assert at("a", "below", "a scalar") == at("a")
    assert at("b", 7) == at("b")
    assert at() == (1, 1)


@pytest.mark.parametrize("text", ["?", "a: [1]\n?", "? a\n"])
def test_what_is_empty_at_the_end_stands_at_the_end_not_after_it(text: str) -> None:
    parsed = read(text)
    lines = text.split("\n")
    for path in paths(parsed.data):
        for key in (True, False):
            line, column = line_and_column(parsed.find(path, key=key))
            assert line <= len(lines)
            assert column <= len(lines[line - 1]) + 1


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: {url: https://x.y/z?q=1#r, n: 2}", {"a": {"url": "https://x.y/z?q=1#r", "n": 2}}),
        ("a: [b:c, 12:30]", {"a": ["b:c", "12:30"]}),
        ("{a:1}", {"a:1": None}),
        ("a: &x {u: x:y}\nb: {<<: *x, v: true}\n", {"a": {"u": "x:y"}, "b": {"u": "x:y", "v": True}}),
    ],
)
def test_text_with_a_colon_needs_no_quotes_in_flow_style(text: str, data: Any) -> None:
    assert read(text).problems == ()
    assert read(text).data == data


def test_places_stay_the_same_where_a_file_has_such_text() -> None:
    plain, colons = (read(f"a: {{u: {url}, v: [1]}}\nb:\n  - é: 2\n") for url in ("xxxx", "x:/y"))
    assert colons.places == plain.places
    assert problems("a: {u: x:y}\na: 1\nb: *z\n") == [
        (Code.DUPLICATE_KEY, (2, 1)),
        (Code.YAML_ALIAS, (3, 4)),
    ]


def test_a_merge_key_adds_what_is_not_there_and_keeps_its_place() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nmade: {<<: [*b, *o], x: 9}\nsame: *b\n"
    parsed = read(text)
    assert parsed.data["made"] == {"x": 9, "y": 2, "z": 4}
    assert parsed.data["same"] == {"x": 1, "y": 2}
    assert line_and_column(parsed.find(("made", "z"), key=True)) == (2, 18)
    assert line_and_column(parsed.find(("made", "x"), key=True)) == (3, 22)
    assert parsed.problems == ()


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read("a: {'<<': 1}").data == {"a": {"<<": 1}}


def test_aliases_may_be_keys_and_scalars() -> None:
    assert read("a: &x name\n*x : 1\nb: *x\n").data == {"a": "name", "name": 1, "b": "name"}


def test_a_key_that_stands_twice_is_told_with_both_places_and_the_first_counts() -> None:
    parsed = read("a: 1\nb: {c: 1, c: 2}\na: {d: [3]}\ne: 5\n")
    assert parsed.data == {"a": 1, "b": {"c": 1}, "e": 5}
    assert [(one.code, line_and_column(one.place)) for one in parsed.problems] == [
        (Code.DUPLICATE_KEY, (2, 11)),
        (Code.DUPLICATE_KEY, (3, 1)),
    ]
    assert "line 1, column 1" in parsed.problems[1].message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [1, 2", [(Code.YAML_SYNTAX, (1, 9))]),
        ("a: [1, 2\n", [(Code.YAML_SYNTAX, (2, 1))]),
        ("a:\n\tb: 1\n", [(Code.YAML_SYNTAX, (2, 1))]),
        ("a: b: c", [(Code.YAML_SYNTAX, (1, 5))]),
        ("a: {b: c:d\n", [(Code.YAML_SYNTAX, (2, 1))]),
        ("a: {b: c:d, e: ${F}}", [(Code.YAML_SYNTAX, (1, 17))]),
        ("a: {b: ${F}}", [(Code.YAML_SYNTAX, (1, 9))]),
        ("a: 'x\n", [(Code.YAML_SYNTAX, (2, 1))]),
        ("é: \x07", [(Code.YAML_SYNTAX, (1, 4))]),
        ("a: 1\n---\nb: 2\n", [(Code.YAML_DOCUMENTS, (2, 1))]),
        ("a: {{payload.id}}\nb: 1\n", [(Code.YAML_KEY, (1, 5))]),
        ("- [1]: 2\n", [(Code.YAML_KEY, (1, 3))]),
        ("a: &x [1]\n*x : 2\n", [(Code.YAML_KEY, (2, 1))]),
        ("a: *nothing\n", [(Code.YAML_ALIAS, (1, 4))]),
        ("a: &a [*a]\n", [(Code.YAML_ALIAS, (1, 8))]),
        ("a: {<<: 1}\n", [(Code.YAML_ALIAS, (1, 9))]),
        ("a: {<<: [{b: 1}, 2]}\n", [(Code.YAML_ALIAS, (1, 18))]),
        ("a: {<<: {b: 1}, <<: {c: 1}}\n", [(Code.DUPLICATE_KEY, (1, 17))]),
        ("a: !env TOKEN\n", [(Code.YAML_TAG, (1, 4))]),
        ("a: !!python/object:os.system {}\n", [(Code.YAML_TAG, (1, 4))]),
        ("a: !!set {b}\n", [(Code.YAML_TAG, (1, 4))]),
        ("a: !!int x\n", [(Code.YAML_NUMBER, (1, 4))]),
        ("a: !!int true\n", [(Code.YAML_NUMBER, (1, 4))]),
        ("a: .inf\nb: .nan\n", [(Code.YAML_NUMBER, (1, 4)), (Code.YAML_NUMBER, (2, 4))]),
        ("a: 1e9999999\n", [(Code.YAML_NUMBER, (1, 4))]),
        (f"a: 0x{'f' * 4000}\n", [(Code.YAML_NUMBER, (1, 4))]),
        (f"a: {'9' * 5000}\n", [(Code.YAML_NUMBER, (1, 4))]),
        (f"a: {'[' * MAX_DEPTH}", [(Code.YAML_DEPTH, (1, 3 + MAX_DEPTH))]),
        (f"a: {'[' * 200_000}", [(Code.YAML_DEPTH, (1, 3 + MAX_DEPTH))]),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    text: str, found: list[tuple[Code, tuple[int, int]]]
) -> None:
    assert problems(text) == found
    assert all(one.hint for one in read(text).problems)


@pytest.mark.parametrize(
    ("text", "line", "column", "hint"),
    [
        ("a:\n\tb: 1\n", 2, 1, "with spaces, not with tabs"),
        ("a: b\n\tc: 1\n", 2, 1, "with spaces, not with tabs"),
        ("a: 1\nb\nc: 2\n", 2, 1, "a colon and a space behind the key"),
        ("a:\n  b: 1\n  c:2\n", 3, 3, "a colon and a space behind the key"),
        ("a:\n  b:1\n  c: 2\n", 3, 4, "the colons up to here"),
        ("a: [*]\n", 1, 5, "text that begins with * in quotes"),
        ("a:\n  - *.closed\n", 2, 5, "text that begins with * in quotes"),
        ("a: {u: x:y, b: *}\n", 1, 16, "text that begins with * in quotes"),
        ("a: &\n", 1, 4, "text that begins with & in quotes"),
        ("a: @orgloop/x\n", 1, 4, "text that begins with @ in quotes"),
        ("a: `x`\n", 1, 4, "text that begins with ` in quotes"),
        ("a: b: c\n", 1, 5, "values that contain `: `"),
        ("a:\n  - b: 1\n    c: 2\n   d: 3\n", 4, 4, "the indentation"),
        ("a:\n\u00a0 b: 1\n  c: 2\n", 3, 4, "at the beginning of line 2 with a plain one"),
        ("a: 1\nb: 'x\nc: 2\n", 4, 1, "close the quote that begins in line 2"),
    ],
)
def test_a_common_mistake_is_told_where_it_is_with_its_remedy(
    text: str, line: int, column: int, hint: str
) -> None:
    (problem,) = read(text).problems
    assert problem.code is Code.YAML_SYNTAX
    assert line_and_column(problem.place) == (line, column)
    assert hint in problem.hint


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(end: str) -> None:
    parsed = read(end.join(["a: 1", "b:", "  - c", "  - d: e", ""]))
    assert parsed.problems == ()
    assert parsed.data == {"a": 1, "b": ["c", {"d": "e"}]}
    assert line_and_column(parsed.find(("b", 1, "d"))) == (4, 8)


def test_what_follows_an_unquoted_template_is_still_read() -> None:
    assert read("a: {{payload.id}}\nb: 1\nc: [{{x}}, 2]\n").data == {"b": 1, "c": [2]}


def test_a_few_lines_of_aliases_cannot_mean_billions() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    parsed = read("\n".join(lines))
    assert [one.code for one in parsed.problems] == [Code.YAML_ALIAS]
    assert f"{MAX_COPIED:,}" in parsed.problems[0].message


def test_merge_keys_cannot_mean_billions_either() -> None:
    lines = ["a0: &a0 {x0: 1, x1: 1, x2: 1}"]
    for n in range(1, 10):
        inner = ", ".join(f"{key}{n}: *a{n - 1}" for key in "bcdefghijk")
        lines.append(f"a{n}: &a{n} {{{inner}, <<: *a{n - 1}}}")
    assert problems("\n".join(lines))[0][0] is Code.YAML_ALIAS


def test_a_file_that_is_no_text_is_refused() -> None:
    assert [one.code for one in parse(b"a: \xff\n").problems] == [Code.YAML_ENCODING]
    assert line_and_column(parse("é: 1\nb: ".encode() + b"\xff").problems[0].place) == (2, 4)
    assert [one.code for one in parse(b" " * (MAX_BYTES + 1)).problems] == [Code.YAML_SIZE]


def test_a_byte_order_mark_does_not_move_the_places() -> None:
    parsed = parse("\ufeffa: 1\n".encode())
    assert parsed.data == {"a": 1}
    assert line_and_column(parsed.find(("a",), key=True)) == (1, 1)


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\x85\u2028\u2029")
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


@given(JSON)
def test_json_is_read_as_what_it_is(data: Any) -> None:
    parsed = read(json.dumps(data, ensure_ascii=False, indent=1))
    assert parsed.problems == ()
    assert parsed.data == data


def paths(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(data, dict):
        found += [one for key, value in data.items() for one in paths(value, (*path, key))]
    if isinstance(data, list):
        found += [one for number, value in enumerate(data) for one in paths(value, (*path, number))]
    return found


YAMLISH = st.text(st.sampled_from(list("ab:-[]{}*&!|>'\"#,? \n\t\r\x85\u2028<~.01%@`\\é😀")), max_size=60)


@given(YAMLISH | st.text(max_size=60))
def test_any_text_is_read_without_a_crash_and_every_place_lies_inside_it(text: str) -> None:
    parsed = read(text)
    lines = LINE_BREAK.split(text.removeprefix("\ufeff"))
    places = [one.place for one in parsed.problems]
    for path in paths(parsed.data):
        places += [parsed.find(path), parsed.find(path, key=True)]
    for place in places:
        line, column = line_and_column(place)
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


@given(st.binary(max_size=40))
def test_any_bytes_are_read_without_a_crash(content: bytes) -> None:
    parsed = parse(content)
    assert parsed.data is None or not any(one.code is Code.YAML_SYNTAX for one in parsed.problems)
