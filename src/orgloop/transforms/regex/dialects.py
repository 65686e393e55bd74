"""A regular expression of JavaScript, written for RE2, which is linear, or for Python's `re`, which is not.

Both see the text in the same shape (`Shape.encoded`), so that they agree with JavaScript where their own
ideas differ. Without the flag u, text consists of 16-bit units; a half of a surrogate pair becomes a
character of the last plane, which no text has then. RE2 knows one end of a line only, and cannot look
ahead for the others. Where the ends of lines count for it, each becomes three characters: a line feed,
a letter that says which it was, and a line feed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from orgloop.transforms.regex.charset import LAST, LINE_ENDS, SURROGATES, CharSet, units
from orgloop.transforms.regex.cursor import RegexError
from orgloop.transforms.regex.tree import (
    Alternation,
    Anchor,
    Back,
    Chars,
    Group,
    Look,
    Node,
    Regex,
    Repeat,
    Sequence,
    WordEdge,
)

_APART: Final = 0x100000
"""From a surrogate to the character that stands for it."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# The line feed comes first: it stands around the others.
_ENDS: Final = {"\n": "n", "\r": "r", "\u2028": "l", "\u2029": "p"}
_FOLDED: Final = {0x17F: "s", 0x212A: "k"}
_RE2_CODE: Final = "\\x{{{:x}}}".format
_RE_CODE: Final = "\\U{:08x}".format
_MOST_WIDTHS: Final = 1000
_WORD: Final = "[0-9A-Za-z_]"


class NotLinear(Exception):
    """RE2 cannot do this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextModel:
    """How an engine sees text: in characters or (not `whole`) in units, with wrapped ends of lines or not.

    `folded`: the two letters beyond ASCII that are letters of a word with the flags iu are those of ASCII.
    """

    whole: bool
    wrapped: bool
    folded: bool

    def encoded(self, text: str) -> str:
        """`text` as the engine gets it: without surrogates, so that it can be written as UTF-8."""
        if not text.isascii():
            if self.whole:
                text = _SURROGATE.sub("\ufffd", text)
                text = text.translate(_FOLDED) if self.folded else text
            else:
                text = _SURROGATE.sub(lambda found: chr(ord(found[0]) + _APART), units(text))
        if self.wrapped:
            for end, letter in _ENDS.items():
                text = text.replace(end, f"\n{letter}\n")
        return text


def for_re2(regex: Regex) -> tuple[str, TextModel, bool]:
    """As RE2 writes it, and whether it is for the beginning of the text only. Raises NotLinear."""
    shape = TextModel(
        whole=regex.whole, wrapped=_has(regex, Anchor(True, True), Anchor(False, True)), folded=_folds(regex)
    )
    body = _Re2(shape).write(regex.root)
    if regex.sticky or not (shape.wrapped or _has(regex, WordEdge(True))):
        return body, shape, regex.sticky
    # RE2's own search would also look between the three characters of one end of a line, and the bytes of
    # one character.
    before = r"(?:[^\n]|\n[a-z]\n)*?" if shape.wrapped else r"(?s:.)*?"
    return f"{before}(?:{body})", shape, True


def for_re(regex: Regex) -> tuple[str, TextModel]:
    """As Python's `re` writes it. Raises RegexError for what `re` cannot do."""
    shape = TextModel(whole=regex.whole, wrapped=False, folded=_folds(regex))
    return _Re(shape, _named_by(regex.root)).write(regex.root), shape


class _Re2:
    def __init__(self, shape: TextModel) -> None:
        self._shape = shape

    def write(self, node: Node) -> str:
        match node:
            case Chars(chars):
                return self._chars(chars)
            case Sequence(parts):
                return "".join(map(self._unit, parts))
            case Alternation(parts):
                return "|".join(map(self.write, parts))
            case Repeat(part, least, most):
                return f"(?:{self.write(part)}){_times(least, most)}"
            case Group(part):
                return f"(?:{self.write(part)})"
            case Anchor(begins, lines):
                return ("(?m:^)" if begins else "(?m:$)") if lines else (r"\A" if begins else r"\z")
            case WordEdge(negated):
                return r"\B" if negated else r"\b"
            case Look() | Back():
                raise NotLinear
            case _:
                assert_never(node)

    def _unit(self, node: Node) -> str:
        return f"(?:{self.write(node)})" if isinstance(node, Alternation) else self.write(node)

    def _chars(self, chars: CharSet) -> str:
        if not self._shape.wrapped:
            return _bracketed(_apart(chars, self._shape), _RE2_CODE)
        ends = "".join(letter for end, letter in _ENDS.items() if ord(end) in chars)
        others = _bracketed(_apart(chars - LINE_ENDS, self._shape), _RE2_CODE)
        return f"(?:{others}|\\n[{ends}]\\n)" if ends else others


class _Re:
    def __init__(self, shape: TextModel, named: frozenset[int]) -> None:
        self._shape = shape
        self._named = named

    def write(self, node: Node) -> str:
        match node:
            case Chars(chars):
                return self._chars(chars)
            case Sequence(parts):
                return "".join(map(self._unit, parts))
            case Alternation(parts):
                return "|".join(map(self.write, parts))
            case Repeat(Look() as part, least):
                return self.write(part) if least else ""
            case Repeat(part, least, most, lazy):
                return f"(?:{self.write(part)}){_times(least, most)}{'?' if lazy else ''}"
            case Group(part, number):
                name = f"?P<g{number}>" if number in self._named else "?:"
                return f"({name}{self.write(part)})"
            case Look(part, ahead, negated):
                sign = "!" if negated else "="
                return f"(?{sign}{self.write(part)})" if ahead else self._behind(part, negated)
            case Back(number, any_case):
                again = f"(?P=g{number})"
                return f"(?(g{number}){f'(?i:{again})' if any_case else again})"
            case Anchor(begins, lines):
                return _edge(begins, lines)
            case WordEdge(negated):
                return _word_edge(negated)
            case _:
                assert_never(node)

    def _unit(self, node: Node) -> str:
        return f"(?:{self.write(node)})" if isinstance(node, Alternation) else self.write(node)

    def _chars(self, chars: CharSet) -> str:
        return _bracketed(_apart(chars, self._shape), _RE_CODE)

    def _behind(self, part: Node, negated: bool) -> str:
        """`re` looks back by one width only, so that each width is asked for apart."""
        if negated:
            return "".join(f"(?<!{text})" for text in self._widths(part).values())
        return "(?:" + "|".join(f"(?<={text})" for text in self._widths(part).values()) + ")"

    def _widths(self, node: Node) -> dict[int, str]:
        """By each width that it can have, what it is then."""
        match node:
            case Chars():
                return {1: self.write(node)}
            case Sequence(parts):
                found = {0: ""}
                for part in parts:
                    found = _joined(found, self._widths(part))
                return found
            case Alternation(parts):
                return _either([self._widths(part) for part in parts])
            case Repeat(part, least, most):
                return self._repeated(self._widths(part), least, most)
            case Group(part, number):
                if number in self._named:
                    raise RegexError("a back-reference to a group within a lookbehind is not supported")
                return self._widths(part)
            case Look() | Back() | Anchor() | WordEdge():
                return {0: self.write(node)}
            case _:
                assert_never(node)

    def _repeated(self, one: dict[int, str], least: int, most: int | None) -> dict[int, str]:
        if set(one) == {0}:
            return one if least else {0: ""}
        if most is None or most * max(one, default=0) > _MOST_WIDTHS:
            raise RegexError(
                "a lookbehind can look back over a bounded length only: write {0,100} in place of *, "
                "{1,100} in place of +"
            )
        found = {0: ""}
        for _ in range(least):
            found = _joined(found, one)
        for _ in range(most - least):
            found = _either([found, _joined(found, one)])
        return found


def _joined(left: dict[int, str], right: dict[int, str]) -> dict[int, str]:
    return _either([{w + v: text + more} for w, text in left.items() for v, more in right.items()])


def _either(choices: list[dict[int, str]]) -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for choice in choices:
        for width, text in choice.items():
            if text not in found.setdefault(width, []):
                found[width].append(text)
    if len(found) > _MOST_WIDTHS or sum(map(len, map("".join, found.values()))) > 100_000:
        raise RegexError("a lookbehind has too many forms: write a shorter one")
    return {
        width: texts[0] if len(texts) == 1 else f"(?:{'|'.join(texts)})" for width, texts in found.items()
    }


def _edge(begins: bool, lines: bool) -> str:
    if begins:
        return r"(?:\A|(?<=[\n\r\u2028\u2029]))" if lines else r"\A"
    return r"(?=[\n\r\u2028\u2029]|\Z)" if lines else r"\Z"


def _word_edge(negated: bool) -> str:
    into, out_of = ("!", "=") if negated else ("=", "!")
    return f"(?:(?<={_WORD})(?{out_of}{_WORD})|(?<!{_WORD})(?{into}{_WORD}))"


def _apart(chars: CharSet, shape: TextModel) -> CharSet:
    """With the halves of surrogate pairs where `Shape.encoded` puts them."""
    if shape.whole:
        return chars
    halves = chars - SURROGATES.complement(LAST)
    moved = CharSet.of((first + _APART, last + _APART) for first, last in halves.ranges)
    return (chars - SURROGATES) | moved


def _bracketed(chars: CharSet, escape: Callable[[int], str]) -> str:
    """The set as both engines write it. One letter or digit stands alone, which engines are quick to find."""
    if not chars.ranges:
        return f"[^{escape(0)}-{escape(LAST)}]"
    [first, last], *more = chars.ranges
    if first == last and not more:
        return chr(first) if first < 128 and chr(first).isalnum() else escape(first)
    return "[" + "".join(f"{escape(first)}-{escape(last)}" for first, last in chars.ranges) + "]"


def _times(least: int, most: int | None) -> str:
    return {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most)) or (
        f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    )


def _has(regex: Regex, *nodes: Node) -> bool:
    return any(one in nodes for one in _walk(regex.root) if isinstance(one, Anchor | WordEdge))


def _folds(regex: Regex) -> bool:
    return regex.folds and _has(regex, WordEdge(True), WordEdge(False))


def _named_by(node: Node) -> frozenset[int]:
    return frozenset(one.number for one in _walk(node) if isinstance(one, Back))


def _walk(node: Node) -> list[Node]:
    found, todo = [], [node]
    while todo:
        node = todo.pop()
        found.append(node)
        match node:
            case Sequence(parts) | Alternation(parts):
                todo.extend(parts)
            case Repeat(part) | Group(part) | Look(part):
                todo.append(part)
            case _:
                pass
    return found
