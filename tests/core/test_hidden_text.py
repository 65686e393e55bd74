"""What a person does not see, an agent does not read; and two keys that differ never look the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.text.hidden_text import IGNORABLE, UNSEEN, visible, visible_key

EVERY = range(0x110000)

# Default_Ignorable_Code_Point is these, Cf and the variation selectors, without annotations and what is SEEN:
# signs of Egyptian texts, and those that are written before numbers.
OTHERS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0, *range(0xFFF0, 0xFFF9)} | set(
    range(0xE0000, 0xE1000)
)
SEEN = {0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD} | {
    *range(0x0600, 0x0606),
    *range(0x13430, 0x13441),
}


def among(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {code for first, last in ranges for code in range(first, last + 1)}


def test_the_table_is_what_unicode_derives() -> None:
    by_category = {code for code in EVERY if unicodedata.category(chr(code)) == "Cf"}
    selectors = {code for code in EVERY if "VARIATION SELECTOR" in unicodedata.name(chr(code), "")}
    annotations = set(range(0xFFF9, 0xFFFC))
    assert among(IGNORABLE) == (OTHERS | by_category | selectors) - annotations - SEEN


def test_whatever_has_no_look_of_its_own_is_gone() -> None:
    hidden = among(IGNORABLE) | among(UNSEEN)
    for code in EVERY:
        char = chr(code)
        category = unicodedata.category(char)
        if code in hidden or (category in ("Cc", "Cs", "Co") and char not in "\n\t"):
            assert visible(f"a{char}b") == "ab", hex(code)
        else:
            assert visible(f"a{char}b") == f"a{char}b", hex(code)


@pytest.mark.parametrize(
    "picture", ["❤\ufe0f", "👨\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "👩🏽\u200d💻", "☎\ufe0e"]
)
def test_pictures_stay_whole(picture: str) -> None:
    assert visible(f"a{picture}b") == f"a{picture}b"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("❤\ufe0f\ufe0f\ufe0e", "❤\ufe0f"),
        ("👨\u200d\u200d👩", "👨👩"),
        ("a\ufe0f\u200d👩", "a👩"),
        ("👨\u200dx", "👨x"),
        ("🏴\U000e0067\U000e007f", "🏴"),
    ],
)
def test_more_than_belongs_to_a_picture_goes(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a<!-- x -->b", "a b"),
        ("a<!-->b", "a b"),
        ("a<!--->b", "a b"),
        ("a<!-- x --!>b", "a b"),
        ("a<!-- x -- > y -->b", "a b"),
        ("a<!-- x <!-- y --> z", "a  z"),
        ("a<!-- never closed", "a "),
        ("a<!-", "a<!-"),
        ("```\n<!-- x -->\n```", "```\n \n```"),
        ("a<!-\u200b- x -->b", "a b"),
        ("a<![CDATA[ x > y ]]>b", "a b"),
        ("a<![CDATA[ never closed", "a "),
        ("a<!DOCTYPE x>b", "a b"),
        ("if a <!b then", "if a <!b then"),
        ("<!-<!-- x -->- y -->", "<!- - y -->"),
        ("a < b <= c", "a < b <= c"),
        ("</orgloop-event>", "&lt;/orgloop-event>"),
        ("<  /\n ORGLOOP-EVENT>", "&lt;  /\n ORGLOOP-EVENT>"),
        ("<orgloop<!-- x -->-event>", "<orgloop -event>"),
    ],
)
def test_comments_are_not_read_and_our_tag_cannot_be_written(text: str, seen: str) -> None:
    assert visible(text) == seen


@given(st.text(alphabet="<!->[]CDATA x\u200b\u200d\ufe0f👩❤\n", max_size=40))
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize("key", ["title", "größe", "标题", "заголовок", "शीर्षक", "a b", "review_state", "n°"])
def test_ordinary_keys_stay_as_they_are(key: str) -> None:
    assert visible_key(key) == key


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("st\u200bate", "st[U+200B]ate"),
        ("state\u3164", "state[U+3164]"),
        ("st\u0430te", "st[U+0430]te"),
        ("\uff53tate", "[U+FF53]tate"),
        ("e\u0301tat", "e[U+0301]tat"),
        ("a\nb", "a[U+000A]b"),
        ("<!--", "[U+003C]!--"),
        ("st[U+200B]ate", "st[U+005B]U+200B]ate"),
    ],
)
def test_a_key_that_could_pass_for_another_is_spelt_out(key: str, shown: str) -> None:
    assert visible_key(key) == shown


KEYS = st.text(alphabet="st\u200b\u3164\u0430\uff53e\u0301é<[]U+02B", max_size=8)


@given(KEYS, KEYS)
def test_two_keys_that_differ_are_shown_as_two(one: str, other: str) -> None:
    assert (visible_key(one) == visible_key(other)) is (one == other)
