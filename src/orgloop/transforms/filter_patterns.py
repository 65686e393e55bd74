"""The patterns of `filter`: JSON values, lists of them, and regular expressions written `/body/flags`.

Regular expressions run in linear time, so that no event can make them slow. One that needs
lookaround or back-references cannot; it becomes a SlowRegex, which belongs into a helper process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from orgloop.plugin import MISSING, as_text, same
from orgloop.transforms.regex import javascript
from orgloop.transforms.regex.cursor import RegexError
from orgloop.transforms.regex.dialects import NotLinear, TextModel, for_re, for_re2
from orgloop.transforms.regex.tree import Regex

Test = Callable[[object], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowRegex:
    """A regular expression that may take for ever: `body` in Python's dialect, for a text in that shape."""

    source: str
    body: str
    sticky: bool
    shape: TextModel


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


def plain_values(pattern: Any) -> list[Any]:
    """The values that a pattern asks for as they are: all but its regular expressions, lists and maps."""
    return [
        one
        for one in _alternatives(pattern)
        if not isinstance(one, list | tuple | dict) and not (isinstance(one, str) and _regex(one))
    ]


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
    parts = [part.strip() for part in listing.split(",")]
    # For each part, the next one (itself, too) that may end a regular expression.
    ends = [len(parts)] * (len(parts) + 1)
    for at in range(len(parts) - 1, -1, -1):
        ends[at] = at if _ends_regex(parts[at]) else ends[at + 1]
    found, at, raw = [], 0, listing.split(",")
    while at < len(parts):
        end = at
        if parts[at].startswith("/") and _literal(parts[at]) is None and ends[at + 1] < len(parts):
            end = ends[at + 1]
        found.append(",".join(raw[at : end + 1]).strip())
        at = end + 1
    return found


def _ends_regex(part: str) -> bool:
    _, slash, flags = part.rpartition("/")
    return bool(slash) and _are_flags(flags)


def _literal(written: str) -> tuple[str, str] | None:
    """Body and what may be flags, of text such as `/body/flags`."""
    body, slash, flags = written[1:].rpartition("/")
    is_one = (
        written.startswith("/") and slash and body and (flags == "" or (flags.isascii() and flags.isalpha()))
    )
    return (body, flags) if is_one else None


def _are_flags(flags: str) -> bool:
    return (
        javascript.FLAGS.issuperset(flags) and len(set(flags)) == len(flags) and not {"u", "v"} <= set(flags)
    )


def _regex(written: str) -> Test | SlowRegex | None:
    """The regular expression that `/body/flags` means; None if it is plain text, such as the path /home/x."""
    literal = _literal(written)
    if literal is None or not _are_flags(literal[1]):
        return None
    try:
        regex = javascript.parse(*literal)
        return _linear(regex) or _slow(written, regex)
    except RegexError as exc:
        raise ValueError(f"{written!r} is not a regular expression: {exc}") from exc


def _linear(regex: Regex) -> Test | None:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        body, shape, anchored = for_re2(regex)
        compiled = re2.compile(body, options)
    except (NotLinear, re2.error):
        return None
    find = compiled.match if anchored else compiled.search
    return lambda value: find(shape.encoded(regex_text(value)).encode()) is not None


def _slow(written: str, regex: Regex) -> SlowRegex:
    body, shape = for_re(regex)
    try:
        re.compile(body)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ValueError(f"{written!r} cannot be looked for: {exc}") from exc
    return SlowRegex(source=written, body=body, sticky=regex.sticky, shape=shape)


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
