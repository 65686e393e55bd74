"""What a YAML 1.2 scalar means: only numbers, true, false and null are not text."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any, Final

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
_LARGEST: Final = 2**64 - 1
_LOWEST: Final = -(2**63)
_LONGEST: Final = 70
"""Digits; longer ones are too large, and some more than Python agrees to read."""

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
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
        real = float(text)
        if isfinite(real):
            return real
    elif not _NOT_JSON.fullmatch(text):
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


def _integer(text: str) -> int:
    if len(text) <= _LONGEST:
        number = int(text, 0 if text[1:2] in ("o", "x") else 10)
        if _LOWEST <= number <= _LARGEST:
            return number
    raise ScalarError("the number does not fit into 64 bits")
