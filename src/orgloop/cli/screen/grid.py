"""Tables that keep one line a row at every width, lists of facts, and blocks of others' text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from orgloop.cli.screen.words import printable
from orgloop.core.text.columns import columns as text_width
from orgloop.core.text.columns import elided, folded

if TYPE_CHECKING:
    from rich.text import Text

    from orgloop.cli.output import Output

    Cell = str | Text


_GIVE_WAY: Final = (("sentence", 40), ("name", 20), ("sentence", 16), ("name", 12), ("sentence", 6))
"""What is cut where there is no room, one after the other, and how many columns it keeps."""

_GAP: Final = 2

_BESIDE: Final = 24
"""Columns that words beside a command need, if they are as long as that."""

_LONG: Final = 60
"""Columns of a command behind which no words stand: they would push those of all the others to the right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column. Without room, a sentence (`flexible`) is cut at its end, a name in its middle.

    All else, such as an id, stays whole. `from_width`: left out of narrower tables.
    """

    name: str
    right: bool = False
    flexible: bool = False
    is_name: bool = False
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
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", show_header=head)
    widths = _widths([columns[number] for number in shown], [[row[n] for n in shown] for row in cells])
    widths = _squeezed([columns[number] for number in shown], widths, out.width - indent)
    for number, width in zip(shown, widths, strict=True):
        column = columns[number]
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(
            elided(column.name.upper(), width),
            justify=justify,
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in cells:
        fitted = zip(shown, widths, strict=True)
        table.add_row(*(_text(row[number], width, columns[number]) for number, width in fitted))
    with out.console.capture() as capture:
        out.console.print(Padding(table, (0, 0, 0, indent), expand=False))
    for line in capture.get().splitlines():
        out.line(line.rstrip())


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """What each column would take."""
    return [
        max([text_width(column.name), *(text_width(str(row[number])) for row in rows)])
        for number, column in enumerate(columns)
    ]


def _squeezed(columns: Sequence[Column], widths: list[int], room: int) -> list[int]:
    """The widths so that they fit, as far as they can: the widest gives way first."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    for what, least in _GIVE_WAY:
        giving = [n for n, one in enumerate(columns) if (one.flexible if what == "sentence" else one.is_name)]
        while excess > 0 and giving:
            widest = max(giving, key=lambda number: widths[number])
            if widths[widest] <= least:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _text(cell: Cell, width: int, column: Column) -> Text:
    from rich.text import Text

    if isinstance(cell, str):
        cell = Text(elided(cell, width) if column.is_name else cell)
    text = cell.copy()
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def print_facts(out: Output, facts: Iterable[tuple[str, str]], *, indent: int = 2) -> None:
    """Names and values, one pair a line, those without a value left out. Long values go on below."""
    known = [(name, value) for name, value in facts if value]
    widest = max((len(name) for name, _ in known), default=0)
    begin = indent + widest + 2
    for name, value in known:
        label = out.style(name.ljust(widest), "dim")
        first, *more = value.splitlines() or [""]
        out.fold(f"{' ' * indent}{label}  {first}", begin)
        for line in more:
            out.fold(f"{' ' * begin}{line}", begin)


def print_block(out: Output, text: str, *, indent: int = 2) -> None:
    """Text of somebody else's, line by line behind a bar, so that it cannot be taken for ours.

    On a terminal long lines are folded, so that none begins without the bar.
    """
    bar = out.style("│", "dim")
    room = max(out.width - indent - 2, 20)
    for shown in printable("\n".join(text.splitlines())).split("\n"):
        begin = min(len(shown) - len(shown.lstrip()), room // 2)
        for piece in folded(shown, room, begin):
            out.line(f"{' ' * indent}{bar} {piece}".rstrip())


def print_next(out: Output, commands: Sequence[tuple[str, str]]) -> None:
    """What to type next, and what for: beside it, or below it where there is no room."""
    out.line()
    out.line(out.style("Next", "bold"))
    print_commands(out, commands)


def print_commands(out: Output, commands: Sequence[tuple[str, str]]) -> None:
    """Commands in one column, and what each is for: beside it, or below it where there is no room."""
    widest = max((wide for command, _ in commands if (wide := text_width(command)) <= _LONG), default=0)
    begin = 2 + widest + 2
    longest = max((text_width(words) for _, words in commands), default=0)
    beside = out.width - begin >= min(longest, _BESIDE)
    for command, words in commands:
        shown, meaning = f"  {out.style(command, 'cyan')}", out.style(words, "dim")
        if beside and words and text_width(command) <= _LONG:
            out.fold(f"{shown}{' ' * (begin - 2 - text_width(command))}{meaning}", begin)
            continue
        out.line(shown)
        if words:
            out.fold(f"{' ' * 6}{meaning}", 6)
