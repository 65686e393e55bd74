"""What a YAML 1.2 scalar means: only numbers, true, false and null are not text."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from orgloop.core.text.json_text import MAX_DIGITS, exact_number

CORE_TAG: Final = "tag:yaml.org,2002:"

_CONSTANTS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS: Final = frozenset("+-.0123456789")
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MOST_BITS: Final = 13_000
"""Of a number in hexadecimal or octal digits; one with more has more decimal digits than can be read."""

_TOO_LONG: Final = f"the number has more than {MAX_DIGITS} digits"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float, Decimal),
    "bool": (bool,),
    "null": (type(None),),
}


class ScalarError(ValueError):
    """It looks like a number, and JSON has no such number; or it is not what its tag says."""


class UnknownTag(ValueError):
    """Its tag has no meaning here."""


def plain(text: str) -> Any:
    """The value of a scalar without quotes and tag. Raises ScalarError."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _decimal(text)
    if not _NOT_JSON.fullmatch(text):
        return text
    raise ScalarError(f"`{text}` is not a number that JSON has")


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with a tag. Raises UnknownTag or ScalarError."""
    name = tag.removeprefix(CORE_TAG)
    if tag == "!" or name == "str":
        return text
    if not tag.startswith(CORE_TAG) or name not in _TYPES:
        raise UnknownTag(tag)
    value = plain(text)
    if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and name != "bool"):
        raise ScalarError(f"`{text}` is not what its tag `!!{name}` says")
    return value


def _integer(text: str) -> int | float | Decimal:
    if text[1:2] not in ("o", "x"):
        return _decimal(text)
    number = int(text, 0)
    if number.bit_length() > _MOST_BITS:
        raise ScalarError(_TOO_LONG)
    return number


def _decimal(text: str) -> int | float | Decimal:
    try:
        return exact_number(text)
    except ValueError as exc:
        raise ScalarError(_TOO_LONG) from exc
