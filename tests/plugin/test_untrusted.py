"""Readers of JSON that somebody else wrote: what is not of the expected kind counts as missing."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.plugin import (
    Refused,
    integer_at,
    load_json,
    number_at,
    object_at,
    objects_at,
    parse_object,
    text_at,
    texts_at,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), ANYTHING)


@given(OBJECTS)
def test_a_reader_gives_its_own_kind_whatever_is_there(data: dict[str, Any]) -> None:
    number, whole = number_at(data, "a"), integer_at(data, "a")
    assert number is None or (
        (type(number) is int and abs(number) < 2**63) or (type(number) is float and isfinite(number))
    )
    assert whole is None or (type(whole) is int and whole == number)
    assert type(text_at(data, "a")) is str
    assert all(type(one) is str for one in texts_at(data, "a"))
    assert all(type(one) is dict for one in objects_at(data, "a"))
    assert type(object_at(data, "a", "b", "c")) is dict


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("7", 7),
        ("7.0", 7),
        ("-2.5", -2.5),
        ("0.1234567890123456789", 0.12345678901234568),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 9.223372036854775808e18),
        ("1e30", 1e30),
        ("1e400", None),
        ("-1e400", None),
        ("1e-400", 0.0),
        ("9" * 3000, None),
        ("true", None),
        ('"7"', None),
        ("null", None),
        ("[7]", None),
    ],
)
def test_a_number_is_finite_and_a_whole_one_fits_in_64_bits(written: str, read: float | None) -> None:
    found = number_at(load_json(f'{{"n": {written}}}'), "n")
    assert found == read
    assert type(found) is type(read)


def test_a_number_is_at_least_what_is_asked_for() -> None:
    assert number_at({"n": -1}, "n", least=0) is None
    assert number_at({"n": Decimal("-0.5")}, "n", least=0) is None
    assert number_at({"n": 0}, "n", least=0) == 0


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null", b"", b"{"])
def test_a_body_that_is_no_object_is_refused_with_the_hint_of_its_source(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_object(body, hint="send one JSON object")
    assert caught.value.status == 400
    if body in (b"[]", b'"text"', b"7", b"null"):
        assert caught.value.hint == "send one JSON object"
