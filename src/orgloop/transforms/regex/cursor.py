"""The characters of a regular expression, one after the other, and the escapes that mean one of them."""

from __future__ import annotations

from typing import Final

from orgloop.transforms.regex.charset import LAST, SURROGATES

_ESCAPES: Final = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class RegexError(ValueError):
    """It is no regular expression of JavaScript, or not a supported one. The message says why and where."""


class Cursor:
    """A place in a regular expression; `whole`: it consists of characters (flag u), not of 16-bit units."""

    def __init__(self, text: str, *, whole: bool) -> None:
        self._text = text
        self._whole = whole
        self._at = 0

    def _code(self, *, in_class: bool) -> int:
        """The one character that an escape means."""
        begin = self._at
        if begin >= len(self._text):
            raise self._wrong("\\ at the end", begin - 1)
        char = self._text[begin]
        self._at += 1
        if char in _ESCAPES:
            return ord(_ESCAPES[char])
        letter = self._text[self._at : self._at + 1]
        if char == "c" and letter.isascii() and letter.isalpha():
            self._at += 1
            return ord(letter) % 32
        if char == "c" and not self._whole:
            self._at = begin
            return ord("\\")
        if char == "x" and (code := self._hex(2)) is not None:
            return code
        if char == "u" and (code := self._unicode(begin)) is not None:
            return code
        if char in "01234567" and not self._whole:
            return self._octal(begin)
        if char == "0" and not self._text[self._at : self._at + 1].isdigit():
            return 0
        if self._whole and char not in _SYNTAX:
            raise self._wrong(f"\\{char} means nothing with the flag u; write {char}", begin)
        return ord(char)

    def _unicode(self, begin: int) -> int | None:
        if self._whole and self._peek("{"):
            digits, closed, _ = self._text[self._at + 1 : self._at + 10].partition("}")
            if not closed or not digits or not _HEX.issuperset(digits) or int(digits, 16) > LAST:
                raise self._wrong("\\u{…} needs the number of a character, such as \\u{1F600}", begin)
            self._at += len(digits) + 2
            return int(digits, 16)
        code = self._hex(4)
        if code is not None and self._whole and 0xD800 <= code < 0xDC00 and self._peek("\\u"):
            after = self._at
            self._at += 2
            low = self._hex(4)
            if low is not None and low in SURROGATES and low >= 0xDC00:
                return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            self._at = after
        return code

    def _hex(self, digits: int) -> int | None:
        written = self._text[self._at : self._at + digits]
        if len(written) < digits or not _HEX.issuperset(written):
            return None
        self._at += digits
        return int(written, 16)

    def _octal(self, begin: int) -> int:
        """As in C: up to three digits, and at most 0o377."""
        end = begin + 1
        while (
            end < begin + 3
            and self._text[end : end + 1] in tuple("01234567")
            and int(self._text[begin : end + 1], 8) <= 0o377
        ):
            end += 1
        self._at = end
        return int(self._text[begin:end], 8)

    def _digits(self) -> str:
        end = self._at
        while end < len(self._text) and self._text[end] in "0123456789":
            end += 1
        return self._text[self._at : end]

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _wrong(self, why: str, at: int | None = None) -> RegexError:
        before = self._text[: self._at if at is None else at].encode("utf-16-le", "surrogatepass")
        return RegexError(f"{why} at position {len(before.decode('utf-16-le', 'surrogatepass'))}")
