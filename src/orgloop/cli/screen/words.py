"""Words and colours for what the journal holds, the same in every command."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop.cli.output import FAIL, OK
from orgloop.core.events.event import event_title
from orgloop.core.runs.failure import REQUESTED, failed, lines_of, why
from orgloop.operations.views.words import one_line

if TYPE_CHECKING:
    from orgloop.journal.model import EventRow, RunRow

STATE_STYLES: Final[Mapping[str, str]] = {
    "delivered": "green",
    "dropped": "dim",
    "discarded": "dim",
    "held": "red",
    "dead": "red",
    "pending": "yellow",
    "preparing": "yellow",
    "running": "cyan",
    "started": "cyan",
}

OUTCOME_STYLES: Final[Mapping[str, str]] = {"success": "green", "failure": "red", "": "cyan"}
"""A run's; what is not named is yellow."""

WORKING: Final = "▶"
"""The sign of a run that goes on."""

UNRECORDED: Final = "■"
"""The sign of a run whose process has ended, while no daemon has taken note."""

_FENCE_MARK: Final = re.compile(r"(?:```|~~~)\w{0,20}")
_FENCED: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CLOSED: Final = re.compile(r"```.*?```", re.DOTALL)


def event_name(row: EventRow) -> str:
    """What the event is called."""
    return event_title(row.type, row.platform_event)


def author_of(row: EventRow) -> str:
    """Who caused the event; empty if nobody knows, or if it is the source itself."""
    provenance = row.document.get("provenance")
    author = provenance.get("author") if isinstance(provenance, dict) else None
    return author if isinstance(author, str) and author not in (row.source, "unknown") else ""


def outcome_word(run: RunRow, *, gone: bool = False) -> str:
    """How a run ended, or that it did not. `gone`: its process has, and no daemon has taken note."""
    if run.ended_at is None:
        return "its process is gone" if gone else "running"
    return run.outcome or ("did not start" if run.reason == "not_started" else run.reason)


def outcome_mark(run: RunRow, *, gone: bool = False) -> str:
    """The same in one sign: ✓, ✗, ▶ for a run that goes on, ■ if it is `gone`, ○ if it did not start."""
    if run.ended_at is None:
        return UNRECORDED if gone else WORKING
    return OK if run.outcome == "success" else FAIL if failed(run.outcome) else "○"


def why_ended(run: RunRow) -> str:
    """Why a run did not come out well; empty if it did, or goes on."""
    return why(run.reason, (run.ended_at or run.started_at) - run.started_at) if failed(run.outcome) else ""


def last_lines_of(run: RunRow) -> list[str]:
    """What a run that failed said, line by line: the last ones tell most."""
    lines = lines_of(_CLOSED.sub("", run.text or run.last_line))
    return [one_line(line) for line in lines if not is_fence(line)]


def is_fence(line: str) -> bool:
    """Whether a line only begins or ends a block of code."""
    return line.lstrip().startswith(("```", "~~~"))


def run_words(run: RunRow) -> tuple[str, str]:
    """What a run's agent said, on one line, and its structured result as JSON; empty if there is none.

    What it said is empty, too, if that is only the result. Of a run that failed it is the last line, which
    is where programs complain.
    """
    from orgloop.core.text.json_text import dump_json

    result = run.completion.get("result") or {}
    decided = result.get("json")
    if says_only(run.text, decided):
        shown = ""
    elif failed(run.outcome):
        shown = (last_lines_of(run) or [""])[-1]
    else:
        shown = plain_words(run.text or run.last_line, block=decided is None)
    denied = run.completion.get("denied_tools")
    if run.text and isinstance(denied, list) and denied:
        # In front, where no table cuts it off.
        shown = f"(not allowed: {one_line(', '.join(map(str, denied)))}) {shown}"
    return shown, dump_json(decided).decode() if decided is not None else ""


def says_only(text: str, decided: Any) -> bool:
    """Whether a text is the JSON of this structured result, however it is written, and nothing else."""
    import json

    if decided is None or not text.strip():
        return False
    try:
        return bool(json.loads(text) == decided)
    except (ValueError, RecursionError):
        return False


def plain_words(text: str, *, block: bool = True) -> str:
    """What stands outside of blocks of code, on one line; what is in them (`block`) if that is all."""
    return one_line(_FENCED.sub(" ", text)) or (one_line(_FENCE_MARK.sub(" ", text)) if block else "")


def paid_by(run: RunRow) -> str:
    """The account that paid for a run, and instead of which one; empty if nobody knows."""
    account, first = str(run.spec.get("account") or ""), str(run.spec.get("instead_of") or "")
    return f"{account} instead of {first}" if account and first else account


def run_line(run: RunRow) -> str:
    """A run's result on one line: why it failed, if it did, and what its agent said."""
    shown, decided = run_words(run)
    tie = "; last line: " if run.reason == REQUESTED else ": "
    return tie.join(filter(None, (why_ended(run), shown or decided)))


def printable(text: str) -> str:
    """The text with its lines, tabs as blanks, and nothing that a terminal would obey."""
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text).expandtabs()


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, the last of which is … if something was cut."""
    return text if len(text) <= limit else f"{text[: max(0, limit - 1)]}…"


def wrapped(text: str, width: int, lines: int = 2) -> list[str]:
    """The text in at most so many lines, the last of which ends with … if something was cut."""
    return textwrap.wrap(text, max(width, 20), max_lines=lines, placeholder=" …") or [""]


def from_home(path: Path | str) -> str:
    """A whole path, with ~ for the home directory."""
    if not str(path):
        return ""
    absolute, home = Path(path), Path.home()
    return f"~/{absolute.relative_to(home)}" if absolute.is_relative_to(home) else str(absolute)
