"""JSON as events carry it: each number keeps its digits, and all text is Unicode.

A whole number is an int of any size, and any other number a float where a float's shortest text is the
same number; else it is a Decimal. So what came in goes out as the same value, though not always in the
same spelling: `1.50` becomes `1.5`, and `-0` becomes `0`. Of a key that is there twice, the last counts.
Half of a surrogate pair is no character, and reads as U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from math import isfinite
from typing import Any, Final, NoReturn

import orjson

from orgloop.errors import Refused

MAX_DEPTH: Final = 200
"""How deep a body from outside may nest. An event wraps its payload, and transforms may wrap that."""

MAX_DIGITS: Final = 4000
"""Digits that a number may have: to read and write many more takes quadratic time."""

MAX_EXPONENT_DIGITS: Final = 6

MAX_LEVELS: Final = 254
"""How deep `dump_json` writes: more could not be read again."""

_STRICT: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

# orjson turns integers beyond 64 bits into floats, and rounds decimals. A number that a float holds has
# at most 15 digits for certain; what looks longer, or smaller than most floats, is read with care.
_SHAPES: Final = bytes(
    ord("0") if chr(code) in "0123456789." else code if chr(code) in "-+" else ord("e") if chr(code) in "eE"
    else ord(" ")
    for code in range(256)
)  # fmt: skip
_LONG: Final = b"0" * 17
_TINY: Final = b"0e-000"

_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_EXACT: Final = Context(prec=MAX_DIGITS + 1, Emax=10**9, Emin=-(10**9))

Default = Callable[[Any], Any]

_BOM: Final = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """A text is no JSON: what is wrong, and on which line and column (from 1) of the text."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"{problem} at line {line}, column {column}")
        self.problem = problem
        self.line = line
        self.column = column


class TooDeep(NotJson):
    """It nests deeper than can be read."""


def parse_json(body: bytes) -> Any:
    """The value of a JSON document that somebody else sent, in UTF-8.

    Raises Refused (400): the body is empty, is not JSON (the message names line and column), or
    nests deeper than MAX_DEPTH.
    """
    text = body.removeprefix(_BOM)
    if not text.strip():
        raise Refused("The body is empty", hint="send one JSON document")
    try:
        value = load_json(text)
    except TooDeep as exc:
        raise _too_deep() from exc
    except NotJson as exc:
        raise Refused(
            f"Invalid JSON payload: {exc}", hint="send one JSON document, encoded as UTF-8"
        ) from exc
    if _is_deep(text, value):
        raise _too_deep()
    return value


def load_json(document: bytes | str) -> Any:
    """The value of a JSON text in UTF-8. Raises NotJson."""
    text = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        return _with_care(text, exc)
    shape = text.translate(_SHAPES)
    return _exact(text.decode()) if _LONG in shape or _TINY in shape else value


def dump_json(value: object, *, indent: bool = False, default: Default | None = None) -> bytes:
    """Compact JSON in UTF-8, or in lines with two spaces for each level.

    `default` gives a value that can be written for one that cannot; with it, keys may be numbers, too.
    A number that JSON has not (NaN, infinity) is null. Raises ValueError for what JSON cannot hold, and
    for more than MAX_LEVELS levels.
    """
    try:
        option = _STRICT | orjson.OPT_INDENT_2 if indent else _STRICT
        return orjson.dumps(value, default=_filler(default) if default else _plain, option=option)
    except orjson.JSONEncodeError:
        # orjson gives up beyond 254 levels and 64 bits, on half characters and on keys that are no text.
        pass
    try:
        written = _by_steps(value, indent, default, MAX_LEVELS)
    except TypeError as exc:
        raise ValueError(f"this cannot be written as JSON: {exc}") from exc
    try:
        return written.encode()
    except UnicodeEncodeError:
        return written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def text_of(value: object, *, indent: bool = False, default: Default | None = None) -> str:
    """As `dump_json`, as text, with half characters left as they are. At any depth, without a stack."""
    try:
        return orjson.dumps(value, option=_STRICT | (orjson.OPT_INDENT_2 if indent else 0)).decode()
    except orjson.JSONEncodeError:
        return _by_steps(value, indent, default, None)


def number_text(value: float | Decimal) -> str:
    """A number as JSON writes it; `null` for one that JSON has not."""
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else "null"
    return orjson.dumps(float(value)).decode()


def _too_deep() -> Refused:
    return Refused(
        f"Invalid JSON payload: it nests deeper than {MAX_DEPTH} levels", hint="flatten the document"
    )


def _is_deep(text: bytes, value: object) -> bool:
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    # Whoever writes JSON counts its levels anyway, and far faster than a walk over the value could.
    for _ in range(MAX_LEVELS - MAX_DEPTH):
        value = [value]
    try:
        dump_json(value)
    except ValueError:
        return True
    return False


def _with_care(text: bytes, exc: orjson.JSONDecodeError) -> Any:
    """What orjson refuses and JSON allows: large numbers, halves of surrogate pairs."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise _misread(text, broken) from exc
    if encoding := _other_encoding(text):
        raise NotJson(f"{encoding} instead of UTF-8", 1, 1) from exc
    if "recursion" in exc.msg.lower() or "depth" in exc.msg:
        raise TooDeep("it nests too deep", exc.lineno, exc.colno) from exc
    return _exact(_ESCAPE.sub(lambda found: r"\ufffd" if found[1] else found[0], decoded))


def _other_encoding(text: bytes) -> str:
    """Which other encoding of Unicode this begins with, if any. JSON begins with an ASCII character."""
    if text[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") or text[:3] == b"\0\0\0" or text[1:4] == b"\0\0\0":
        return "UTF-32"
    return "UTF-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:2] else ""


def _misread(text: bytes, broken: UnicodeDecodeError) -> NotJson:
    if encoding := _other_encoding(text):
        return NotJson(f"{encoding} instead of UTF-8", 1, 1)
    line = text.count(b"\n", 0, broken.start) + 1
    column = broken.start - text.rfind(b"\n", 0, broken.start)
    return NotJson("not UTF-8", line, column)


def exact_number(digits: str) -> int | float | Decimal:
    """The number that decimal digits mean, as in JSON; `+1`, `.5` and `5.` are numbers, too.

    Raises ValueError for more digits than can be read.
    """

    def refuse(_number: str) -> NoReturn:
        raise ValueError(f"the number is too long: write at most {MAX_DIGITS} digits")

    if not digits.lstrip("+-").isdigit():
        return _real(digits, refuse)
    return int(digits) if len(digits) <= MAX_DIGITS else refuse(digits)


def _exact(text: str) -> Any:
    def refuse(number: str) -> NoReturn:
        at = max(text.find(number), 0)
        problem = f"{number} is not a number of JSON"
        if len(number) > MAX_DIGITS:
            problem = f"a number with more than {MAX_DIGITS} digits"
        elif number[-1].isdigit():
            problem = f"{number} is out of range"
        raise NotJson(problem, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))

    decoder = json.JSONDecoder(
        parse_int=lambda number: int(number) if len(number) <= MAX_DIGITS else refuse(number),
        parse_float=lambda number: _real(number, refuse),
        parse_constant=refuse,
    )
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as exc:
        raise NotJson(exc.msg.lower().removesuffix(" at"), exc.lineno, exc.colno) from exc
    except RecursionError as exc:
        raise TooDeep("it nests too deep", 1, 1) from exc


def _real(number: str, refuse: Callable[[str], NoReturn]) -> int | float | Decimal:
    near = float(number)
    if len(number) <= 16 and "e" not in number and "E" not in number:
        return near
    exponent = number.lower().partition("e")[2].lstrip("+-")
    if len(number) > MAX_DIGITS or len(exponent) > MAX_EXPONENT_DIGITS:
        refuse(number)
    exact = Decimal(number)
    if isfinite(near) and Decimal(repr(near)) == exact:
        return near
    if not exponent and exact == exact.to_integral_value():
        return int(exact)
    return exact.normalize(_EXACT)


def _filler(default: Default) -> Default:
    def fill(value: Any) -> Any:
        return _plain(value) if isinstance(value, Mapping | Decimal) else default(value)

    return fill


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return orjson.Fragment(number_text(value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def _by_steps(value: object, indent: bool, default: Default | None, levels: int | None) -> str:
    out: list[str] = []
    outer: list[tuple[Iterator[tuple[str, object]], str]] = []
    members: Iterator[tuple[str, object]] = iter([("", value)])
    closing = ""
    strict = levels is not None and default is None
    while True:
        for prefix, item in members:
            out.append(prefix)
            given = _written(item, default)
            if isinstance(given, str):
                out.append(given)
                continue
            opening, end = ("{", "}") if isinstance(given, Mapping) else ("[", "]")
            if not given:
                out.append(opening + end)
                continue
            outer.append((members, closing))
            level = len(outer)
            if level == levels:
                raise TypeError(f"it nests deeper than {levels} levels")
            members = _members(given, "\n" + "  " * level if indent else "", ": " if indent else ":", strict)
            closing = ("\n" + "  " * (level - 1) if indent else "") + end
            out.append(opening)
            break
        else:
            out.append(closing)
            if not outer:
                return "".join(out)
            members, closing = outer.pop()


def _members(
    container: Mapping[Any, object] | Sequence[object], begin: str, colon: str, strict: bool
) -> Iterator[tuple[str, object]]:
    """What to write before each member, and the member."""
    comma = ""
    if isinstance(container, Mapping):
        for key, item in container.items():
            if strict and not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            name = key if isinstance(key, str) else _written(key, str)
            yield f"{comma}{begin}{_quoted(name if isinstance(name, str) else str(key))}{colon}", item
            comma = ","
    else:
        for item in container:
            yield comma + begin, item
            comma = ","


def _written(value: object, default: Default | None) -> str | Mapping[Any, object] | Sequence[object]:
    """A scalar as JSON, or the list or map whose members come next."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (Mapping, list, tuple)):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return number_text(value)
    if default is None:
        raise TypeError(
            f"{type(value).__name__} is not JSON: convert it to text or a number before it enters an event"
        )
    return _written(default(value), None)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
