"""What a finished program said: its last words, its structured result, and which limit ended it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orgloop.plugin import (
    TEXT_LIMIT,
    ExitInfo,
    Phase,
    Refused,
    RunOutcome,
    from_end,
    from_stop,
    parse_json,
)

LINE_LIMIT: Final = 200
"""Characters of a run's last line."""

_FENCE: Final = re.compile(r"\s*+(?P<mark>`{3,}+|~{3,}+)(?P<info>[^`]*+)")
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def stopped(exit: ExitInfo) -> tuple[Phase, RunOutcome, str] | None:
    """Phase, outcome and reason of a run that was ended by a limit or a person, or lost; else None."""
    return from_stop(exit.status, exit.stopped)


def ended(exit: ExitInfo) -> tuple[Phase, RunOutcome, str]:
    """Phase, outcome and reason as far as the runner tells: what stopped it, else its exit status."""
    return from_end(exit.status, exit.stopped)


def last_json(text: str) -> Any:
    """The value of the last fenced block that is labelled `json`.

    None if there is no such block, or if the last one is not JSON: an earlier block was not the
    result.
    """
    blocks = [body for label, body in _fenced(text) if label == "json"]
    return _value(blocks[-1]) if blocks else None


def json_of_output(text: str) -> Any:
    """The last fenced block, else the whole output if that is one JSON object, else None."""
    if any(label == "json" for label, _ in _fenced(text)):
        return last_json(text)
    return _value(text) if text.lstrip().startswith("{") else None


def last_part(text: str, limit: int = TEXT_LIMIT) -> str:
    """The end of a text, without white space around it."""
    return text.strip()[-limit:].lstrip()


def last_line(text: str) -> str:
    """The last line that says something, bounded."""
    return next((line for raw in reversed(text.split("\n")) if (line := one_line(raw))), "")


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """A text on one line, bounded, without colours and control characters."""
    words = "".join(c if c.isprintable() else " " for c in _ESCAPE.sub("", text[: 50 * limit])).split()
    line = " ".join(words)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _fenced(text: str) -> Iterator[tuple[str, str]]:
    """Label and content of each fenced block. A block that nobody closed reaches to the end."""
    mark, label, lines = "", "", list[str]()
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if found is None:
            if mark:
                lines.append(line)
        elif not mark:
            mark, label, lines = found["mark"], _label(found["info"]), []
        elif found["mark"].startswith(mark) and not found["info"].strip():
            yield label, "\n".join(lines)
            mark = ""
        else:
            lines.append(line)
    if mark:
        yield label, "\n".join(lines)


def _label(info: str) -> str:
    words = info.split()
    return words[0].lower() if words else ""


def _value(text: str) -> Any:
    if len(text) > TEXT_LIMIT:
        return None
    try:
        return parse_json(text.encode("utf-8", "replace"))
    except Refused:
        return None
