"""The patterns of `filter`: JSON values, lists of them, and regular expressions written `/body/flags`.

Regular expressions run in linear time, so that no event can make them slow. One that needs
lookaround or back-references cannot; it becomes a SlowRegex, which belongs into a helper process.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from orgloop.plugin import (
    MISSING,
    as_text,
    same,
)

Test = Callable[[object], bool]

_FLAGS: Final = frozenset("dgimsuvy")
_LITERAL: Final = re.compile(r"/(.+)/([A-Za-z]*)", re.DOTALL)

# What JavaScript writes and one of the two engines does not read.
_FOREIGN: Final = re.compile(
    r"""
      (?P<pair> \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2} )
    | \\u\{ (?P<braced> [0-9a-fA-F]{1,6} ) \}
    | \\u (?P<plain> [0-9a-fA-F]{4} )
    | \\c (?P<control> [A-Za-z] )
    | \\0 (?![0-9]) (?P<nul> )
    | \\k< (?P<reference> \w+ ) >
    | \(\?< (?P<group> [A-Za-z_]\w* ) >
    | \\ .
    | (?P<open> \[ \^? \]? )
    | (?P<close> \] )
    | (?P<end> \$ )
    """,
    re.VERBOSE | re.DOTALL,
)

_EMPTY_CLASSES: Final = {"[^]": r"[\s\S]", "[]": r"[^\s\S]"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowRegex:
    """A regular expression that may take for ever: `body` in Python's dialect, `flags` of i, m, s, y."""

    source: str
    body: str
    flags: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """A compiled pattern: a value matches if `test` says so, or one of `slow` finds itself in its text."""

    test: Test
    slow: tuple[SlowRegex, ...] = ()


def compile_pattern(pattern: Any) -> Pattern:
    """Compile one pattern as YAML gives it. Raises ValueError for a regular expression that is none."""
    tests: list[Test] = []
    texts: set[str] = set()
    slow: list[SlowRegex] = []
    for one in _alternatives(pattern):
        match _regex(one) if isinstance(one, str) else None:
            case SlowRegex() as regex:
                slow.append(regex)
            case None if isinstance(one, str):
                texts.add(one)
            case None:
                tests.append(_equals(one))
            case test:
                tests.append(test)
    if texts:
        tests.insert(0, _any_text(texts))
    return Pattern(test=_any(tests), slow=tuple(slow))


def regex_text(value: object) -> str:
    """What a regular expression sees: text; nothing for null and missing; lists and maps as compact JSON."""
    return value if type(value) is str else as_text(value)


def _alternatives(pattern: Any) -> list[Any]:
    """Any of these must match. Lists are flat; text with commas is split, but not within a `/regex/`."""
    if isinstance(pattern, str):
        return _split(pattern) if "," in pattern else [pattern]
    if isinstance(pattern, list | tuple):
        return [leaf for item in pattern for leaf in _leaves(item)]
    return [pattern]


def _leaves(item: Any) -> list[Any]:
    if isinstance(item, list | tuple):
        return [leaf for inner in item for leaf in _leaves(inner)]
    return [item]


def _split(listing: str) -> list[str]:
    """At commas, but for those within a regular expression: `/a{1,2}/, b` are two."""
    parts = listing.split(",")
    found: list[str] = []
    while parts:
        first = parts[0].strip()
        taken = 1
        if first.startswith("/") and not _LITERAL.fullmatch(first):
            longer = (
                count for count in range(2, len(parts) + 1) if _is_regex(",".join(parts[:count]).strip())
            )
            taken = next(longer, 1)
        found.append(",".join(parts[:taken]).strip())
        del parts[:taken]
    return found


def _is_regex(written: str) -> bool:
    literal = _LITERAL.fullmatch(written)
    return literal is not None and _are_flags(literal[2])


def _are_flags(flags: str) -> bool:
    return _FLAGS.issuperset(flags) and len(set(flags)) == len(flags) and not {"u", "v"} <= set(flags)


def _regex(written: str) -> Test | SlowRegex | None:
    """The regular expression that `/body/flags` means; None if it is plain text, such as the path /home/x."""
    literal = _LITERAL.fullmatch(written)
    if literal is None or not _are_flags(literal[2]):
        return None
    body, flags = literal[1], literal[2]
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = "i" not in flags
    inline = "".join(flag for flag in "ms" if flag in flags)
    try:
        regex = re2.compile(
            (f"(?{inline})" if inline else "") + _translated(body, flags, linear=True), options
        )
    except re2.error:
        return _slow(written, body, flags)
    find = regex.match if "y" in flags else regex.search
    return lambda value: find(regex_text(value).encode("utf-8", "replace")) is not None


def _slow(written: str, body: str, flags: str) -> SlowRegex:
    translated = _translated(body, flags, linear=False)
    if problem := _problem(translated):
        raise ValueError(f"{written!r} is not a regular expression: {_located(problem, body)}")
    return SlowRegex(source=written, body=translated, flags="".join(flag for flag in flags if flag in "imsy"))


def _located(problem: str, body: str) -> str:
    """The same problem, at its position in what was written rather than in the translation."""
    untranslated = _problem(body)
    return untranslated if untranslated.partition(" at ")[0] == problem.partition(" at ")[0] else problem


def _problem(body: str) -> str:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        try:
            re.compile(body)
        except (re.error, OverflowError, RecursionError) as exc:
            return str(exc)
    return ""


def _translated(body: str, flags: str, *, linear: bool) -> str:
    """`body` from JavaScript's dialect into that of RE2 or of Python's `re`."""
    inside = False

    def replace(found: re.Match[str]) -> str:
        nonlocal inside
        kind, written = found.lastgroup, found[0]
        match kind:
            case "pair":
                high, low = int(written[2:6], 16), int(written[8:12], 16)
                return _code_point(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), linear=linear)
            case "braced" | "plain":
                return _code_point(int(found[kind], 16), linear=linear)
            case "control":
                return _code_point(ord(found[kind]) % 32, linear=linear)
            case "nul":
                return _code_point(0, linear=linear)
            case "open":
                was_inside, inside = inside, not written.endswith("]")
                return f"\\{written}" if was_inside else _EMPTY_CLASSES.get(written, written)
            case "close":
                inside = False
            case "end" if not (inside or linear or "m" in flags):
                return r"\Z"
            case "group" if not (inside or linear):
                return f"(?P<{found[kind]}>"
            case "reference" if not (inside or linear):
                return f"(?P={found[kind]})"
            case _:
                return r"\x08" if inside and written == r"\b" else written
        return written

    return _FOREIGN.sub(replace, body)


def _code_point(number: int, *, linear: bool) -> str:
    return f"\\x{{{number:x}}}" if linear else f"\\U{number:08x}"


def _equals(wanted: Any) -> Test:
    if wanted is None:
        return lambda value: value is None or value is MISSING
    return lambda value: same(value, wanted)


def _any_text(texts: set[str]) -> Test:
    if len(texts) == 1:
        [only] = texts
        return lambda value: value == only
    return lambda value: isinstance(value, str) and value in texts


def _any(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)
