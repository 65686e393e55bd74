"""How help looks: what it is, how it is written, examples, options."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size

import click

WIDEST = 100
_SHARED = "Options of every command"


def root_help(ctx: click.Context, sections: Mapping[str, Sequence[tuple[str, str, str]]]) -> str:
    """`orgloop --help`. Reads no command's module."""
    lines = [
        f"{_bold('orgloop')}  Organization as code: events wake agents, and the end of a run is an event.",
        "",
        f"{_heading('Usage')} orgloop COMMAND [OPTIONS]",
    ]
    widest = max(len(name) for rows in sections.values() for name, _, _ in rows)
    for heading, rows in sections.items():
        lines += ["", _heading(heading)] if heading else [""]
        lines += [f"  {_name(name.ljust(widest))}  {line}" for name, _, line in rows]
    lines += ["", _heading(_SHARED), *_records(ctx, ctx.command.get_params(ctx))]
    lines += ["", "`orgloop COMMAND --help` shows details and examples. Begin with `orgloop init`."]
    return "\n".join(lines)


def command_help(command: click.Command, ctx: click.Context, examples: Sequence[str]) -> str:
    """The help of one command."""
    pieces = [piece for piece in command.collect_usage_pieces(ctx) if piece != "[OPTIONS]"]
    own, shared = _split(command, ctx)
    lines = [
        *_paragraphs(command.help or ""),
        "",
        " ".join([_heading("Usage"), ctx.command_path, *pieces, "[OPTIONS]"]),
    ]
    if examples:
        lines += ["", _heading("Examples"), *(f"  {example}" for example in examples)]
    if isinstance(command, click.Group):
        lines += ["", _heading("Commands"), *_subcommands(command)]
    if records := _records(ctx, own):
        lines += ["", _heading("Options"), *records]
    return "\n".join([*lines, "", _heading(_SHARED), *_records(ctx, shared)])


def _split(command: click.Command, ctx: click.Context) -> tuple[list[click.Parameter], list[click.Parameter]]:
    own = [one for one in command.params if one.expose_value]
    shared = [one for one in command.get_params(ctx) if not one.expose_value]
    return own, shared


def _subcommands(group: click.Group) -> list[str]:
    """Each with the first sentence of its help."""
    helps = {name: " ".join((command.help or "").split()) for name, command in group.commands.items()}
    return _rows([(name, text.partition(". ")[0].rstrip(".")) for name, text in helps.items()])


def _paragraphs(text: str) -> list[str]:
    """Filled; what is indented, such as a line to copy, stays as it is."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    filled = (
        one if one.startswith(" ") else textwrap.fill(" ".join(one.split()), _width()) for one in paragraphs
    )
    return "\n\n".join(filled).splitlines()


def _records(ctx: click.Context, parameters: Iterable[click.Parameter]) -> list[str]:
    records = [one.get_help_record(ctx) for one in parameters]
    return _rows([record for record in records if record is not None and record[1]])


def _rows(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and what they mean, in two columns."""
    widest = min(max((len(name) for name, _ in rows), default=0), 34)
    lines: list[str] = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(_width() - widest - 4, 20)) or [""]
        if len(name) > widest:
            lines.append(f"  {_name(name)}")
            name = ""
        lines.append(f"  {_name(name.ljust(widest))}  {wrapped[0]}".rstrip())
        lines += [f"{' ' * (widest + 4)}{more}" for more in wrapped[1:]]
    return lines


def _width() -> int:
    return min(get_terminal_size((80, 24)).columns, WIDEST)


def _heading(text: str) -> str:
    return click.style(text, bold=True, fg="yellow")


def _name(text: str) -> str:
    return click.style(text, fg="cyan")


def _bold(text: str) -> str:
    return click.style(text, bold=True)
