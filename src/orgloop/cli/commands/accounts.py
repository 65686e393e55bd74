"""`orgloop accounts`: the accounts that runs use, which are parked, and letting their work go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orgloop.journal.protocols import Journal
    from orgloop.operations.views.accounts import AccountView

T = TypeVar("T")

command = new_group(
    """The accounts that runs use: which are parked, and until when.

    An account that reached its usage limit is parked until the limit is over. Then one run starts as a
    probe, and if its agent gets to work, the others follow. Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop accounts", "orgloop accounts park work --until 07:00", "orgloop accounts resume work"],
)


@command.subcommand("list", read_only=True, examples=["orgloop accounts", "orgloop accounts --json"])
def list_accounts(app: App) -> None:
    """List all accounts, who uses them, and what their runs used in the last 24 hours."""
    from orgloop.journal.model import Query
    from orgloop.operations.views.accounts import accounts

    now = int(time.time() * 1000)
    with app.journal() as reader:
        found = accounts(reader, now)
        has_run = bool(reader.runs(Query(limit=1)))
    if app.out.json:
        from orgloop.operations.views import json_rows

        app.out.data([json_rows.account(one) for one in found])
    elif found:
        _table(app, found, now)
    else:
        why = "no run of the last 24 hours had one" if has_run else "no run has started yet"
        app.out.line(f"no account is known: {why}, and the project names none")


@command.subcommand("park", examples=["orgloop accounts park work", "orgloop accounts park work --until 2h"])
@click.argument("name", metavar="ACCOUNT")
@click.option("--until", metavar="TIME", default="", help="A duration or a time; by default until `resume`.")
@click.option("--note", metavar="TEXT", default="", help="The reason, for other people.")
def park(app: App, name: str, until: str, note: str) -> None:
    """Park an account: nothing starts with it. Active runs continue."""
    from orgloop.operations.views.accounts import BY_PERSON
    from orgloop.operations.views.words import short_moment, until_of

    app.require_this_project("accounts park")
    now = int(time.time() * 1000)
    at = until_of(until, now, "--until") if until else None
    why = note or BY_PERSON
    client = _client(app)
    if client is not None:
        client.park(name, at, why)
    else:
        _require_known(app, name, now)
        _offline(app, "accounts park", lambda journal: journal.park(name, at, why, now))
    if app.out.json:
        app.out.data({"parked": name, "until": at})
    else:
        end = f"until {short_moment(at, now)} at the earliest" if at is not None else "until you resume it"
        app.out.ok(f"nothing starts with the account {name} {end}")


@command.subcommand("resume", examples=["orgloop accounts resume work"])
@click.argument("name", metavar="ACCOUNT")
def resume(app: App, name: str) -> None:
    """Resume a parked account: its work continues, whoever parked it."""
    app.require_this_project("accounts resume")
    client = _client(app)
    if client is not None:
        client.resume(name)
    elif not _offline(app, "accounts resume", lambda journal: journal.resume(name, int(time.time() * 1000))):
        raise NotFound(f"the account {name} is not parked", hint="`orgloop accounts` lists all accounts")
    if app.out.json:
        app.out.data({"resumed": name})
    else:
        app.out.ok(f"the work of the account {name} goes on")


def _client(app: App) -> Any:
    from orgloop.daemon.client import Client

    return Client.of_home(app.home)


def _require_known(app: App, name: str, now: int) -> None:
    from orgloop.operations.views.accounts import accounts, require_account

    with app.journal() as reader:
        require_account(name, [one.name for one in accounts(reader, now)])


def _offline(app: App, command: str, work: Callable[[Journal], Awaitable[T]]) -> T:
    """Without a daemon: under the journal's own lock, which keeps one from starting meanwhile."""
    from orgloop.journal.backend import open_journal
    from orgloop.runtime.support.clock import SystemClock

    with app.journal() as reader:
        applied = reader.applied()

    async def run() -> T:
        journal = await open_journal(
            app.home.path,
            project=applied.project if applied is not None else "",
            clock=SystemClock().now,
            holder=f"orgloop {command}",
        )
        try:
            return await work(journal)
        finally:
            await journal.close()

    return asyncio.run(run())


def _table(app: App, found: Sequence[AccountView], now: int) -> None:
    from orgloop.cli.screen.grid import Column, print_grid

    columns = [
        Column(name="account", is_name=True),
        Column(name="actors", is_name=True),
        Column(name="at work", right=True),
        Column(name="runs today", right=True),
        Column(name="cost", right=True),
        Column(name="state", flexible=True),
    ]
    print_grid(app.out, columns, [_row(one, now) for one in found])


def _row(one: AccountView, now: int) -> list[str]:
    use = one.use
    return [
        one.name,
        ", ".join(one.actors),
        str(use.at_work if use is not None else 0),
        str(use.ended if use is not None else 0),
        f"${use.usd:.2f}" if use is not None and use.usd else "",
        _state(one, now),
    ]


def _state(one: AccountView, now: int) -> str:
    from orgloop.operations.views.words import one_line, short_moment

    parked = one.parked
    if parked is None:
        return "ready"
    why = one_line(parked.reason)
    if parked.until is None:
        return f"parked until you resume it: {why}"
    if parked.until <= now:
        return f"the next run probes: {why}" if not parked.by_person else "ready"
    return f"parked until {short_moment(parked.until, now)}: {why}"
