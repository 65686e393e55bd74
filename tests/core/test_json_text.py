"""JSON bodies."""

from __future__ import annotations

import contextlib
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.json_text import MAX_DEPTH, dump_json, parse_json
from orgloop.errors import Refused

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé"), inner, max_size=3),
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@given(JSON)
def test_what_is_written_reads_back(value: object) -> None:
    assert parse_json(dump_json(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(Refused):
        json.dumps(parse_json(body))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is empty"),
        (b" \n ", "The body is empty"),
        (b"\xef\xbb\xbf", "The body is empty"),
        (b'{"a": 1,\n "b": }', "line 2, column 7"),
        (b"[1,", "line 1, column 4"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a":\n "\xff"}', "not UTF-8 at line 2, column 3"),
        (b"NaN", "line 1, column 1"),
        (b'"\\ud800"', "line 1"),
        (nested(MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels"),
        (nested(100_000), f"deeper than {MAX_DEPTH} levels"),
        (b"[" * 5_000, f"deeper than {MAX_DEPTH} levels"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, f"deeper than {MAX_DEPTH} levels"),
    ],
)
def test_a_bad_body_is_refused_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        parse_json(body)
    assert refused.value.status == 400


def test_a_body_may_be_wide_and_as_deep_as_the_bound() -> None:
    parse_json(nested(MAX_DEPTH))
    parse_json(b"[" + nested(MAX_DEPTH - 1) + b", []]")
    assert len(parse_json(b"[" + b",".join([b"[]"] * 1000) + b"]")) == 1000


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_any_map_can_be_written_and_other_things_cannot() -> None:
    assert dump_json(MappingProxyType({"a": (1, 2)})) == b'{"a":[1,2]}'
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        dump_json({"a": object()})
