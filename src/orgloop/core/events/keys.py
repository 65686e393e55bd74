"""Keys made of values in events: what counts as a value, and which values are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Final

from orgloop.core.events.fields import MISSING
from orgloop.core.text.hidden_text import visible
from orgloop.core.text.json_text import MAX_DIGITS, number_text

_EXACT: Final = Context(prec=MAX_DIGITS + 1, Emax=10**9, Emin=-(10**9))


def is_missing(value: object) -> bool:
    """Whether this is no value as a part of a key, so that there is no key: it would merge strangers.

    So are nothing, null, text without a visible character, and lists and maps that hold nothing else.
    `false` and 0 are values.
    """
    todo = [value]
    while todo:
        found = todo.pop()
        if isinstance(found, str):
            if found.strip() and (found.isascii() or visible(found).strip()):
                return False
        elif isinstance(found, Mapping):
            todo.extend(found.values())
        elif isinstance(found, (list, tuple)):
            todo.extend(found)
        elif found is not None and found is not MISSING:
            return False
    return True


def no_value(places: Sequence[str]) -> str:
    """Why there is no key, for people."""
    return f"no value at {', '.join(places)}"


def key_text(value: object) -> str:
    """How a value reads inside a key that is text. Equal lists, maps and numbers read alike."""
    return value if isinstance(value, str) else identity(value)


def identity(value: object) -> str:
    """JSON that is the same for equal values, and for no others.

    Numbers are equal by their value (100, 100.0 and 1e2), maps without regard to the order of their keys;
    `100` and `"100"` differ. Raises TypeError if the value is not JSON.
    """
    out: list[str] = []
    todo: list[tuple[bool, object]] = [(False, value)]
    while todo:
        is_written, item = todo.pop()
        if is_written or isinstance(item, str):
            out.append(str(item) if is_written else json.dumps(item, ensure_ascii=False))
        elif isinstance(item, Mapping):
            parts: list[tuple[bool, object]] = [(True, "{")]
            for key in sorted(item):
                parts += [(True, f"{',' if len(parts) > 1 else ''}{json.dumps(key, ensure_ascii=False)}:")]
                parts += [(False, item[key])]
            todo += reversed([*parts, (True, "}")])
        elif isinstance(item, (list, tuple)):
            parts = [(True, "[")]
            for member in item:
                parts += [(True, ",")] if len(parts) > 1 else []
                parts += [(False, member)]
            todo += reversed([*parts, (True, "]")])
        else:
            out.append(_scalar(item))
    return "".join(out)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return number_text(value)
    if not isinstance(value, (float, Decimal)):
        raise TypeError(f"{type(value).__name__} is not JSON: it cannot be a part of a key")
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        return "null"
    if number.adjusted() < MAX_DIGITS and number == number.to_integral_value():
        return str(int(number))
    return str(number.normalize(_EXACT)).lower()
