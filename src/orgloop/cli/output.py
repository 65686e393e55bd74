"""Everything that a command prints goes through here: text for people, or one JSON document for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Final[Mapping[str, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}

OK, FAIL, WARN, NOTE, UNSET = "✓", "✗", "!", "…", "·"
"""The symbols in front of a line: done or sound; wrong; doubtful; said with --verbose only; not there."""

WIDEST: Final = 160
"""Columns that are used of a terminal."""

ENDLESS: Final = 10_000
"""Columns where there is no terminal: nothing is folded or cut for whoever reads a file or a pipe."""


def wants_color(environ: Mapping[str, str]) -> bool | None:
    """What the environment says about colours; None: as the stream is a terminal or not."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return True if environ.get("FORCE_COLOR") else None


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where and how to print. With `json`, only `data` and failures print; with `quiet`, only failures."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    color: bool | None = None

    def line(self, text: str = "") -> None:
        """One line of text."""
        if not (self.json or self.quiet):
            sys.stdout.write(self._plain(text) + "\n")

    def fold(self, text: str, indent: int) -> None:
        """One line, which goes on below behind that many blanks where the terminal is too narrow for it."""
        for line in self._folded(text, indent):
            self.line(line)

    def cut(self, text: str, limit: int) -> str:
        """At most `limit` characters in a terminal, the last of which is … if something was cut."""
        return text if self.width == ENDLESS or len(text) <= limit else f"{text[: limit - 1]}…"

    def ok(self, text: str) -> None:
        """✓ and a sentence."""
        self.fold(f"{self.style(OK, 'green')} {text}", 2)

    def warn(self, text: str, hint: str = "") -> None:
        """! and a sentence: doubtful, and no failure. On standard error."""
        if not (self.json or self.quiet):
            self._complain(self.style(WARN, "yellow", error=True), text, hint)

    def note(self, text: str) -> None:
        """… and a detail that only --verbose shows. On standard error."""
        if self.verbose and not (self.json or self.quiet):
            self._complain(self.style(NOTE, "dim", error=True), self.style(text, "dim", error=True), "")

    def fail(self, text: str, hint: str = "") -> None:
        """✗ and a sentence, on standard error; never silent."""
        self._complain(self.style(FAIL, "red", error=True), text, hint)

    def advise(self, hint: str) -> None:
        """What to do next, on standard error."""
        for line in hint.splitlines():
            self._write_error(f"  {line}", 2 + len(line) - len(line.lstrip()))

    def data(self, value: Any) -> None:
        """The command's one JSON document. Without `json` too: for commands that always print JSON."""
        from orgloop.core.text.json_text import dump_json

        sys.stdout.write(dump_json(value, indent=True, default=str).decode() + "\n")

    def raw(self, text: str) -> None:
        """Text that is the product itself, such as a schema: `quiet` and `json` do not hide it."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def style(self, text: str, *styles: str, error: bool = False) -> str:
        """`text` in these styles, if the stream shows colours. `error`: it goes to standard error."""
        if not text or not self._colored(error=error):
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def path(self, path: Path | str) -> str:
        """A path as a person writes it: relative if it lies below the working directory, else with ~."""
        from orgloop.project.files import shown

        return shown(path)

    @property
    def asks(self) -> bool:
        """Whether a person is there who can answer."""
        return not (self.json or self.quiet) and sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def is_colored(self) -> bool:
        """Whether standard output shows colours."""
        return self._colored()

    @property
    def width(self) -> int:
        """Columns to draw in: the terminal's, at most 160; without end where there is none."""
        columns = get_terminal_size((ENDLESS, 24)).columns
        return columns if columns == ENDLESS else min(columns, WIDEST)

    @cached_property
    def console(self) -> Console:
        """Rich's console on standard output."""
        from rich.console import Console

        colored = self._colored()
        return Console(
            file=sys.stdout,
            width=self.width,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
            no_color=not colored,
            force_terminal=colored,
            color_system="standard" if colored else None,
        )

    def _complain(self, symbol: str, text: str, hint: str) -> None:
        self._write_error(f"{symbol} {text}", 2)
        self.advise(hint)

    def _write_error(self, text: str, indent: int) -> None:
        for line in self._folded(text, indent):
            sys.stderr.write(self._plain(line) + "\n")

    def _folded(self, text: str, indent: int) -> list[str]:
        from orgloop.core.text.columns import folded

        return folded(text, self.width, indent)

    def _colored(self, *, error: bool = False) -> bool:
        wanted = self.color if self.color is not None else wants_color(os.environ)
        if wanted is not None:
            return wanted
        return (sys.stderr if error else sys.stdout).isatty()

    def _plain(self, text: str) -> str:
        """Without what a stream that is not UTF-8 could not take."""
        encoding = sys.stdout.encoding or "ascii"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.encode(encoding, "replace").decode(encoding)
        return text
