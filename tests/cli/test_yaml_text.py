"""Data as YAML text: it reads back as the same data, and looks as a person writes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.config.reading.yaml import parse
from orgloop.project.yaml_text import block, scalar

AWKWARD = st.sampled_from(
    [
        *(
            "a: b",
            "- x",
            "a #b",
            "a:",
            "key :",
            "a: ",
            "a:b",
            "::",
            "? a",
            "?",
            "=",
            "<<",
            "~",
            "`",
            "",
            " b",
        ),
        *("null", "on", "1", "1.0", "0x1", "2020-01-01", "*a", "&b", "!x", "%y", "@z", "-c", "--"),
        *("${X}", "{{a}}", "https://a/b?c=1#d", "\u2028", "\ud7ff", "\x85"),
        *("a\nb\n", "a\n b", "\n", "a\n\n", "  a\n", "  a\nb\n", "\na\n"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12) | AWKWARD
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | AWKWARD, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), DATA, min_size=1, max_size=3))
def test_data_reads_back_as_it_was(data: dict[str, Any]) -> None:
    text = "\n".join(block(data)) + "\n"
    parsed = parse(text.encode())
    assert parsed.problems == ()
    assert parsed.data == data


@given(st.lists(DATA, min_size=1, max_size=3), st.integers(0, 6))
def test_lists_read_back_at_any_depth(data: list[Any], indent: int) -> None:
    text = "\n".join(["items:", *block(data, indent)]) + "\n"
    assert parse(text.encode()).data == {"items": data}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("resource.changed", "resource.changed"),
        ("pull_request.*", "pull_request.*"),
        ("sops/a.md", "sops/a.md"),
        ("./a.sh", "./a.sh"),
        ("${GITHUB_TOKEN}", "${GITHUB_TOKEN}"),
        ("https://chat.example/hook", "https://chat.example/hook"),
        ("-c", "-c"),
        ("pr:{{payload.id}}", '"pr:{{payload.id}}"'),
        ("*", '"*"'),
        ("true", '"true"'),
        ("5", '"5"'),
        ("a: b", '"a: b"'),
        (5, "5"),
        (None, "null"),
        (False, "false"),
    ],
)
def test_scalars_are_quoted_only_if_they_must_be(value: Any, written: str) -> None:
    assert scalar(value) == written


def test_a_program_is_written_as_a_block() -> None:
    assert block({"command": ["sh", "-c", "read a\necho $a\n"]}) == [
        "command:",
        "  - sh",
        "  - -c",
        "  - |",
        "    read a",
        "    echo $a",
    ]


def test_short_lists_stand_on_one_line() -> None:
    assert block({"events": ["a.b", "${X}"], "none": []}) == ['events: [a.b, "${X}"]', "none: []"]
