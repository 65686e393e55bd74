"""`orgloop sessions`: the sessions of agents, and which one each key goes on in."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.completion import ACTOR, SESSION
from orgloop.errors import NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orgloop.journal.model import RunRow, SessionRow

FORGOTTEN = "a person forgot it"

command = new_group(
    """Sessions of agents: list, show, forget.

    Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop sessions", "orgloop sessions show SESSION", "orgloop sessions forget SESSION"],
)


@command.subcommand(
    "list", read_only=True, examples=["orgloop sessions", "orgloop sessions list --actor engineer --all"]
)
@click.option("--all", "left", is_flag=True, help="Include sessions that no key uses any more.")
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="Only of this actor.")
@click.option("--key", metavar="KEY", default="", help="Only of this session key.")
@click.option("-n", "--limit", default=20, show_default=True, help="At most this many, the newest first.")
def list_sessions(app: App, left: bool, actor: str, key: str, limit: int) -> None:
    """List the sessions that keys use, or with --all every session, the newest first."""
    with app.journal() as reader:
        found = reader.sessions(actor=actor, key=key, active_only=not left, limit=limit)
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data([json_rows.session(row) for row in found])
    elif found:
        _table(app, found)
    else:
        app.out.line("no session matches" if actor or key else "there are no sessions")


@command.subcommand("show", read_only=True, examples=["orgloop sessions show SESSION"])
@click.argument("id", metavar="SESSION", type=SESSION)
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="The actor, if several have it.")
def show(app: App, id: str, actor: str) -> None:
    """Show a session: where it belongs, what it has cost, and how to take it over."""
    row = _session(app, id, actor)
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data(json_rows.session(row))
        return
    from orgloop.cli.screen.grid import print_facts, print_next
    from orgloop.operations.views.words import ago, moment

    now = int(time.time() * 1000)
    app.out.line(app.out.style(row.id, "bold"))
    goes_on = _goes_on(row)
    why = row.why if not row.active else f"its directory {row.work_dir} was removed"
    vain = f"{row.failed} of its last runs got no output from the agent: {row.why}"
    print_facts(
        app.out,
        [
            ("actor", f"{row.actor} ({row.harness})"),
            ("key", row.key),
            ("continues", "in the next run of its key" if goes_on else f"no more. {why}".rstrip(". ")),
            ("directory", row.work_dir),
            ("login", row.account),
            ("machine", row.machine),
            ("made from", row.parent or ""),
            ("cost", _cost(row)),
            ("in vain", vain if row.failed else ""),
            ("last run", row.run_id),
            ("created", moment(row.created_at, now)),
            ("last used", ago(row.changed_at, now)),
        ],
    )
    with app.journal() as reader:
        last = reader.run(row.run_id)
    print_next(app.out, list(_next(row, last)))


@command.subcommand("forget", examples=["orgloop sessions forget SESSION"])
@click.argument("id", metavar="SESSION", type=SESSION)
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="The actor, if several have it.")
def forget(app: App, id: str, actor: str) -> None:
    """Detach a session from its key: the next run with that key begins a new session.

    The agent's own files of the session stay. An active run in the session continues.
    """
    app.require_this_project("sessions forget")
    row = _session(app, id, actor)
    if not row.active:
        raise Refused(f"no key uses {id}", hint="orgloop sessions lists the sessions that keys use")
    _forget(app, row)
    if app.out.json:
        app.out.data({"forgotten": {"actor": row.actor, "session": row.id, "key": row.key}})
    else:
        app.out.ok(f"the next run of {row.key} begins a new session")


def _session(app: App, id: str, actor: str) -> SessionRow:
    with app.journal() as reader:
        found = reader.sessions(id=id, actor=actor)
    if not found:
        raise NotFound(f"there is no session {id}", hint="orgloop sessions --all lists them")
    if len(found) > 1:
        names = ", ".join(row.actor for row in found)
        raise Refused(f"several actors have a session {id}: {names}", hint="name one with --actor")
    return found[0]


def _forget(app: App, row: SessionRow) -> None:
    from orgloop.daemon.client import Client

    client = Client.of_home(app.home)
    if client is not None:
        client.forget_session(row.actor, row.id)
    else:
        asyncio.run(_offline(app, row))


async def _offline(app: App, row: SessionRow) -> None:
    """Without a daemon: under the journal's own lock, which keeps one from starting meanwhile."""
    from orgloop.journal.backend import open_journal
    from orgloop.runtime.support.clock import SystemClock

    clock = SystemClock()
    with app.journal() as reader:
        applied = reader.applied()
    journal = await open_journal(
        app.home.path,
        project=applied.project if applied is not None else "",
        clock=clock.now,
        holder="orgloop sessions forget",
    )
    try:
        await journal.forget_session(row.actor, row.id, FORGOTTEN, clock.now())
    finally:
        await journal.close()


def _table(app: App, found: Sequence[SessionRow]) -> None:
    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.operations.views.words import ago

    now = int(time.time() * 1000)
    columns = [
        Column(name="session"),
        Column(name="actor", is_name=True),
        Column(name="key", is_name=True),
        Column(name="continues"),
        Column(name="runs", right=True),
        Column(name="cost", right=True),
        Column(name="used", from_width=100),
    ]
    rows = [
        [
            row.id,
            row.actor,
            row.key,
            "yes" if _goes_on(row) else "no",
            str(row.runs),
            f"${row.total_usd:.4f}",
            ago(row.changed_at, now),
        ]
        for row in found
    ]
    print_grid(app.out, columns, rows)


def _goes_on(row: SessionRow) -> bool:
    """Whether the next run of its key takes it up: not if its directory, such as a work tree, was removed."""
    return row.active and (not row.work_dir or os.path.isdir(row.work_dir))  # noqa: PTH112


def _cost(row: SessionRow) -> str:
    return f"${row.total_usd:.4f} in {row.runs} run{'' if row.runs == 1 else 's'}"


def _next(row: SessionRow, last: RunRow | None) -> Iterator[tuple[str, str]]:
    from orgloop.operations.status.attention import take_over

    if last is not None and (command := take_over(last)):
        yield command, "continue it yourself"
    if row.active:
        yield f"orgloop sessions forget {shlex.quote(row.id)}", "begin a new one with the next run"
