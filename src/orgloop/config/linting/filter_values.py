"""What a filter compares with: values that never come, and text that looks like a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from orgloop.core.events.fields import as_text, same
from orgloop.core.events.shape import Values, may_be
from orgloop.core.events.templates import Template
from orgloop.core.text.json_text import NotJson, load_json, text_of
from orgloop.core.text.suggest import nearest_name

_MOST_NAMED: Final = 12
_SIMPLE: Final = r"[\w./@+-]+"
_REGEX: Final = re.compile(
    r"/.+/[dgimsuvy]*|\^.*|.*[^\\]\$|!?~[^/].*|=~.*|(?:regexp?|re2|pcre)[:=].+|r/.+/|\(\?[ims]+\).*"
)
_COMPARISON: Final = re.compile(r"(?:[<>]=?|==?|!=) ?\S.*|[0-9]+\.\.[0-9]+")
_NEGATION: Final = re.compile(r"(?:!|not[ :]|NOT[ :]|<>) ?\S.*")
_PIPES: Final = re.compile(rf"{_SIMPLE}(?: ?\|\|? ?{_SIMPLE})+")
_EITHER: Final = re.compile(rf"{_SIMPLE}(?: (?:or|OR) {_SIMPLE})+")
_LIST: Final = re.compile(rf"{_SIMPLE}(?:, ?{_SIMPLE})+")
_BRACES: Final = re.compile(r".*\{\w+(?:,\w+)+\}.*")
_WILD: Final = re.compile(r".*\*.*|%.*%|.*\[\^?\w-\w\].*")
_SPLIT: Final = re.compile(r" ?(?:\|\|?|,| or | OR ) ?")
_OTHER_TOOLS: Final = re.compile(
    r"(?:\{\{?|\$\{?|<%[=-]?|\[\[|#\{)\s{0,8}(?P<path>(?:payload|provenance)(?:\.\w+)+)(?:\s{0,8}[}%>\]]{1,2})?"
)
_QUOTES: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\uff02\uff07"
"""Typographic quotes: an editor or a web page put them where straight ones were meant."""


def not_a_placeholder(template: Template) -> tuple[str, str] | None:
    """What looks like another tool's placeholder, or an unfinished one, and what to write; None if nothing.

    Only what names a field of the payload or the provenance is meant as one: other text may have braces.
    """
    parts = template.parts
    for number, part in enumerate(parts):
        if not isinstance(part, str):
            continue
        if found := _OTHER_TOOLS.search(part):
            return found[0].strip(), f"{{{{ {found['path']} }}}}"
        after = parts[number + 1 :]
        if part.endswith("{") and len(after) > 1 and isinstance(after[1], str) and after[1].startswith("}"):
            return f"{{{{{{ {after[0]} }}}}}}", f"{{{{ {after[0]} }}}}"
    return None


def quoted(text: str) -> bool:
    """Whether a text is in typographic quotes, which then are part of it."""
    return bool(text) and (text[0] in _QUOTES or text[-1] in _QUOTES)


def doubt(value: Any, values: Values, *, in_step: bool = False) -> str:
    """What to write instead of text that looks like a pattern; empty if it does not, or may be there so.

    `in_step`: it is a pattern of the transform `filter`, which knows regular expressions and commas.
    """
    if not isinstance(value, str) or any(not isinstance(one, type) and same(value, one) for one in values):
        return ""
    if quoted(value):
        return "write straight quotes: typographic quotes are part of the text"
    if value == "*":
        return "remove the line, because any value passes without it"
    if _NEGATION.fullmatch(value) and not value.startswith(("!=", "!~")):
        return (
            "write it under `exclude`, without the sign"
            if in_step
            else "list the values that pass, or use the transform `filter` with `exclude`"
        )
    is_closed = bool(values) and str not in values
    if _PIPES.fullmatch(value) or (
        not in_step and (_LIST.fullmatch(value) or (is_closed and _EITHER.fullmatch(value)))
    ):
        return f"write a list: [{', '.join(_SPLIT.split(value))}]"
    if _COMPARISON.fullmatch(value):
        return "use `jq` instead" if in_step else "use the transform `filter` with `jq`"
    if _REGEX.fullmatch(value):
        return (
            f"write {_slashed(value)}"
            if in_step
            else "use the transform `filter`, whose `match` takes regular expressions"
        )
    if _WILD.fullmatch(value) or _BRACES.fullmatch(value):
        regex = "a regular expression, such as /^feature\\//"
        return f"write {regex}" if in_step else f"use the transform `filter` with {regex}"
    return ""


def never(value: Any, values: Values) -> str | None:
    """What may be there instead of a value that never is; None if it may be."""
    if may_be(value, values):
        return None
    if isinstance(value, str) and str not in values:
        read = _as_data(value)
        if not isinstance(read, str | list | dict) and may_be(read, values):
            return f"write {value} without quotes"
    elif not isinstance(value, str) and (str in values or may_be(as_text(value, "null"), values)):
        return "put it in quotes"
    choices = list(dict.fromkeys(one for one in values if not isinstance(one, type)))
    names = [str(one) for one in choices if isinstance(one, str)]
    near = nearest_name(value, names) if isinstance(value, str) else None
    if near is not None:
        return f"did you mean `{near}`?"
    if not choices:
        kinds = {str: "text", int: "a number", float: "a number"}
        return f"it is {' or '.join(sorted({kinds.get(one, 'another type') for one in values}))}"
    return f"it is one of: {listed(one if isinstance(one, str) else text_of(one) for one in choices)}"


def listed(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    known = list(names)
    shown = known if len(known) == _MOST_NAMED + 1 else known[:_MOST_NAMED]
    more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return f"{', '.join(shown)}{more}"


def _slashed(value: str) -> str:
    """A regular expression in another tool's form, as one is written here."""
    body = re.sub(r"\A(?:=?~|r(?:e|egex)?[:=]|r/(?=.*/\Z)) *", "", value)
    return body if body.startswith("/") else f"/{body.strip('/')}/"


def _as_data(value: str) -> Any:
    try:
        return load_json(value)
    except NotJson:
        return value
