"""Regular expressions as JavaScript writes them, read into a tree.

The grammar is that of ECMAScript, with what browsers take besides: without the flag u, what has no
other meaning is plain text. Nobody means that by `\\u{41}` and `\\p{L}`: they bring the flag u along.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from orgloop.transforms.regex.charset import (
    DIGITS,
    EMPTY,
    LAST,
    LAST_UNIT,
    LINE_ENDS,
    SPACE,
    WORD,
    CharSet,
    units,
    with_property,
)
from orgloop.transforms.regex.cursor import Cursor, RegexError
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

FLAGS: Final = frozenset("dgimsuvy")
MOST_DEPTH: Final = 100
MOST_REPEATS: Final = 2**31 - 1
MOST_CHARACTERS: Final = 100_000
LONGEST_NAME: Final = 100

_CLASSES: Final = {"d": DIGITS, "s": SPACE, "w": WORD}
_BOUNDS: Final = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_ONLY_WHOLE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\(?:u\{|[pP]\{)")
_DOUBLED: Final = frozenset("&!#$%*+,.:;<=>?@^`~-")


@dataclass(frozen=True, slots=True)
class _Mode:
    any_case: bool
    lines: bool
    dot_all: bool


def parse(body: str, flags: str) -> Regex:
    """What `/body/flags` means. Raises RegexError."""
    if len(body) > MOST_CHARACTERS:
        raise RegexError(f"it has more than {MOST_CHARACTERS} characters")
    whole = "u" in flags or "v" in flags or _ONLY_WHOLE.search(body) is not None
    mode = _Mode("i" in flags, "m" in flags, "s" in flags)
    reader = _Reader(body if whole else units(body), whole=whole, sets="v" in flags)
    return Regex(root=reader.all(mode), whole=whole, folds=whole and mode.any_case, sticky="y" in flags)


class _Reader(Cursor):
    """Reads one regular expression from its first character to its last."""

    def __init__(self, text: str, *, whole: bool, sets: bool) -> None:
        super().__init__(text, whole=whole)
        self._sets = sets
        self._top = LAST if whole else LAST_UNIT
        self._depth = 0
        self._behind = 0
        self._opened = 0
        self._closed: set[int] = set()
        self._groups = 0
        self._numbers: dict[str, int] = {}
        self._look_through()

    def all(self, mode: _Mode) -> Node:
        found = self._choice(mode)
        if self._at < len(self._text):
            raise self._wrong("unmatched )")
        return found

    def _look_through(self) -> None:
        """Count the groups and note their names: an escape may mean one that comes later."""
        at, inside, text = 0, False, self._text
        while at < len(text):
            match text[at]:
                case "\\":
                    at += 1
                case "[":
                    inside = True
                case "]":
                    inside = False
                case "(" if not inside and not text.startswith("(?", at):
                    self._groups += 1
                case "(" if not inside and text.startswith("(?<", at) and text[at + 3 : at + 4] not in "=!":
                    self._groups += 1
                    name = self._name_at(at + 3)
                    if name in self._numbers:
                        raise self._wrong(f"two groups are named {name}", at)
                    self._numbers[name] = self._groups
            at += 1

    def _name_at(self, at: int) -> str:
        """The name of a group that ends with `>`; "" if that is none."""
        name, found, _ = self._text[at : at + LONGEST_NAME].partition(">")
        return name if found else ""

    def _choice(self, mode: _Mode) -> Node:
        parts = [self._sequence(mode)]
        while self._take("|"):
            parts.append(self._sequence(mode))
        return parts[0] if len(parts) == 1 else Alternation(tuple(parts))

    def _sequence(self, mode: _Mode) -> Node:
        parts: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._quantified(self._atom(mode)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _quantified(self, part: Node) -> Node:
        begin = self._at
        bounds = self._quantifier()
        if bounds is None:
            return part
        match part:
            case Anchor() | WordEdge() | Look(ahead=False):
                raise self._wrong("nothing to repeat", begin)
            case Look() if self._whole:
                raise self._wrong("nothing to repeat", begin)
        least, most = bounds
        if most is not None and most < least:
            raise self._wrong("the numbers in {} are out of order", begin)
        return Repeat(part, least, most, self._take("?"))

    def _quantifier(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        found = _BOUNDS.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        least = _bound(found[1])
        if not found[2]:
            return least, least
        return least, _bound(found[3]) if found[3] else None

    def _atom(self, mode: _Mode) -> Node:
        begin = self._at
        char = self._text[begin]
        if char in "*+?" or (char == "{" and (self._whole or self._quantifier() is not None)):
            raise self._wrong("nothing to repeat", begin)
        if char in "]}" and self._whole:
            raise self._wrong(f"{char} stands alone; write \\{char}")
        self._at += 1
        match char:
            case "^" | "$":
                return Anchor(char == "^", mode.lines)
            case "(":
                return self._group(mode)
            case ".":
                return Chars((EMPTY if mode.dot_all else LINE_ENDS).complement(self._top))
            case "[":
                return self._class(mode)
            case "\\":
                return self._escape(mode)
            case _:
                return self._one(CharSet.chars(char), mode)

    def _one(self, chars: CharSet, mode: _Mode) -> Chars:
        return Chars(chars.any_case(folded=self._whole) if mode.any_case else chars)

    def _group(self, mode: _Mode) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self._wrong(f"groups are nested more than {MOST_DEPTH} deep")
        begin = self._at - 1
        for sign, ahead, negated in (
            ("?=", True, False),
            ("?!", True, True),
            ("?<=", False, False),
            ("?<!", False, True),
        ):
            if self._take(sign):
                self._behind += not ahead
                part = Look(self._body(mode, begin), ahead, negated)
                self._behind -= not ahead
                return part
        if self._take("?"):
            if not self._take("<"):
                # As a sequence: within a group, `^` may be repeated.
                return Sequence((self._body(self._changed(mode), begin),))
            self._name(begin)
        self._opened += 1
        number = self._opened
        inner = self._body(mode, begin)
        self._closed.add(number)
        return Group(inner, number)

    def _body(self, mode: _Mode, begin: int) -> Node:
        """What stands in a group, up to its end."""
        found = self._choice(mode)
        if not self._take(")"):
            raise self._wrong("unterminated group", begin)
        self._depth -= 1
        return found

    def _changed(self, mode: _Mode) -> _Mode:
        """The mode within `(?i-s: … )`."""
        begin = self._at
        while self._at < len(self._text) and self._text[self._at] in "ims-":
            self._at += 1
        flags = self._text[begin : self._at]
        if flags and self._peek(")"):
            raise self._wrong(f"JavaScript has no (?{flags}): write flags behind the last slash", begin)
        if self._peek("P<"):
            raise self._wrong("a named group is written (?<name>…), without P", begin)
        on, dash, off = flags.partition("-")
        if not self._take(":") or "-" in off or len(set(on + off)) < len(on + off) or (dash and not on + off):
            raise self._wrong("(? begins no group of JavaScript", begin)
        for flag, name in (("i", "any_case"), ("m", "lines"), ("s", "dot_all")):
            if flag in on + off:
                mode = replace(mode, **{name: flag in on})
        return mode

    def _name(self, begin: int) -> None:
        name = self._name_at(self._at)
        if not name.replace("$", "_").isidentifier():
            raise self._wrong("a group's name is letters, digits and _, and ends with >", begin)
        self._at += len(name) + 1

    def _class(self, mode: _Mode) -> Node:
        begin = self._at - 1
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            if self._at >= len(self._text):
                raise self._wrong("unterminated character class", begin)
            at = self._at
            first = self._member(mode)
            if not (self._peek("-") and not self._peek("-]") and self._at + 1 < len(self._text)):
                ranges.extend(_as_set(first).ranges)
                continue
            self._at += 1
            last = self._member(mode)
            if isinstance(first, CharSet) or isinstance(last, CharSet):
                if self._whole:
                    raise self._wrong("a class cannot be the end of a range", at)
                ranges.extend((*_as_set(first).ranges, *_as_set(last).ranges, (ord("-"), ord("-"))))
            elif first > last:
                raise self._wrong("the range is out of order", at)
            else:
                ranges.append((first, last))
        found = self._one(CharSet.of(ranges), mode)
        return Chars(found.chars.complement(self._top)) if negated else found

    def _member(self, mode: _Mode) -> int | CharSet:
        char, after = self._text[self._at], self._text[self._at + 1 : self._at + 2]
        if self._sets and (
            char in "[(){}/|" or (char == after and char in _DOUBLED) or (char, after) == ("\\", "q")
        ):
            raise self._wrong("sets within sets of the flag v are not supported: use the flag u")
        self._at += 1
        if char != "\\":
            return ord(char)
        if after == "b":
            self._at += 1
            return 8
        if after == "-" and self._whole:
            self._at += 1
            return ord("-")
        if after == "c" and not self._whole and _is_word(self._text[self._at + 1 : self._at + 2]):
            self._at += 2
            return ord(self._text[self._at - 1]) % 32
        return found if (found := self._named(mode)) is not None else self._code(in_class=True)

    def _escape(self, mode: _Mode) -> Node:
        """What a backslash outside of a class begins."""
        begin = self._at
        if self._take("b") or self._take("B"):
            return WordEdge(self._text[begin] == "B")
        if (named := self._named(mode)) is not None:
            return self._one(named, mode)
        if self._take("k<"):
            name = self._name_at(self._at)
            if name not in self._numbers:
                raise self._wrong(f"there is no group {name}", begin)
            self._at += len(name) + 1
            return self._back(self._numbers[name], mode, begin)
        if self._peek("k") and (self._whole or self._numbers):
            raise self._wrong("\\k needs the name of a group: \\k<name>", begin)
        number = self._digits()
        if number and number[0] != "0" and (self._whole or _bound(number) <= self._groups):
            if _bound(number) > self._groups:
                raise self._wrong(f"there is no group {number}", begin)
            self._at += len(number)
            return self._back(_bound(number), mode, begin)
        return self._one(CharSet.of([(code := self._code(in_class=False), code)]), mode)

    def _back(self, number: int, mode: _Mode, begin: int) -> Node:
        if self._behind:
            raise self._wrong("a back-reference within a lookbehind is not supported", begin)
        # A group that has not ended has no text yet.
        return Back(number, mode.any_case) if number in self._closed else Sequence(())

    def _named(self, mode: _Mode) -> CharSet | None:
        """The class that an escape such as `\\d` or `\\p{L}` names; None if it is something else."""
        begin = self._at
        letter = self._text[begin : begin + 1]
        folds = mode.any_case and self._whole
        if letter and letter in "dDsSwW":
            self._at += 1
            found = _CLASSES[letter.lower()]
            found = found.any_case(folded=True) if folds and letter in "wW" else found
        elif letter and letter in "pP" and self._whole:
            end = self._text.find("}", begin, begin + LONGEST_NAME)
            name = self._text[begin + 2 : end] if end > 0 and self._peek(letter + "{") else ""
            known = with_property(name) if name else None
            if known is None:
                raise self._wrong(
                    f"the property {name or letter!r} is not known here; general categories (L, Lu) and "
                    "Script=… are",
                    begin,
                )
            self._at = end + 1
            found = known.any_case(folded=True) if folds and self._sets else known
        else:
            return None
        return found.complement(self._top) if letter.isupper() else found


def _as_set(member: int | CharSet) -> CharSet:
    return member if isinstance(member, CharSet) else CharSet(((member, member),))


def _is_word(text: str) -> bool:
    return text.isascii() and (text.isalnum() or text == "_")


def _bound(digits: str) -> int:
    """A number, or as many as there can be: digits without end are not read."""
    return min(int(digits), MOST_REPEATS) if len(digits) < 12 else MOST_REPEATS
