"""Regular expressions and texts made by chance, and how each of the two engines answers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

from orgloop.transforms.filter_patterns import compile_pattern
from orgloop.transforms.regex import javascript
from orgloop.transforms.regex.dialects import for_re

LETTERS: Final = [
    "a",
    "b",
    "k",
    "K",
    "s",
    "1",
    "_",
    " ",
    "-",
    "é",
    "É",
    "µ",
    "\u017f",
    "\u212a",
    "ß",
    "İ",
    "\u0131",
]
ENDS: Final = ["\n", "\r", "\r\n", "\u2028", "\u2029"]
OTHERS: Final = [
    "\t",
    "\v",
    "\x85",
    "\xa0",
    "\ufeff",
    "\u180e",
    "\u200b",
    "\u0663",
    "\0",
    "😀",
    "😁",
    "\U00010400",
    "\U00010428",
]
ATOMS: Final = [
    *LETTERS, ".", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\n", r"\r", r"\t", r"\x41", r"\u00e9", r"\cJ",
    r"\0", "[ab]", "[^a]", "[^]", "[]", r"[\s\S]", r"[\wé]", r"[^\W_]", "[a-k]", r"[\b-]", "[^k]", "[É-é]",
    r"[\n\r]", "😀", "[😀]", "[^😀]", r"\u2028", r"\ud83d", r"\ud83d\ude00", r"\/", r"\.", r"\-", "]", "}",
    "{", r"\e", r"\8", r"\11",
]  # fmt: skip
EDGES: Final = ["^", "$", "^", "$", r"\b", r"\B"]
TIMES: Final = ["*", "+", "?", "{2}", "{0,1}", "{1,}", "*?", "+?"]
WHOLE_ONLY: Final = [r"\u{1F600}", r"\u{e9}", r"\p{L}", r"\P{Lu}", r"\p{Script=Latin}", r"[\p{N}a]"]


def pattern(chance: random.Random, *, whole: bool, lookarounds: bool, depth: int = 2) -> str:
    """The body of a regular expression; `whole`: for the flag u; `looks`: with what is not linear."""
    return "".join(_term(chance, whole, lookarounds, depth) for _ in range(chance.randint(1, 4)))


def flags(chance: random.Random) -> str:
    """Some flags."""
    return "".join(flag for flag in "imsuy" if chance.random() < 0.35)


def text(chance: random.Random) -> str:
    """A short text, rich in what engines disagree about."""
    return "".join(
        chance.choice(chance.choice([LETTERS, ENDS, OTHERS, ["a"]])) for _ in range(chance.randint(0, 6))
    )


def cases(seed: int, count: int) -> Iterator[tuple[str, str, list[str]]]:
    """Body, flags and texts, without an end of their own."""
    chance = random.Random(seed)
    for number in range(count):
        chosen = flags(chance)
        body = pattern(chance, whole="u" in chosen, lookarounds=number % 3 == 0)
        yield body, chosen, [text(chance) for _ in range(6)]


def answers(body: str, chosen: str, texts: list[str]) -> dict[str, list[bool]] | None:
    """By engine, whether it is found in each text; None if it is no regular expression."""
    try:
        compiled = compile_pattern([f"/{body}/{chosen}"])
        regex = javascript.parse(body, chosen)
        written, shape = for_re(regex)
    except ValueError:
        return None
    slow = re.compile(written)
    find = slow.match if regex.sticky else slow.search
    found = {"slow": [find(shape.encoded(one)) is not None for one in texts]}
    return found if compiled.slow else found | {"fast": [compiled.test(one) for one in texts]}


def _term(chance: random.Random, whole: bool, lookarounds: bool, depth: int) -> str:
    kind = chance.random()
    if kind < 0.2:
        return chance.choice(EDGES)
    if kind < 0.35 and depth:
        inner = [
            pattern(chance, whole=whole, lookarounds=lookarounds, depth=depth - 1)
            for _ in range(chance.randint(1, 2))
        ]
        opening = chance.choice(["(", "(?:", "(?:"] + (["(?=", "(?!", "(?<=", "(?<!"] if lookarounds else []))
        times = chance.choice(["", "", *TIMES]) if opening in ("(", "(?:") else ""
        return f"{opening}{'|'.join(inner)}){times}"
    if kind < 0.4 and whole:
        return chance.choice(WHOLE_ONLY)
    if kind < 0.43 and lookarounds:
        return r"\1"
    return chance.choice(ATOMS) + chance.choice(["", "", "", *TIMES])
