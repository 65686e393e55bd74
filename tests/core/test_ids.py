"""Identifiers tell when they were made, and grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.ids import RUN, IdSequence, made_at, make_id

MOMENTS = st.integers(0, (1 << 44) - 1)


@given(at=MOMENTS, tail=st.integers(0, 1 << 30))
def test_an_id_tells_its_moment(at: int, tail: int) -> None:
    assert made_at(make_id(RUN, at, tail)) == at


@pytest.mark.parametrize("other", ["", "run", "run_", "run_12", "run_zzzzzzzzzzzzzzzz", "lost+found"])
def test_what_is_no_id_has_no_moment(other: str) -> None:
    assert made_at(other) is None


@given(moments=st.lists(st.integers(0, 1 << 40), min_size=2, max_size=30), seed=st.integers(0, 1 << 20))
def test_ids_grow_though_the_clock_steps_back(moments: list[int], seed: int) -> None:
    sequence = IdSequence(seed)
    ids = [sequence.next(RUN, at) for at in moments]
    assert ids == sorted(set(ids))
