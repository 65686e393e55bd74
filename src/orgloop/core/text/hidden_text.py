"""Hidden text: what a person would not see is taken out of what an agent reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

IGNORABLE: Final = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Unicode's property Default_Ignorable_Code_Point: what shows nothing where it is not supported."""

UNSEEN: Final = (
    # Control characters but tab and line feed, half characters, annotations, private use, no characters.
    (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0xD800, 0xDFFF), (0xFFF9, 0xFFFB), (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF), *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
    (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD),
    # Signs that are blank: of Braille, and of music.
    (0x2800, 0x2800), (0x1D159, 0x1D159),
)  # fmt: skip
"""What else shows nothing, or nothing that its writer and a reader agree about."""

_PICTURES: Final = (
    (0x203C, 0x203C), (0x2049, 0x2049), (0x2122, 0x2122), (0x2139, 0x2139), (0x2194, 0x21AA),
    (0x231A, 0x23FF), (0x24C2, 0x24C2), (0x25AA, 0x27BF), (0x2934, 0x2935), (0x2B05, 0x2B55),
    (0x3030, 0x3030), (0x303D, 0x303D), (0x3297, 0x3299), (0x1F000, 0x1FAFF),
)  # fmt: skip
"""Where emoji are. One joiner or selector between or behind them belongs to the picture."""

_ALIKE: Final = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET", "OSAGE")
"""Scripts with letters that look like Latin ones."""


def _of(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


_HIDDEN: Final = re.compile(f"[{_of((*IGNORABLE, *UNSEEN))}]")
_DANGLING: Final = re.compile(
    f"[{_of(one for one in (*IGNORABLE, *UNSEEN) if one[0] not in (0x200B, 0xFE00))}"
    "\u200b\u200c\u200e\u200f\ufe00-\ufe0d]"
)
"""What is hidden, but for what can be a part of a picture."""

_NO_PART: Final = re.compile(
    f"(?<![{_of(_PICTURES)}])[\ufe0e\ufe0f]"
    f"|(?<![{_of(_PICTURES)}])(?<![{_of(_PICTURES)}]\ufe0f)\u200d|\u200d(?![{_of(_PICTURES)}])"
)
_OWN_TAG: Final = re.compile(r"<(?=\s*+(?:/\s*+)?orgloop-event)", re.IGNORECASE)


def visible(text: str) -> str:
    """`text` without what a person would not see: invisible characters, and comments of HTML.

    Nothing in it can be taken for a tag of our own.
    """
    # In this order: what was invisible, or a comment, must not part the letters of what is looked for next.
    if not (text.isascii() and text.isprintable()):
        text = _DANGLING.sub("", text)
        if not text.isascii():
            text = _NO_PART.sub("", text)
    if "<" in text:
        # Something stays where a comment was: else its two sides could make a new one.
        text = _OWN_TAG.sub("&lt;", _without_comments(text))
    return text


def without_hidden(text: str) -> str:
    """`text` without characters that nobody sees."""
    return text if text.isascii() else _HIDDEN.sub("", text)


def visible_key(key: str) -> str:
    """How the key of a map is shown: two keys that differ never look the same.

    What is invisible, or looks like something else, is shown by its code point.
    """
    if key.isascii() and key.isprintable() and "<" not in key and "[U+" not in key:
        return key
    is_latin = any(char.isascii() and char.isalpha() for char in key)
    is_composed = key.isascii() or unicodedata.is_normalized("NFC", key)
    # A bracket, too, where the key has such a mark from the start.
    plain = "<\n\t[" if "[U+" in key else "<\n\t"
    return "".join(
        f"[U+{ord(char):04X}]"
        if char in plain or _HIDDEN.match(char) or _deceives(char, is_latin, is_composed)
        else char
        for char in key
    )


def _deceives(char: str, is_latin: bool, is_composed: bool) -> bool:
    """Whether a character may pass for another one, in a key with Latin letters, or composed, or not."""
    if char.isascii():
        return False
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and plain.isascii():
        return True
    if not is_composed and unicodedata.combining(char):
        return True
    return is_latin and unicodedata.name(char, "").startswith(_ALIKE)


def _without_comments(text: str) -> str:
    """Comments are over where browsers end them; one that has no end reaches to the end of the text."""
    parts: list[str] = []
    begin = at = 0
    closes = True
    while (at := text.find("<!", at)) >= 0:
        end = -1
        if text.startswith("<!--", at):
            end = _end_of_comment(text, at + 4)
        elif text.startswith("<![CDATA[", at):
            end = _behind(text, "]]>", at)
        elif closes and text[at + 2 : at + 3].isalpha():
            # A declaration is shown, as long as nothing ends it.
            end = text.find(">", at) + 1
            closes = end > 0
        if end <= 0:
            at += 2
            continue
        parts += (text[begin:at], " ")
        begin = at = end
    return "".join(parts) + text[begin:] if parts else text


def _end_of_comment(text: str, at: int) -> int:
    for empty in (">", "->"):
        if text.startswith(empty, at):
            return at + len(empty)
    found = _COMMENT_END.search(text, at)
    return found.end() if found else len(text)


def _behind(text: str, end: str, at: int) -> int:
    found = text.find(end, at)
    return found + len(end) if found >= 0 else len(text)


_COMMENT_END: Final = re.compile("--!?>")
