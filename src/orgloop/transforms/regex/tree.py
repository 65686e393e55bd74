"""What a regular expression says: a tree of these."""

from __future__ import annotations

from dataclasses import dataclass

from orgloop.transforms.regex.charset import CharSet


@dataclass(frozen=True, slots=True)
class Chars:
    """One of these characters."""

    chars: CharSet


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of these."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """So many times; `most` None is without end."""

    part: Node
    least: int
    most: int | None
    lazy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What a back-reference may name."""

    part: Node
    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """Whether that stands here, without taking it."""

    part: Node
    ahead: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class Back:
    """The text of an earlier group again; nothing, as long as that has none."""

    number: int
    any_case: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """`^` or `$`; `lines`: of each line."""

    begins: bool
    lines: bool


@dataclass(frozen=True, slots=True)
class WordEdge:
    """`\\b`, or (negated) `\\B`."""

    negated: bool


Node = Chars | Sequence | Alternation | Repeat | Group | Look | Back | Anchor | WordEdge


@dataclass(frozen=True, kw_only=True, slots=True)
class Regex:
    """A regular expression. `whole`: its text consists of characters (flag u), not of 16-bit units.

    `folds`: with the flags iu. `sticky`: at the beginning of the text only (flag y).
    """

    root: Node
    whole: bool
    folds: bool
    sticky: bool
