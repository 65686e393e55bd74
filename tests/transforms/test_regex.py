"""Regular expressions as JavaScript means them, in the engine that is fast and in the one that is not."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.transforms.filter_patterns import compile_pattern
from tests.transforms.regexes import answers, cases

SPACES = "\t\n\v\f\r \xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
COMMENT = "Looks good.\r\n/retest\r\n\r\nThanks"


KNOWN: Final = [
    # Lines end with CR, LF, U+2028 and U+2029, for `^`, `$` and `.` alike.
    (r"/^\/retest$/m", COMMENT, True),
    (r"/^\/retest\r?$/m", COMMENT, True),
    (r"/^\/retest\r?\n/m", COMMENT, True),
    (r"/^\/retest$/", COMMENT, False),
    (r"/^Thanks$/m", COMMENT, True),
    (r"/good\.$/m", COMMENT, True),
    (r"/^$/m", COMMENT, True),
    (r"/^$/m", "a\rb", False),
    (r"/^$/m", "a\r\nb", True),
    (r"/^b/m", "a\rb", True),
    (r"/^b/", "a\rb", False),
    (r"/a$/m", "a\u2028b", True),
    (r"/^b$/m", "a\u2029b\u2028c", True),
    (r"/^b/m", "a\x85b", False),
    (r"/^b/m", "a\vb", False),
    (r"/^\B/m", "a\rb", False),
    (r"/^[^x]$/m", "\r", True),
    (r"/a$/", "a\n", False),
    (r"/a$/m", "a\n", True),
    (r"/a$\n^b/m", "a\nb", True),
    (r"/a.b/", "a\rb", False),
    (r"/a.b/", "a\nb", False),
    (r"/a.b/", "a\u2028b", False),
    (r"/a.b/", "a\u2029b", False),
    (r"/a.b/", "a\x85b", True),
    (r"/a.b/s", "a\rb", True),
    (r"/a..b/s", "a\r\nb", True),
    (r"/a[^]b/", "a\u2028b", True),
    (r"/a[^]b/m", "a\u2028b", True),
    # Classes.
    *((r"/^\s$/", space, True) for space in SPACES),
    *((r"/^\s$/", other, False) for other in "\x1c\x1f\x85\u180e\u200b"),
    *((r"/^\S$/", other, True) for other in "\x1c\x1f\x85\u180e\u200b"),
    (r"/\d/", "\u0663", False),
    (r"/^\D$/", "\u0663", True),
    (r"/\w/", "é", False),
    (r"/^\W$/", "é", True),
    (r"/\bx\b/", "éxé", True),
    (r"/x\B/", "xé", False),
    (r"/\B/", "aéa", False),
    (r"/[]/", "a", False),
    (r"/^[\w-.]$/", "-", True),
    (r"/^[a-\d]$/", "-", True),
    (r"/^[\b]$/", "\b", True),
    # Case.
    ("/straße/i", "STRAßE", True),
    ("/straße/i", "STRASSE", False),
    ("/^k$/i", "\u212a", False),
    ("/^k$/iu", "\u212a", True),
    ("/^s$/i", "\u017f", False),
    ("/^s$/iu", "\u017f", True),
    (r"/^\w$/iu", "\u017f", True),
    (r"/^\w$/i", "\u017f", False),
    ("/^é$/i", "É", True),
    ("/^[à-ý]$/i", "É", True),
    ("/^[^é]$/i", "É", False),
    ("/^µ$/i", "μ", True),
    ("/^i$/i", "İ", False),
    ("/^i$/i", "\u0131", False),
    ("/^ß$/iu", "ẞ", True),
    ("/^ß$/i", "ẞ", False),
    ("/^\u03c3$/i", "ς", True),
    ("/^\U00010400$/i", "\U00010428", False),
    ("/^\U00010400$/iu", "\U00010428", True),
    # Escapes.
    (r"/^\u{1F600}$/u", "😀", True),
    (r"/^[\u{1F600}-\u{1F610}]$/u", "😃", True),
    (r"/^\ud83d\ude00$/", "😀", True),
    (r"/^\ud83d\ude00$/u", "😀", True),
    (r"/^\cM\cj$/", "\r\n", True),
    (r"/^\c1$/", r"\c1", True),
    (r"/^\x41\101\8$/", "AA8", True),
    (r"/^\0$/", "\0", True),
    (r"/^\v\f\/\-$/", "\v\f/-", True),
    (r"/^\A\z$/", "Az", True),
    (r"/^a{,2}$/", "a{,2}", True),
    (r"/^{$/", "{", True),
    (r"/^]}$/", "]}", True),
    (r"/^\p{Lu}\p{Script=Greek}$/u", "ÄΩ", True),
    (r"/^\P{L}$/u", "1", True),
    # Text consists of 16-bit units, but for the flag u.
    ("/^.$/", "😀", False),
    ("/^..$/", "😀", True),
    ("/^.$/u", "😀", True),
    ("/^[^x]$/", "😀", False),
    ("/^[😀]$/u", "😀", True),
    # Groups.
    (r"/(?<year>\d{4})-(?<month>\d\d)/", "2026-03", True),
    (r"/^(?<q>['\"]).*\k<q>$/", "'a'", True),
    (r"/^(?<q>['\"]).*\k<q>$/", "'a\"", False),
    (r"/^(a)?\1b$/", "b", True),
    (r"/^\1(a)$/", "a", True),
    (r"/^(a)\1$/i", "aA", True),
    (r"/^(?:(?=a))*b/", "b", True),
    (r"/^(?i:a)b$/", "Ab", True),
    (r"/^(?i:a)b$/", "AB", False),
    # Around.
    (r"/(?<=a|bc)x/", "bcx", True),
    (r"/(?<!a|bc)x/", "bcx", False),
    (r"/(?<=^\s{0,8})x/m", "a\r\n  x", True),
    (r"/(?<=\$\d{1,3})%/", "$12%", True),
    (r"/(?<![\w.])v\d/", "é v1", True),
    (r"/(?<=\r)$/m", "a\r\nb", True),
    (r"/retest(?=$)/m", COMMENT, True),
    (r"/^(?!.*\bwip\b).*$/is", "Fix\r\nWIP", False),
    # From the beginning.
    (r"/b/y", "ab", False),
    (r"/b/gy", "ba", True),
    (r"/^b/my", "a\nb", False),
]  # fmt: skip
"""A regular expression, a text, and what Node.js says."""


@pytest.mark.parametrize(("written", "text", "expected"), KNOWN)
def test_a_regular_expression_means_what_it_means_in_javascript(
    written: str, text: str, expected: bool
) -> None:
    body, _, flags = written[1:].rpartition("/")
    assert answers(body, flags, [text]) in (
        {"slow": [expected], "fast": [expected]},
        {"slow": [expected]},
    )


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("/(?i)fix/", "write flags behind the last slash"),
        ("/(?P<n>a)/", r"\(\?<name>…\)"),
        ("/(?>a)/", "begins no group"),
        ("/a++/", "nothing to repeat"),
        ("/^*/", "nothing to repeat"),
        ("/(?<=a)*/", "nothing to repeat"),
        ("/a{2,1}/", "out of order"),
        ("/[b-a]/", "out of order"),
        ("/(?<n>a)(?<n>b)/", "two groups are named n"),
        ("/(/", "unterminated group"),
        ("/a)/", "unmatched"),
        ("/[a/", "unterminated character class"),
        (r"/\-/u", "means nothing with the flag u"),
        (r"/\p{Nope}/u", "is not known here"),
        (r"/\u{110000}/u", "needs the number of a character"),
        ("/[[a]]/v", "use the flag u"),
        ("/(?<=a+)b/", "bounded length"),
        (r"/(a)(?<=\1)b/", "not supported"),
        ("/" + "(" * 101 + ")" * 101 + "/", "nested"),
    ],
)
def test_what_is_none_or_cannot_be_done_is_refused(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_pattern([written])


@settings(max_examples=60)
@given(st.integers(min_value=0, max_value=2**32))
def test_both_engines_agree(seed: int) -> None:
    for body, flags, texts in cases(seed, 10):
        found = answers(body, flags, texts)
        if found is not None and "fast" in found:
            assert found["fast"] == found["slow"], (body, flags, texts)
