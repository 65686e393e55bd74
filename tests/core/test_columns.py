"""Text in a terminal: folded without a loss, cut so that a name can still be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.text.columns import columns, elided, folded

RED, PLAIN = "\x1b[31m", "\x1b[0m"


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert folded("  two  words ", 13, 4) == ["  two  words "]


def test_a_long_line_goes_on_under_its_indentation() -> None:
    assert folded("12:00 ● it is said", 12, 8) == ["12:00 ● it", "        is", "        said"]


def test_a_word_that_is_too_long_is_broken() -> None:
    assert folded("to https://a.example/b", 10, 2) == ["to", "  https://", "  a.exampl", "  e/b"]


def test_colours_take_no_room_and_are_not_torn() -> None:
    assert folded(f"a {RED}red word{PLAIN}", 5, 1) == [f"a {RED}red", f" word{PLAIN}"]
    assert folded(f"{RED}abcdef{PLAIN}", 3) == [f"{RED}abc", f"def{PLAIN}"]


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("pr", 2), ("é", 1), ("e\u0301", 1), ("日本", 4), (f"{RED}pr{PLAIN}", 2)]
)
def test_columns_are_those_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


@pytest.mark.parametrize(
    ("width", "shown"),
    [(9, "pr-review"), (8, "pr-…view"), (5, "pr…ew"), (2, "…w"), (1, "…")],
)
def test_a_name_keeps_its_begin_and_its_end(width: int, shown: str) -> None:
    assert elided("pr-review", width) == shown


@given(text=st.text(alphabet="ab 日é\t", max_size=60), width=st.integers(4, 30), indent=st.integers(0, 10))
def test_folding_loses_nothing_but_blanks_and_keeps_within_the_width(
    text: str, width: int, indent: int
) -> None:
    lines = folded(text, width, indent)
    assert "".join("".join(lines).split()) == "".join(text.split())
    if len(lines) > 1:
        assert all(columns(line) <= max(width, indent + 2) for line in lines)
        assert all(line.startswith(" " * indent) for line in lines[1:])


@given(name=st.text(alphabet="ab日é", max_size=40), width=st.integers(1, 40))
def test_an_elided_name_is_never_wider(name: str, width: int) -> None:
    assert columns(elided(name, width)) <= width
