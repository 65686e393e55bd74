"""`console`: one line per record on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from time import time
from typing import Any, Final, TextIO

from orgloop.plugin import (
    Level,
    LoggerPlugin,
    Record,
    RecordPhase,
    Settings,
    dump_json,
    folded,
)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_COLORS: Final = {"dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
_LOUDNESS: Final = {level: number for number, level in enumerate(Level)}

_INDENT: Final = len("10:00:00.123 ● ")
"""Where a folded line goes on: under the phase."""
_ROOMY: Final = 100
"""Columns from which on there is room to align what follows the phase."""
_PHASE: Final = len("deliver.success")

STYLES: Final[Mapping[RecordPhase, tuple[str, str]]] = {
    RecordPhase.SOURCE_EMIT: ("●", "blue"),
    RecordPhase.SOURCE_DUPLICATE: ("●", "dim"),
    RecordPhase.SOURCE_FAILED: ("⚠", "yellow"),
    RecordPhase.SOURCE_RECOVERED: ("✓", "green"),
    RecordPhase.ROUTE_MATCH: ("►", "cyan"),
    RecordPhase.ROUTE_NO_MATCH: ("►", "dim"),
    RecordPhase.TRANSFORM_PASS: ("◆", "green"),
    RecordPhase.TRANSFORM_DROP: ("✗", "red"),
    RecordPhase.TRANSFORM_ERROR: ("⚠", "yellow"),
    RecordPhase.TRANSFORM_ERROR_DROP: ("✗", "yellow"),
    RecordPhase.TRANSFORM_ERROR_HALT: ("⛔", "red"),
    RecordPhase.DELIVER_ATTEMPT: ("▷", "cyan"),
    RecordPhase.DELIVER_SUCCESS: ("✓", "green"),
    RecordPhase.DELIVER_SKIPPED: ("✗", "dim"),
    RecordPhase.DELIVER_FAILURE: ("✗", "red"),
    RecordPhase.DELIVER_RETRY: ("↻", "yellow"),
    RecordPhase.DELIVER_WAIT: ("↻", "cyan"),
    RecordPhase.DELIVER_HELD: ("⛔", "red"),
    RecordPhase.DELIVER_RELEASED: ("▷", "green"),
    RecordPhase.DELIVER_DISCARDED: ("✗", "dim"),
    RecordPhase.DELIVER_EXPIRED: ("✗", "yellow"),
    RecordPhase.RUN_STARTED: ("▷", "green"),
    RecordPhase.RUN_ENDED: ("✓", "green"),
    RecordPhase.RUN_FAILED: ("✗", "red"),
    RecordPhase.RUNTIME_START: ("●", "magenta"),
    RecordPhase.RUNTIME_STOP: ("●", "magenta"),
    RecordPhase.RUNTIME_APPLY: ("●", "cyan"),
    RecordPhase.SYSTEM_ERROR: ("⚠", "magenta"),
}
"""Icon and colour of every phase."""


class ConsoleSettings(Settings):
    """What to show, and how."""

    level: Level = Level.INFO
    """The least level that is shown: debug, info, warn or error."""
    color: bool = True
    """Colours, where stderr is a terminal and NO_COLOR is not set. False: never."""
    compact: bool = True
    """Metadata, if shown, on the record's own line. False: below it, indented."""
    show_payload: bool = False
    """Show a record's metadata, such as the number of the attempt."""


class ConsoleLogger:
    """Writes to `stream`. `folds`: it is a terminal, where long lines go on under their indentation.

    `dated`: what is not of today has its date. A live log has none of that.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        stream: TextIO,
        *,
        colored: bool,
        folds: bool = False,
        dated: bool = False,
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._colored = colored and settings.color
        self._folds = folds
        self._dated = dated
        self._least = _LOUDNESS[settings.level]

    def write(self, records: Sequence[Record]) -> None:
        width = get_terminal_size().columns if self._folds else 0
        lines = [
            line
            for record in records
            if _LOUDNESS[record.level] >= self._least
            for line in self._lines(record, width)
        ]
        if lines:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()

    def close(self) -> None:
        """Nothing is held back."""

    def _lines(self, record: Record, width: int) -> Iterator[str]:
        icon, color = STYLES[record.phase]
        message = " ".join(self._parts(record))
        phase = str(record.phase).ljust(_PHASE if message and width >= _ROOMY else 0)
        clock = f"{self._date(record.at)}{_clock(record.at)}"
        text = f"{self._in('dim', clock)} {self._in(color, f'{icon} {phase}')} {message}".rstrip()
        if self._settings.show_payload and record.metadata:
            text += self._metadata(record.metadata)
        for line in text.split("\n"):
            yield from folded(line, width, _INDENT) if width else [line]

    def _date(self, at: int) -> str:
        if not self._dated:
            return ""
        day, today = (datetime.fromtimestamp(one, UTC).astimezone().date() for one in (at // 1000, time()))
        return "" if day == today else f"{day:%Y-%m-%d} "

    def _parts(self, record: Record) -> Iterator[str]:
        named = {
            "src": record.source,
            "tgt": record.target,
            "route": record.route,
            "xform": record.transform,
            "type": record.title,
            "result": record.result,
        }
        yield from (f"{name}={_plain(value)}" for name, value in named.items() if value)
        if id := _subject(record):
            yield id
        if record.duration_ms is not None:
            yield f"{record.duration_ms:.2f}".rstrip("0").rstrip(".") + "ms"
        if not record.error and isinstance(reason := record.metadata.get("reason"), str):
            yield f"reason={_plain(reason)}"
        if record.error:
            yield self._in("red", f"err={_plain(record.error)}")

    def _metadata(self, metadata: Mapping[str, Any]) -> str:
        if self._settings.compact:
            return f" metadata={_plain(dump_json(metadata, default=str).decode())}"
        pretty = dump_json(metadata, indent=True, default=str).decode()
        return "".join(f"\n  {_plain(line)}" for line in f"metadata: {pretty}".split("\n"))

    def _in(self, color: str, shown: str) -> str:
        return f"\x1b[{_COLORS[color]}m{shown}\x1b[0m" if self._colored else shown


def _subject(record: Record) -> str:
    """The id of what a line is about, to paste into `orgloop trace`: of a run, a delivery or an event."""
    match record.phase.partition(".")[0]:
        case "run":
            return record.run_id
        case "deliver":
            return record.delivery_id
        case _:
            return record.event_id


def _clock(at: int) -> str:
    """Local time of day."""
    return f"{datetime.fromtimestamp(at // 1000, UTC).astimezone():%H:%M:%S}.{at % 1000:03}"


def _plain(shown: str) -> str:
    """On one line, and without what a terminal would obey: much of it comes from outside."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], shown)


def _open(settings: ConsoleSettings) -> ConsoleLogger:
    is_terminal = sys.stderr.isatty()
    colored = is_terminal and not os.environ.get("NO_COLOR")
    return ConsoleLogger(settings, sys.stderr, colored=colored, folds=is_terminal)


logger = LoggerPlugin(name="console", title="Lines on stderr", settings=ConsoleSettings, open=_open)
