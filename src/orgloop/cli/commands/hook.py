"""`orgloop hook`: hands what an agent's hook says to this home's daemon."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import SOURCE
from orgloop.cli.time_limit import no_limit
from orgloop.errors import DaemonError, JournalError, OrgLoopError, Refused
from orgloop.operations.signing import SIGNATURE, secret_of, signature

if TYPE_CHECKING:
    from orgloop.daemon.client import Client
    from orgloop.daemon.spool import Hook

PATIENCE: Final = 5.0
"""Seconds that the daemon gets: an agent waits for its hook."""


@new_command(
    examples=[
        "orgloop hook claude-code-stop",
        "orgloop hook codex --source laptop-agents --secret-env HOOK_SECRET",
    ]
)
@click.argument("name", metavar="NAME")
@click.argument("payload", metavar="[JSON]", required=False)
@click.option("--source", metavar="ID", type=SOURCE, help="The source; by default NAME without -stop.")
@click.option("--secret-env", metavar="VARIABLE", help="The variable that holds the source's secret.")
@click.option("--port", metavar="NUMBER", type=int, help="Not needed: the daemon's own port is found.")
def command(
    app: App, name: str, payload: str | None, source: str | None, secret_env: str | None, port: int | None
) -> int | None:
    """Send the data of an agent's hook to a source.

    The hook's JSON comes on standard input, or as the last argument. It becomes a signed request to
    the source, at the port at which this home's daemon really listens. Where no daemon runs it is
    kept in the home, and handed over when one does; the agent never hears of that. Within a run of
    OrgLoop's own it does nothing: the end of that run is an event already.

    In Claude Code's settings:

        {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "orgloop hook claude-code-stop"}]}]}}
    """
    from orgloop.daemon.hook_body import body_of, source_of
    from orgloop.daemon.spool import Hook

    body_in = payload.encode("utf-8", "replace") if payload is not None else _standard_input()
    if port is not None:
        app.out.warn(f"--port {port} is not needed: the port of this home's daemon is found. Remove it")
    if run := app.environ.get("ORGLOOP_RUN_ID"):
        app.out.note(f"this is a session of {run}, whose end is already an event")
        return None
    body = body_of(name, body_in, int(time.time() * 1000))
    headers = {SIGNATURE: signature(_of_variable(app, secret_env), body)} if secret_env else {}
    return _deliver(app, Hook.new(source or source_of(name), body, headers))


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        raise Refused("there is no hook on standard input", hint="an agent calls this with its hook's JSON")
    no_limit()
    try:
        return sys.stdin.buffer.read()
    except OSError as exc:
        raise Refused(f"standard input cannot be read: {exc.strerror or exc}") from exc


def _deliver(app: App, hook: Hook) -> int | None:
    """Send it, after what was kept before it; keep it if nobody is there."""
    from orgloop.daemon.client import Client
    from orgloop.daemon.spool import flush, keep

    try:
        client = Client.of_home(app.home)
        if client is not None:
            for trouble in flush(app.home, client, PATIENCE):
                app.out.warn(trouble)
            answer = _send(app, client, hook)
            app.out.note(f"accepted by {hook.source}: {answer.get('event_id', answer)}")
            if app.out.json:
                app.out.data(dict(answer))
            return None
    except DaemonError as exc:
        app.out.note(exc.message)
    if not app.home.path.is_dir():
        app.out.note(f"nothing has ever run in {app.home.path}")
    else:
        project = _project(app)
        hook = replace(hook, project=str(project) if project is not None else "")
        path = keep(app.home, hook if hook.headers else _signed(app, hook))
        app.out.note(f"stored in {path} until a daemon runs")
    return None


def _send(app: App, client: Client, hook: Hook) -> Mapping[str, Any]:
    """Unsigned first, unless a secret was named: the project, which may know one, takes time to read."""
    try:
        return hook.send(client, PATIENCE)
    except Refused as exc:
        if exc.status != 401 or hook.headers:
            raise
        signed = _signed(app, hook)
        if not signed.headers:
            raise
        return signed.send(client, PATIENCE)


def _signed(app: App, hook: Hook) -> Hook:
    """Signed with the secret that the source has in this home's project, if it has one."""
    project = _project(app)
    sound = app.load(project).sound if project is not None else None
    secret = secret_of(sound.sources.get(hook.source)) if sound is not None else None
    return replace(hook, headers={SIGNATURE: signature(secret, hook.body)}) if secret is not None else hook


def _project(app: App) -> Path | None:
    """The directory of the project that runs in this home, or ran last."""
    try:
        with app.reading() as reader:
            applied = reader.applied() if reader is not None else None
    except JournalError as exc:
        app.out.note(exc.message)
        return None
    return Path(applied.root) if applied is not None else None


def _of_variable(app: App, name: str) -> str:
    secret = app.environ.get(name, "")
    if not secret:
        raise OrgLoopError(f"the variable {name} is not set", hint="set it where the agent is started")
    return secret
