"""`orgloop dismiss`: take off the list of `status` what a person has seen."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.errors import NotFound, Refused


@new_command(examples=["orgloop dismiss refused:github", "orgloop dismiss gap", "orgloop dismiss --all"])
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that can be dismissed.")
def command(app: App, ids: tuple[str, ...], everything: bool) -> None:
    """Dismiss past problems from the list of `orgloop status`, until they happen again.

    The list shows an id beside each problem that is over: refused requests, times without a daemon,
    parts of the daemon that failed. A problem that still exists stays in the list until it is solved.
    """
    from orgloop.daemon.client import live_of_home
    from orgloop.operations.status.attention import attention
    from orgloop.operations.status.item import dismiss
    from orgloop.operations.status.status import status
    from orgloop.project.home import running_daemon

    if bool(ids) == everything:
        raise Refused("no problem is chosen", hint="name ids from `orgloop status`, or use --all")
    app.require_this_project("dismiss")
    daemon = running_daemon(app.home)
    live, _ = live_of_home(app.home) if daemon is not None else (None, "")
    with app.reading() as reader:
        items = {
            one.id: one for one in attention(status(reader, live, home=app.home, daemon=daemon, since=0))
        }
    chosen = list(dict.fromkeys(ids)) or [id for id, one in items.items() if one.last is not None]
    for id in chosen:
        if id not in items:
            known = ", ".join(id for id, one in items.items() if one.last is not None)
            raise NotFound(
                f"{id!r} is not in the list of `orgloop status`", hint=f"there are: {known or 'none'}"
            )
        if items[id].last is None:
            raise Refused(
                f"{id} cannot be dismissed: the problem still exists", hint=f"type `{items[id].command}`"
            )
    if chosen:
        dismiss(app.home, chosen)
    if app.out.json:
        app.out.data({"dismissed": chosen})
    elif chosen:
        app.out.ok(f"dismissed: {', '.join(chosen)}")
    else:
        app.out.line("nothing can be dismissed")
