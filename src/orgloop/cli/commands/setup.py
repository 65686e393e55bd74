"""`orgloop setup`: a connector's variables and its service, as far as a program can set them up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.exits import Exit
from orgloop.cli.output import FAIL, OK, WARN
from orgloop.cli.time_limit import no_limit

if TYPE_CHECKING:
    from orgloop.operations.setup import FilledVariable
    from orgloop.plugin import CheckResult, Connector


@new_command(
    examples=[
        "orgloop setup github",
        "orgloop setup github --url https://hooks.example.com",
        "orgloop setup slack --json",
    ]
)
@click.argument("name", metavar="CONNECTOR")
@click.option("--source", "id", metavar="ID", help="Only this source or actor of the connector.")
@click.option(
    "--url", metavar="URL", help="Where the service reaches this machine: https://hooks.example.com."
)
def command(app: App, name: str, id: str | None, url: str | None) -> int:
    """Set up what a connector needs.

    Variables that the project uses and that are not set are filled, where a command prints their value
    (`gh auth token`, a new random secret), and written into `.env`. For the others it says where to get
    them. Then the connector does its part at the service: GitHub gets a webhook in each repository that
    the source names, with the secret and the address at --url, and sends a ping. Called again, it changes
    nothing that is right.
    """
    from orgloop.operations.setup import missing_of, public_address

    no_limit()  # Each request has a limit of its own, and a ping is waited for.
    connector = app.connector(name)
    address = public_address(url) if url is not None else None
    filled = _fill(app, connector) if missing_of(app.loaded, app.registry, app.environ, connector) else []
    open_ones = [one for one in filled if one.problem]
    results: list[tuple[str, CheckResult]] = []
    if not open_ones:
        results = asyncio.run(_install(app, connector, id, address))
    failed = bool(open_ones) or any(result.status != "ok" for _, result in results)
    if app.out.json:
        app.out.data(_document(filled, results))
    else:
        _show(app, connector, filled, results)
    return Exit.FAILED if failed else Exit.OK


def _fill(app: App, connector: Connector) -> list[FilledVariable]:
    from orgloop.operations.setup import fill, missing_of

    file = app.project_file.parent / ".env"
    missing = missing_of(app.loaded, app.registry, app.environ, connector)
    return [fill(variable, app.environ, file) for variable in missing]


async def _install(
    app: App, connector: Connector, id: str | None, url: str | None
) -> list[tuple[str, CheckResult]]:
    from orgloop.operations.setup import install, parts_of
    from orgloop.runtime.support.clock import SystemClock
    from orgloop.runtime.support.http import HttpClient

    loaded = app.load(app.project_file)
    http, clock = HttpClient(), SystemClock()
    try:
        return [
            (part.id, result)
            for part in parts_of(loaded, connector, id)
            for result in await install(part, connector, loaded, http, clock, url)
        ]
    finally:
        await http.close()


def _document(
    filled: Sequence[FilledVariable], results: Sequence[tuple[str, CheckResult]]
) -> dict[str, object]:
    return {
        "variables": [
            {"name": one.about.name, "set": not one.problem, "problem": one.problem} for one in filled
        ],
        "results": [
            {"id": id, "name": one.name, "status": one.status, "detail": one.detail, "hint": one.hint}
            for id, one in results
        ],
    }


def _show(
    app: App,
    connector: Connector,
    filled: Sequence[FilledVariable],
    results: Sequence[tuple[str, CheckResult]],
) -> None:
    style = app.out.style
    for one in filled:
        mark = style(FAIL, "red") if one.problem else style(OK, "green")
        app.out.line(f"{mark} {one.about.name}  {one.problem or 'is set, in .env'}")
        if one.problem:
            for line in (one.about.description, one.about.help_url):
                if line:
                    app.out.line(f"    {style(line, 'dim')}")
    for id, result in results:
        mark = {"ok": style(OK, "green"), "error": style(FAIL, "red")}.get(
            result.status, style(WARN, "yellow")
        )
        app.out.line(f"{mark} {id}: {result.name}  {result.detail}")
        if result.hint:
            app.out.line(f"    {style(result.hint, 'dim')}")
    if not filled and not results:
        app.out.line(f"Nothing is left to set up for {connector.name}. `orgloop doctor` checks it.")
