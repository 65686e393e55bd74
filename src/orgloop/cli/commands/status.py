"""`orgloop status`: what runs, what happened since, and what needs a person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.exits import Exit

if TYPE_CHECKING:
    from orgloop.operations.status.item import Item
    from orgloop.operations.status.status import Status

NAMED: Final = 4
"""Changed things that are named."""


@new_command(
    examples=["orgloop status", "orgloop status --since 3d", "orgloop status --json"], read_only=True
)
@click.option(
    "--since",
    metavar="DURATION",
    default="12h",
    show_default=True,
    help="What happened since then: 12h, 3d, or a date.",
)
def command(app: App, since: str) -> int:
    """Show what runs, what happened lately, and what needs you.

    The last part names, for each thing that needs a person, the command to type next. Works without
    a daemon, too: all is read from the journal. Ends with 1 if the daemon takes no events, does not
    answer, or a source fails again and again.
    """
    from orgloop.cli.screen.status_view import StatusView
    from orgloop.daemon.client import live_of_home
    from orgloop.operations.status.attention import attention
    from orgloop.operations.status.document import document
    from orgloop.operations.status.status import status
    from orgloop.operations.views.words import since_of
    from orgloop.project.home import running_daemon

    at = since_of(since, int(time.time() * 1000))
    daemon = running_daemon(app.home)
    live, fault = live_of_home(app.home) if daemon is not None else (None, "")
    with app.reading() as reader:
        seen = status(reader, live, home=app.home, daemon=daemon, since=at, fault=fault)
    files = _files(app, seen)
    items = [*attention(seen), *([files] if files is not None else [])]
    if app.out.json:
        app.out.data(document(seen, items))
    else:
        StatusView(app.out, seen, items, since).show()
    return Exit.FAILED if seen.health == "error" else Exit.OK


def _files(app: App, seen: Status) -> Item | None:
    """What the files of the project that runs here say that is not applied.

    While a daemon runs, its environment counts: from there it reads them again, whatever this terminal has.
    """
    if not seen.root:
        return None
    from orgloop.operations.plan import plan_of
    from orgloop.operations.status.item import Item, config_option
    from orgloop.operations.views.words import counted

    there = replace(app, config=seen.root, environ=_environment(app, seen))
    where = config_option(seen.root)
    errors = there.loaded.errors
    if errors:
        text = f"the files have {counted(len(errors), 'error')}: {errors[0].message}"
        return Item(kind="files", text=text, command=f"orgloop validate{where}", count=len(errors))
    changed = [
        one.name
        for one in plan_of(there.home, there.organization).items
        if one.action != "same" and not one.is_live
    ]
    if not changed:
        return None
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    text = f"changed in the files, but not applied: {', '.join(changed[:NAMED])}{more}"
    return Item(kind="files", text=text, command=f"orgloop plan{where}", count=len(changed))


def _environment(app: App, seen: Status) -> Mapping[str, str]:
    """The variables of the daemon that runs, else those of this terminal."""
    import psutil

    if seen.daemon is None:
        return app.environ
    try:
        return psutil.Process(seen.daemon.pid).environ()
    except (psutil.Error, OSError):
        return app.environ
