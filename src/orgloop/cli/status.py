"""`orgloop status`: what runs, what happened since, and what needs a person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command

if TYPE_CHECKING:
    from orgloop.cli.morning.needs import Item
    from orgloop.cli.morning.picture import Picture

NAMED: Final = 4
"""Changed things that are named."""


@new_command(examples=["orgloop status", "orgloop status --since 3d", "orgloop status --json"], looks=True)
@click.option(
    "--since",
    metavar="DURATION",
    default="12h",
    show_default=True,
    help="What happened since then: 12h, 3d, or a date.",
)
def command(cli: Cli, since: str) -> None:
    """Show what runs, what happened lately, and what needs you.

    The last part names, for each thing that needs a person, the command to type next. Works without
    a daemon, too: all is read from the journal.
    """
    from orgloop.cli.morning.attention import attention
    from orgloop.cli.morning.document import document
    from orgloop.cli.morning.picture import take_picture
    from orgloop.cli.morning.screen import Morning
    from orgloop.cli.screen.times import since_of

    picture = take_picture(cli, since_of(since, int(time.time() * 1000)))
    files = _files(cli, picture)
    items = [*attention(picture), *([files] if files is not None else [])]
    if cli.out.json:
        cli.out.data(document(picture, items))
    else:
        Morning(cli.out, picture, items, since).show()


def _files(cli: Cli, picture: Picture) -> Item | None:
    """What the files of the project that runs here say that is not applied.

    While a daemon runs, its environment counts: from there it reads them again, whatever this terminal has.
    """
    if not picture.root:
        return None
    from orgloop.cli.morning.needs import Item, config_option
    from orgloop.cli.plan import plan_of
    from orgloop.cli.screen.listing import counted

    there = replace(cli, config=picture.root, environ=_environment(cli, picture))
    where = config_option(picture.root)
    errors = there.loaded.errors
    if errors:
        text = f"the files have {counted(len(errors), 'error')}: {errors[0].message}"
        return Item(kind="files", text=text, command=f"orgloop validate{where}", count=len(errors))
    changed = [one.name for one in plan_of(there).items if one.action != "same" and not one.is_live]
    if not changed:
        return None
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    text = f"changed in the files, but not applied: {', '.join(changed[:NAMED])}{more}"
    return Item(kind="files", text=text, command=f"orgloop plan{where}", count=len(changed))


def _environment(cli: Cli, picture: Picture) -> Mapping[str, str]:
    """The variables of the daemon that runs, else those of this terminal."""
    import psutil

    if picture.daemon is None:
        return cli.environ
    try:
        return psutil.Process(picture.daemon.pid).environ()
    except (psutil.Error, OSError):
        return cli.environ
