"""Patterns: what equals what, and regular expressions as JavaScript writes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.fields import MISSING, same
from orgloop.transforms.filter_patterns import compile_pattern, regex_text
from tests.transforms.given import json_values


def matches(pattern: Any, value: object) -> bool:
    compiled = compile_pattern(pattern)
    assert not compiled.slow, "this one needs the helper"
    return compiled.test(value)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        # null
        (None, None, True),
        (None, MISSING, True),
        (None, "", False),
        (None, 0, False),
        # scalars: type and value
        ("opened", "opened", True),
        ("opened", "Opened", False),
        ("42", 42, False),
        (42, "42", False),
        (42, 42.0, True),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, None, False),
        ("opened", MISSING, False),
        ("", MISSING, False),
        # lists: any of
        (["a", 1, None], "a", True),
        (["a", 1, None], 1, True),
        (["a", 1, None], MISSING, True),
        (["a", ["b", "/^c/"]], "cat", True),
        (["a", "b"], "c", False),
        ([], "a", False),
        (["a,b"], "a", False),
        (["a,b"], "a,b", True),
        # a list in the event is not its members
        ("bug", ["bug"], False),
        (["bug"], ["bug"], False),
        ('/"bug"/', ["bug", "p1"], True),
        ('/^."state":"approved".$/', {"state": "approved"}, True),
        # maps
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": 2}, False),
        # text with commas: any of
        ("a, b ,c", "b", True),
        ("a, b ,c", "a, b ,c", False),
        ("/^a/, b", "apple", True),
        ("/^a/, b", "b", True),
        ("b, /^a/i", "Apple", True),
        ("/^a{1,2}$/, x", "aa", True),
        # paths are no regular expressions
        ("/home/ada", "/home/ada", True),
        ("/home/ada", "home", False),
        ("/usr/bin, /usr/sbin", "/usr/sbin", True),
        ("/", "/", True),
        ("//", "//", True),
        ("//", "anything", False),
        ("/a/ii", "/a/ii", True),
        ("/a/ii", "a", False),
        ("/a/uv", "/a/uv", True),
        ("/a/uv", "a", False),
        ("/home/g", "at home", True),
        # regular expressions
        ("/fix/", "prefix", True),
        ("/fix/", "Fix", False),
        ("/fix/i", "Fix", True),
        ("/fix/y", "prefix", False),
        ("/fix/y", "fixed", True),
        ("/fix/dgu", "prefix", True),
        ("/^b$/", "a\nb", False),
        ("/^b$/m", "a\nb", True),
        ("/a.b/", "a\nb", False),
        ("/a.b/s", "a\nb", True),
        ("/a.b/ims", "A\nB", True),
        ("/a$/", "a\n", False),
        (r"/a\/b/", "a/b", True),
        ("/a/b/", "a/b", True),
        ("/4/", 42, True),
        ("/^true$/", True, True),
        ("/^1$/", 1.0, True),
        ("/.+/", None, False),
        ("/.+/", MISSING, False),
        ("/^$/", MISSING, True),
        (r"/^\u0041\u{42}\cA\x43$/", "AB\x01C", True),
        (r"/^\ud83d\ude00$/", "\U0001f600", True),
        (r"/^\0$/", "\0", True),
        (r"/(?<year>\d{4})/", "in 2026", True),
        (r"/^[^]$/", "\n", True),
        (r"/[]/", "a", False),
        (r"/^[a[^]$/", "[", True),
        (r"/^[\b]$/", "\x08", True),
        (r"/^[$]$/", "$", True),
    ],
)
def test_a_pattern_matches_a_value(pattern: Any, value: object, expected: bool) -> None:
    assert matches(pattern, value) is expected


def test_a_regular_expression_with_commas_stays_one() -> None:
    assert matches("/^a,b$/", "a,b")
    assert not matches("/^a,b$/", "b$/")


@pytest.mark.parametrize("body", ["(", "[a-", "*a", "a**", "[z-a]", r"\k<nope>"])
def test_a_regular_expression_that_is_none_says_where_it_goes_wrong(body: str) -> None:
    with pytest.raises(ValueError, match=r"is not a regular expression: .* at position \d"):
        compile_pattern(f"/{body}/i")


def test_the_position_is_that_in_what_was_written() -> None:
    with pytest.raises(ValueError, match="nothing to repeat at position 7"):
        compile_pattern(r"/\u0041**/")


@pytest.mark.parametrize(
    "body", [r"^(?!bot)", r"(?<=a)b", r"(a)\1", r"(?<q>['\"]).*\k<q>", "a{1,2000}", r"^\d+(?=%)$"]
)
def test_what_cannot_be_done_in_linear_time_is_slow(body: str) -> None:
    compiled = compile_pattern([f"/{body}/i", "plain"])
    assert len(compiled.slow) == 1
    assert compiled.test("plain")


def test_a_catastrophic_regular_expression_is_fast() -> None:
    assert not matches("/^(a+)+$/", "a" * 100_000 + "b")


@given(json_values)
def test_a_regular_expression_can_look_at_any_value(value: Any) -> None:
    assert matches(r"/^[\s\S]*$/", value)
    assert isinstance(regex_text(value), str)


@given(json_values, json_values)
def test_a_value_matches_itself_and_what_is_the_same(value: Any, other: Any) -> None:
    if isinstance(value, str | list):
        value = {"wrapped": value}
    assert matches(value, value)
    assert matches(value, other) is same(value, other)


@given(st.lists(st.text(alphabet="abc /", min_size=1), min_size=2, max_size=5).map(",".join))
def test_splitting_at_commas_loses_nothing(listing: str) -> None:
    parts = [part.strip() for part in listing.split(",")]
    if not any(part.startswith("/") for part in parts):
        assert all(matches(listing, part) for part in parts)
