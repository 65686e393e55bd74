"""`orgloop doctor`: can this project run here?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, Final

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.exits import Exit
from orgloop.cli.output import FAIL, OK, UNSET, WARN
from orgloop.errors import JournalError

if TYPE_CHECKING:
    from orgloop.operations.doctor import Diagnosis, Examination

_HEADINGS: Final[Mapping[str, str]] = {
    "dependency": "Installed",
    "home": "Home",
    "daemon": "Daemon",
    "config": "Files",
    "credential": "Variables",
    "service": "Services",
}
_MARKS: Final = {
    "ok": (OK, "green"),
    "warning": (WARN, "yellow"),
    "missing": (UNSET, "yellow"),
    "error": (FAIL, "red"),
}


@new_command(examples=["orgloop doctor", "orgloop doctor --json"])
def command(app: App) -> int:
    """Find out whether the project can run here.

    Looks at what is installed, the home, the daemon, the files, variables and credentials, and asks
    each connector to check its service, all at the same time and for five seconds at most. Nothing is
    changed, sent or woken. Ends with 0 if all is well, 1 if something is missing or doubtful, 2 if
    something is wrong.
    """
    examination = asyncio.run(_examine(app))
    if app.out.json:
        app.out.data(examination.as_json())
    else:
        _show(app, examination)
    match examination.status:
        case "ok":
            return Exit.OK
        case "degraded":
            return Exit.FAILED
        case "error":
            return Exit.DIFFERENT


async def _examine(app: App) -> Examination:
    from orgloop.daemon.client import live_of_home
    from orgloop.operations.doctor import Patient, examine
    from orgloop.project.home import running_daemon, wanted_port
    from orgloop.runtime.support.clock import SystemClock
    from orgloop.runtime.support.http import HttpClient

    http = HttpClient()
    live, fault = live_of_home(app.home)
    with ExitStack() as open_now:
        reader, unreadable = None, None
        try:
            reader = open_now.enter_context(app.reading())
        except JournalError as exc:
            unreadable = exc
        patient = Patient(
            loaded=app.loaded,
            registry=app.registry,
            environ=app.environ,
            home=app.home,
            port=wanted_port(app.environ),
            daemon=running_daemon(app.home),
            reader=reader,
            live=live,
            clock=SystemClock(),
            http=http,
            fault=fault,
            unreadable=unreadable,
        )
        try:
            return await examine(patient)
        finally:
            await http.close()


def _show(app: App, examination: Examination) -> None:
    from orgloop.operations.views.words import counted

    out = app.out
    for category, group in groupby(examination.checks, lambda one: one.category):
        out.line(out.style(_HEADINGS.get(category, category), "bold"))
        for check in group:
            _show_one(app, check)
        out.line()
    troubled = [check for check in examination.checks if check.status != "ok"]
    match examination.status:
        case "ok":
            out.ok(f"{examination.project} can run here")
        case "degraded":
            many = counted(len(troubled), "warning")
            out.warn(f"{examination.project or 'The project'} can run here, with {many}")
        case "error":
            out.fail(f"{examination.project or 'The project'} cannot run as it is")


def _show_one(app: App, check: Diagnosis) -> None:
    out = app.out
    mark, color = _MARKS[check.status]
    identity = f" as {check.identity}" if check.identity else ""
    name = out.path(check.name) if check.name.startswith("/") else check.name
    out.fold(f"  {out.style(mark, color)} {name}  {out.style(check.detail + identity, 'dim')}".rstrip(), 6)
    if check.status != "ok":
        for line in (*check.description.splitlines(), *check.hint.splitlines()):
            out.fold(f"      {line}", 6)
        if check.help_url:
            out.line(f"      {check.help_url}")
