"""What a finished program said: its last words, its structured result, and which limit ended it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from orgloop.plugin import (
    MINUTE,
    TEXT_LIMIT,
    ExitInfo,
    Json,
    Limited,
    NotBegun,
    NotJson,
    Phase,
    Refused,
    Retry,
    RunOutcome,
    Unavailable,
    from_end,
    from_stop,
    load_json,
    parse_json,
    text_at,
)

COMPLAINT_LIMIT: Final = 50_000
"""Characters of output that may be nothing but a complaint; more without a line is the end of a long line."""

LIMIT_WAIT: Final = 15 * MINUTE
"""How long to wait for an account whose limit does not say when it ends."""

_TELLING: Final = (
    "command",
    "file_path",
    "filePath",
    "path",
    "pattern",
    "query",
    "url",
    "description",
    "prompt",
)
"""Arguments of a tool that tell what a call is about."""

LINE_LIMIT: Final = 200
"""Characters of a run's last line."""

# Nothing here gives back what it has taken: what an agent writes is read once, however it looks.
_FENCE: Final = re.compile(r"[\s\ufeff\u200b-\u200f\u2060]*+(?P<mark>`{3,}+|~{3,}+)(?P<info>[^`]*+)")
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*+[ -/]*+[@-~]"
)
_AROUND: Final = " \t\r\n\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
"""What may stand around JSON and is no part of it: white space, byte order marks, zero-width characters."""


def stopped(exit: ExitInfo) -> tuple[Phase, RunOutcome, str] | None:
    """Phase, outcome and reason of a run that was ended by a limit or a person, or lost; else None."""
    return from_stop(exit.status, exit.stopped)


def ended(exit: ExitInfo) -> tuple[Phase, RunOutcome, str]:
    """Phase, outcome and reason as far as the runner tells: what stopped it, else its exit status."""
    return from_end(exit.status, exit.stopped)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A structured result. `error`: why the JSON that was there could not be read, and where."""

    json: Any = None
    error: str | None = None


def not_begun(exit: ExitInfo, outcome: Retry | Unavailable | Limited) -> NotBegun:
    """No paid work was done. A session that was to begin is left: it may not exist, or has nothing in it."""
    return NotBegun(outcome=outcome, forget_session=not exit.resumed)


def complaint_of(stderr: str, is_noise: Callable[[str], object] = lambda _: False) -> str:
    """The line that says what is wrong: a CLI may write a stack trace, or warnings, around it."""
    lines = [line for raw in stderr.split("\n") if (line := one_line(raw)) and not is_noise(line)]
    named = [line for line in lines if line.lower().startswith("error")]
    return named[-1] if named else (lines[-1] if lines else last_line(stderr))


def without_result(
    exit: ExitInfo,
    lines: int,
    complaint: str,
    is_lasting: Callable[[str], object],
    lasting: Collection[int] = (),
) -> NotBegun | tuple[Phase, RunOutcome, str]:
    """How a run ended whose CLI gave no result: not begun, if it had written none of its `lines` yet.

    A CLI reads its options, session and prompt before it says anything, and asks no model before that.
    `lasting`: exit statuses after which, as after a complaint that `is_lasting`, no later try goes better.
    """
    status = exit.status or 0
    silent = lines == 0 and len(exit.stdout) <= COMPLAINT_LIMIT
    if silent and 0 < status <= 128:
        reason = f"the CLI ended with status {status} before it began: {complaint}".rstrip(": ")
        stays = status in (126, 127, *lasting) or is_lasting(complaint)
        return not_begun(exit, Unavailable(reason=reason) if stays else Retry(reason=reason))
    if silent and status == 0 and not exit.stdout.strip():
        return not_begun(exit, Retry(reason="the CLI ended with status 0, and wrote nothing"))
    if status == 0:
        # Interrupted, it may end with status 0 in the middle of its work; a run that is done says so.
        return Phase.STOPPED, RunOutcome.UNKNOWN, "no_result"
    return ended(exit)


def session_gone(session_id: str | None) -> NotBegun:
    """The session that was to be resumed is not there: the next try begins a new one, at once."""
    named = f"the session {session_id}" if session_id else "the session"
    gone = f"{named} is gone; the next try begins a new one"
    return NotBegun(outcome=Retry(reason=gone, after_ms=0), forget_session=True)


def last_json(text: str) -> Found:
    """The value of the last fenced block that is labelled `json`.

    Nothing if there is no such block, an error if the last one is not JSON: an earlier block was not the
    result.
    """
    blocks = [(line, body) for label, body, line in _fenced(_plain(text)) if label == "json"]
    return _value(blocks[-1][1], blocks[-1][0], "the last block labelled json") if blocks else Found()


def json_of_output(text: str) -> Found:
    """The last fenced block, else the whole output if that is one JSON object, else nothing."""
    plain = _plain(text)
    if any(label == "json" for label, _, _ in _fenced(plain)):
        return last_json(plain)
    body = plain.strip(_AROUND)
    if not body.startswith("{"):
        return Found()
    found = _value(plain, 1, "the output")
    # A text may begin with a brace; only what also ends with one was meant as JSON.
    return found if found.error is None or body.endswith("}") else Found()


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


def tool_call(name: str, given: Json) -> str:
    """A call of a tool on one line: its name, and what it is about."""
    about = next((one for key in _TELLING if (one := one_line(text_at(given, key)))), "")
    return one_line(f"{name or 'a tool'}: {about}" if about else name or "a tool")


def _plain(text: str) -> str:
    """Without colours and other orders to a terminal. Lines stay lines."""
    return _ESCAPE.sub("", text) if "\x1b" in text or "\x9b" in text else text


def _fenced(text: str) -> Iterator[tuple[str, str, int]]:
    """Label, content and first line (from 1) of each fenced block; an open one reaches to the end."""
    mark, label, lines, first = "", "", list[str](), 0
    for number, line in enumerate(text.split("\n"), 1):
        found = _FENCE.fullmatch(line)
        if found is None:
            if mark:
                lines.append(line)
        elif not mark:
            mark, label, lines, first = found["mark"], _label(found["info"]), [], number + 1
        elif found["mark"].startswith(mark) and not found["info"].strip():
            yield label, "\n".join(lines), first
            mark = ""
        else:
            lines.append(line)
    if mark:
        yield label, "\n".join(lines), first


def _label(info: str) -> str:
    words = info.split()
    return words[0].lower() if words else ""


def _value(text: str, first: int, place: str) -> Found:
    """`first` is the line of the output (from 1) on which the text begins."""
    body = text.strip(_AROUND)
    if len(body) > TEXT_LIMIT:
        return Found(error=f"{place} has {len(body)} characters, and {TEXT_LIMIT} is the most")
    if not body:
        return Found(error=f"{place} is empty")
    try:
        load_json(body)
        return Found(json=parse_json(body.encode("utf-8", "replace")))
    except NotJson as exc:
        before = text[: text.index(body[0])]
        line = first + before.count("\n") + exc.line - 1
        column = exc.column + (len(before) - before.rfind("\n") - 1 if exc.line == 1 else 0)
        return Found(error=f"{place} is not JSON: {exc.problem} at line {line}, column {column}")
    except Refused as exc:
        return Found(error=f"{place} is JSON that cannot be stored: {exc.message}")
