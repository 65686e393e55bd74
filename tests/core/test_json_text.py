"""JSON keeps the digits of its numbers, and its text is Unicode."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.fields import as_text, same
from orgloop.core.events.templates import Template
from orgloop.core.text.json_text import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_LEVELS,
    NotJson,
    TooDeep,
    dump_json,
    load_json,
    parse_json,
    text_of,
)
from orgloop.errors import Refused

DIGITS = st.text("0123456789", min_size=1, max_size=40)
NUMBER = st.builds(
    lambda sign, whole, part, exponent: (
        sign
        + (whole.lstrip("0") or "0")
        + (f".{part}" if part else "")
        + (f"e{exponent}" if exponent else "")
    ),
    st.sampled_from(["", "-"]),
    DIGITS,
    st.just("") | DIGITS,
    st.integers(-400, 400),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.text() | NUMBER.map(load_json),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def number(value: object) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))


@given(NUMBER)
def test_a_number_comes_out_as_it_went_in(written: str) -> None:
    value = load_json(written)
    assert number(value) == Decimal(written)
    assert Decimal(dump_json(value).decode()) == Decimal(written)
    assert same(load_json(dump_json(value)), value)
    assert load_json(f'{{"a": [{written}]}}') == {"a": [value]}


@given(NUMBER, NUMBER)
def test_two_numbers_are_one_only_if_they_are_equal(one: str, other: str) -> None:
    equal = Decimal(one) == Decimal(other)
    assert same(load_json(one), load_json(other)) == equal
    key = Template.parse("{{ id }}")
    if key.render({"id": load_json(one)}) == key.render({"id": load_json(other)}):
        assert equal


@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    assert (
        dump_json(value)
        == text_of(value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    )
    assert dump_json(load_json(dump_json(value))) == dump_json(value)
    assert same(load_json(dump_json(value, indent=True)), load_json(dump_json(value)))


@pytest.mark.parametrize(
    ("written", "value", "shown"),
    [
        ("1180591620717411303424", 2**70, "1180591620717411303424"),
        ("18446744073709551616", 2**64, "18446744073709551616"),
        ("-9223372036854775809", -(2**63) - 1, "-9223372036854775809"),
        ("12345678901234567890.5", Decimal("12345678901234567890.5"), "12345678901234567890.5"),
        ("12345678901234567890.50", Decimal("12345678901234567890.5"), "12345678901234567890.5"),
        ("12345678901234567890.0", 12345678901234567890, "12345678901234567890"),
        ("0.1234567890123456789", Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        ("0.30000000000000004", 0.30000000000000004, "0.30000000000000004"),
        ("1e400", Decimal("1e400"), "1E+400"),
        ("1e-400", Decimal("1e-400"), "1E-400"),
        ("1.0", 1.0, "1"),
        ("-0", 0, "0"),
        ("1.50", 1.5, "1.5"),
        ("9" * MAX_DIGITS, int("9" * MAX_DIGITS), "9" * MAX_DIGITS),
    ],
)
def test_numbers(written: str, value: object, shown: str) -> None:
    found = load_json(written)
    assert type(found) is type(value)
    assert found == value
    assert as_text(found) == shown


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"cut \ud83d"', "cut \ufffd"),
        (r'"\udc00 begins"', "\ufffd begins"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
        (r'{"\ud83d": ["\uDFFF"]}', {"\ufffd": ["\ufffd"]}),
        (r'["\ud83d", 1180591620717411303424]', ["\ufffd", 2**70]),
    ],
)
def test_half_a_surrogate_pair_is_a_replacement_character(written: str, value: object) -> None:
    assert load_json(written) == value
    assert load_json(written.encode()) == value


@pytest.mark.parametrize(
    ("document", "problem", "place"),
    [
        (b"[1,\n NaN]", "NaN", (2, 2)),
        (b"[-Infinity]", "-Infinity", (1, 2)),
        (b"[1,\n " + b"9" * (MAX_DIGITS + 1) + b"]", "digits", (2, 2)),
        (b"[1e9999999]", "1e9999999", (1, 2)),
        (b'{"a":\n "\xff"}', "UTF-8", (2, 3)),
        ('"x"'.encode("utf-16"), "UTF-16", (1, 1)),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16", (1, 1)),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16", (1, 1)),
        ('{"a": 1}'.encode("utf-32"), "UTF-32", (1, 1)),
        (b'{"a": 1,\n "b": }', None, (2, 7)),
        (b'{"a": 1} x', None, (1, 10)),
        (b'"\\ud83d" x', None, (1, 10)),
        (b'["\\ud83d", "\n"]', None, (1, 13)),
    ],
)
def test_what_is_no_json_says_so_with_its_place(
    document: bytes, problem: str | None, place: tuple[int, int]
) -> None:
    with pytest.raises(NotJson, match=problem) as refused:
        load_json(document)
    assert (refused.value.line, refused.value.column) == place


@pytest.mark.parametrize("inner", [b"1", b"1e400", b'"\\ud83d"', b"9" * 30])
def test_depth_is_bounded_whatever_is_inside(inner: bytes) -> None:
    with pytest.raises(TooDeep):
        load_json(b"[" * 100_000 + inner + b"]" * 100_000)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_complaint(document: bytes) -> None:
    with contextlib.suppress(NotJson):
        dump_json(load_json(document))


def test_any_map_can_be_written_and_other_things_cannot() -> None:
    assert dump_json(MappingProxyType({"a": (1, 2**70)})) == b'{"a":[1,1180591620717411303424]}'
    with pytest.raises(ValueError, match="is not JSON"):
        dump_json({"a": object()})
    with pytest.raises(ValueError, match="is not JSON"):
        dump_json({"a": object(), "b": 2**70})


def test_lines_look_alike_whatever_numbers_they_hold() -> None:
    plain = {"a": [1, {"b": None}], "c": {}, "d": []}
    assert dump_json(plain, indent=True) == json.dumps(plain, indent=2).encode()
    large = {"a": [2**70, {"b": None}], "c": {}, "d": []}
    assert dump_json(large, indent=True) == json.dumps(large, indent=2).encode()


def nested(levels: int, inner: object = 1) -> object:
    for _ in range(levels):
        inner = [inner]
    return inner


@pytest.mark.parametrize("inner", [1, 2**70])
def test_what_is_written_can_be_read_again_or_is_refused_as_too_deep(inner: object) -> None:
    deepest = nested(MAX_LEVELS - 1, inner)
    assert load_json(dump_json(deepest)) == deepest
    with pytest.raises(ValueError, match="levels"):
        dump_json(nested(MAX_LEVELS + 1, inner))
    assert text_of(nested(100_000, inner)).endswith("]" * 100_000)


def levels(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


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
        (levels(MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels"),
        (levels(100_000), f"deeper than {MAX_DEPTH} levels"),
        (b"[" * 5_000, f"deeper than {MAX_DEPTH} levels"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, f"deeper than {MAX_DEPTH} levels"),
    ],
)
def test_a_bad_body_is_refused_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        parse_json(body)
    assert refused.value.status == 400


def test_a_body_may_be_wide_and_as_deep_as_the_bound() -> None:
    parse_json(levels(MAX_DEPTH))
    parse_json(b"[" + levels(MAX_DEPTH - 1) + b", []]")
    assert len(parse_json(b"[" + b",".join([b"[]"] * 1000) + b"]")) == 1000


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_deep_body_is_deep_whatever_its_numbers() -> None:
    large = b"1180591620717411303424"
    assert parse_json(b"[" * MAX_DEPTH + large + b"]" * MAX_DEPTH)
    with pytest.raises(Refused, match="levels"):
        parse_json(b"[" * (MAX_DEPTH + 1) + large + b"]" * (MAX_DEPTH + 1))
    assert len(parse_json(b"[" + b",".join([b"[" + large + b"]"] * 1000) + b"]")) == 1000
