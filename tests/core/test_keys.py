"""Keys made of values: what counts as one, and which are the same."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.fields import MISSING, same
from orgloop.core.events.keys import identity, is_missing, key_text
from orgloop.core.events.templates import Template

alike = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, 1.5, Decimal("1.5"), "", "1", "true", "null", "[]"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def nested(levels: int, leaf: object) -> Any:
    value = leaf
    for level in range(levels):
        value = {"in": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        *(None, MISSING, "", " ", "\t\r\n", "\u00a0\u3000", "\u200b", "\u3164", "\ufeff \u2060", "\u2800"),
        *([], {}, (), [[]], [None], [""], {"a": None}, {"a": []}, [{"a": " "}, []]),
    ],
    ids=ascii,
)
def test_what_holds_nothing_is_no_value(value: object) -> None:
    assert is_missing(value)


@pytest.mark.parametrize(
    "value",
    [
        *(False, 0, 0.0, Decimal(0), "0", "false", "null", "-", " x ", "é", "\U0001f600", "\u200bx"),
        *([0], [None, 1], {"a": False}, {"a": [None, {"b": "x"}]}),
    ],
    ids=lambda it: ascii(it)[:30],
)
def test_everything_else_is_a_value(value: object) -> None:
    assert not is_missing(value)


@given(alike, alike)
def test_equal_values_have_one_identity_and_others_do_not(one: object, other: object) -> None:
    assert (identity(one) == identity(other)) is same(one, other)


@pytest.mark.parametrize(
    "group",
    [
        (100, 100.0, 1e2, Decimal("1E2"), Decimal("100.00")),
        ("100",),
        ("1e2",),
        (0, -0.0, Decimal("-0")),
        (10**23, 1e23, Decimal("1E+23")),
        (2**64, Decimal(2**64)),
        (2**64 + 1,),
        (Decimal("1E+999999"),),
        (Decimal("1E-999999"),),
        (0.1, Decimal("0.10")),
        (True,),
        ("true",),
        (1, 1.0),
        ("1",),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}),
        ([1, 2],),
        ([2, 1],),
        ("[1,2]",),
    ],
    ids=ascii,
)
def test_numbers_are_equal_by_value_maps_in_any_order_and_types_differ(group: tuple[Any, ...]) -> None:
    every = [100, "100", "1e2", 0, 10**23, 2**64, 2**64 + 1, Decimal("1E+999999"), Decimal("1E-999999"), 0.1]
    every += [True, "true", 1, "1", {"a": 1, "b": [2]}, [1, 2], [2, 1], "[1,2]"]
    assert len({identity(value) for value in group}) == 1
    assert [identity(one) for one in every].count(identity(group[0])) == 1


@given(alike)
def test_an_identity_is_json(value: object) -> None:
    assert same(json.loads(identity(value)), value)


def test_what_is_deeper_than_a_stack_has_an_identity_and_may_hold_nothing() -> None:
    assert is_missing(nested(50_000, None))
    assert not is_missing(nested(50_000, 0))
    assert identity(nested(50_000, 1.0)) == identity(nested(50_000, 1))


def test_a_key_reads_as_text() -> None:
    assert [key_text(one) for one in ("a", 1e20, True, {"b": 1, "a": 2.0})] == [
        "a",
        "100000000000000000000",
        "true",
        '{"a":2,"b":1}',
    ]


@pytest.mark.parametrize(
    ("template", "data", "key", "missing"),
    [
        ("k:{{a}}", {"a": 7}, "k:7", []),
        ("k:{{a}}", {"a": ""}, None, ["a"]),
        ("k:{{a}}", {"a": " \n"}, None, ["a"]),
        ("k:{{a}}", {"a": []}, None, ["a"]),
        ("{{a}}{{b}}", {"a": 1, "b": {}}, None, ["b"]),
        ("{{a ?? b}}", {"a": "", "b": 2}, "2", []),
        ("{{a ?? b}}", {"a": "", "b": []}, None, ["a ?? b"]),
        ('{{a ?? "none"}}', {"a": " "}, "none", []),
        ('{{a ?? ""}}', {}, None, ["a"]),
        ("{{a}}", {"a": {"y": 1, "x": 2}}, '{"x":2,"y":1}', []),
        ("{{a}}", {"a": 1e2}, "100", []),
    ],
)
def test_a_template_of_which_a_part_has_no_value_is_no_key(
    template: str, data: dict[str, Any], key: str | None, missing: list[str]
) -> None:
    compiled = Template.parse(template)
    assert compiled.key(data) == key
    assert compiled.missing(data) == missing
