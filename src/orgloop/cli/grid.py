"""Tables that keep one line a row at every width, lists of facts, and blocks of others' text."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.cli.output import Output

    Cell = str | Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column. `flexible`: cut if there is no room. `from_width`: left out of narrower tables."""

    name: str
    right: bool = False
    flexible: bool = False
    from_width: int = 0


def print_grid(
    out: Output, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, indent: int = 0
) -> None:
    """Print the rows. Columns that would be empty are left out, and so is a head without names."""
    if out.json or out.quiet:
        return
    from rich.padding import Padding
    from rich.table import Table

    cells = [list(row) for row in rows]
    shown = [
        number
        for number, column in enumerate(columns)
        if out.width >= column.from_width and any(str(row[number]) for row in cells)
    ]
    head = any(columns[number].name for number in shown)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=head)
    for number in shown:
        column = columns[number]
        table.add_column(
            column.name.upper(),
            justify="right" if column.right else "left",
            no_wrap=not column.flexible,
            overflow="ellipsis",
        )
    for row in cells:
        table.add_row(*(_text(row[number]) for number in shown))
    with out.console.capture() as capture:
        out.console.print(Padding(table, (0, 0, 0, indent), expand=False))
    for line in capture.get().splitlines():
        out.line(line.rstrip())


def _text(cell: Cell) -> Text:
    from rich.text import Text

    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def print_facts(out: Output, facts: Iterable[tuple[str, str]], *, indent: int = 2) -> None:
    """Names and values, one pair a line, those without a value left out. Long values go on below."""
    known = [(name, value) for name, value in facts if value]
    widest = max((len(name) for name, _ in known), default=0)
    room = max(out.width - indent - widest - 2, 20)
    for name, value in known:
        first, *more = _folded(value, room)
        label = out.style(name.ljust(widest), "dim")
        out.line(f"{' ' * indent}{label}  {first}")
        for line in more:
            out.line(f"{' ' * (indent + widest + 2)}{line}")


def print_block(out: Output, text: str, *, indent: int = 2) -> None:
    """Text of somebody else's, line by line behind a bar, so that it cannot be taken for ours.

    On a terminal long lines are folded, so that none begins without the bar.
    """
    bar = out.style("│", "dim")
    room = max(out.width - indent - 2, 20) if sys.stdout.isatty() else None
    for line in text.splitlines():
        shown = "".join(char if char.isprintable() or char == "\t" else " " for char in line).expandtabs()
        for piece in _pieces(shown, room):
            out.line(f"{' ' * indent}{bar} {piece}".rstrip())


def _pieces(line: str, room: int | None) -> list[str]:
    if room is None or len(line) <= room:
        return [line]
    return [line[start : start + room] for start in range(0, len(line), room)]


def print_next(out: Output, commands: Sequence[tuple[str, str]]) -> None:
    """What to type next, and what for."""
    out.line()
    out.line(out.style("Next", "bold"))
    widest = max((len(command) for command, _ in commands), default=0)
    for command, words in commands:
        out.line(f"  {out.style(command.ljust(widest), 'cyan')}  {out.style(words, 'dim')}")


def _folded(value: str, room: int) -> list[str]:
    lines: list[str] = []
    for line in value.splitlines():
        lines += textwrap.wrap(line, room, break_on_hyphens=False, break_long_words=False) or [""]
    return lines or [""]
