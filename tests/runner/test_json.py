"""The runner's own JSON: small, because loading the library takes longer than everything else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.runner.files import encode, from_json, to_json

NUMBERS = st.integers(min_value=0) | st.floats(min_value=0, allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def joined(value: Any) -> Any:
    """The value with the halves of each character joined, as the runner does for every word."""
    match value:
        case str():
            return encode(value).decode()
        case list():
            return [joined(item) for item in value]
        case dict():
            return {joined(name): joined(item) for name, item in value.items()}
        case _:
            return value


@given(VALUES)
def test_what_json_writes_the_runner_reads(value: object) -> None:
    assert from_json(json.dumps(value, ensure_ascii=False)) == value
    assert joined(from_json(json.dumps(value, indent=1))) == value


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.none() | st.floats(0, 1e300)))
def test_what_orjson_writes_the_runner_reads(value: object) -> None:
    assert from_json(orjson.dumps(value).decode()) == value


@given(st.dictionaries(st.text(), st.text() | NUMBERS | st.none() | st.dictionaries(st.text(), st.text())))
def test_what_the_runner_writes_json_reads(value: object) -> None:
    assert json.loads(encode(to_json(value))) == value


@given(st.binary())
def test_bytes_that_are_no_text_survive_the_way_through_json(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert encode(from_json(json.dumps(text))) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1",
        '{"a": 1',
        "nothing",
        "print(1)",
        "[x for x in [1]]",
        "1 + 1",
        "{1: 2, **{}}",
        'f"{1}"',
        "1; 2",
    ],
)
def test_what_is_not_json_is_refused_and_never_run(text: str) -> None:
    with pytest.raises((ValueError, LookupError, SyntaxError)):
        from_json(text)
