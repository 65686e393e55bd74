"""`orgloop demo`: a small organization at work: a daemon, a signed webhook, agents, a closed loop."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.screen.grid import print_commands
from orgloop.cli.time_limit import no_limit
from orgloop.errors import DaemonError

if TYPE_CHECKING:
    from orgloop.journal.protocols import Reader
    from orgloop.project.home import DaemonInfo, Home

PATIENCE: Final = 45.0
"""Seconds for the whole loop; it takes about ten."""

LAST_ROUTE: Final = "report"


@new_command(examples=["orgloop demo", "orgloop demo --keep ./demo-org"])
@click.option("--keep", metavar="DIR", help="Keep the organization's files in this directory.")
def command(app: App, keep: str | None) -> None:
    """Run a small example organization: a review arrives, an engineer is woken, a supervisor judges.

    Needs no account and no network. Everything is real but the agents, which are short scripts: a
    daemon of its own runs in a directory of its own, and is gone at the end.
    """
    import tempfile

    no_limit()
    with tempfile.TemporaryDirectory(prefix="orgloop-demo-") as scratch:
        project = Path(keep).expanduser().absolute() if keep else Path(scratch) / "demo-org"
        if keep and project.exists() and any(project.iterdir()):
            raise DaemonError(f"{project} is not empty", hint="name a directory that does not exist yet")
        _copy(project)
        chain = _play(app, project, Path(scratch) / "home")
    if app.out.json:
        app.out.data({"project": str(project) if keep else None, "trace": chain})
    else:
        _next_steps(app, project if keep else None)


def _copy(project: Path) -> None:
    from importlib.resources import as_file, files

    with as_file(files("orgloop.project") / "demo") as source:
        shutil.copytree(source, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _play(app: App, project: Path, home_path: Path) -> Mapping[str, Any]:
    """Show it all; returns the chain for programs."""
    from orgloop.cli.screen.chain_drawing import ChainDrawing
    from orgloop.journal.backend import open_reader
    from orgloop.operations.views.chain import document, read_chain, trace_of
    from orgloop.project.home import Home

    home = Home(home_path)
    secret = secrets.token_hex(16)
    out = app.out
    _headline(
        app,
        "1",
        "The organization",
        "two agents that work and one that judges; four routes, declared in YAML",
    )
    _draw_routes(app, project, home, secret)
    with _daemon(project, home, secret) as daemon:
        _headline(app, "2", "A review arrives", "GitHub's payload, signed, at the daemon's webhook")
        event_id = _send_review(project, daemon, secret)
        out.line(f"  200 OK, and on disk: {event_id}")
        reader = open_reader(home.path)
        try:
            trace_id = trace_of(reader, event_id)
            _headline(app, "3", "The loop runs", "live, from the journal")
            _watch(app, reader)
            _headline(app, "4", "The whole chain", f"orgloop trace {event_id}")
            out.line()
            chain = read_chain(reader, trace_id)
            for line in ChainDrawing(out, reader, now=int(time.time() * 1000)).lines(chain):
                out.line(line)
            return document(chain)
        finally:
            reader.close()


def _headline(app: App, number: str, title: str, words: str) -> None:
    out = app.out
    out.line()
    line = f"{out.style(number, 'bold', 'cyan')} {out.style(title, 'bold')}  {out.style(words, 'dim')}"
    out.fold(line.rstrip(), 2)


def _environment(home: Home, secret: str) -> dict[str, str]:
    return {**os.environ, "ORGLOOP_HOME": str(home.path), "ORGLOOP_PORT": "0", "DEMO_GITHUB_SECRET": secret}


def _draw_routes(app: App, project: Path, home: Home, secret: str) -> None:
    from orgloop.cli.commands.routes import draw_routes
    from orgloop.config.load import load_or_raise
    from orgloop.operations.views.topology import topology

    organization = load_or_raise(project, app.registry, _environment(home, secret), home.path)
    app.out.line()
    draw_routes(app.out, topology(organization.name, organization.snapshot))


@contextmanager
def _daemon(project: Path, home: Home, secret: str) -> Iterator[DaemonInfo]:
    """A daemon of this project, as `orgloop start` makes it, for as long as the block runs."""
    from orgloop.daemon.supervisor import daemon_command

    home.ensure()
    log_file = home.logs / "daemon.log"
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            daemon_command(["start", "--quiet", "--config", str(project)]),
            env=_environment(home, secret),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield _until_ready(child, home, log_file)
    finally:
        child.terminate()
        child.wait()


def _until_ready(child: subprocess.Popen[bytes], home: Home, log_file: Path) -> DaemonInfo:
    from orgloop.project.home import announced_daemon

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        info = announced_daemon(home)
        if info is not None:
            return info
        time.sleep(0.05)
    raise DaemonError(
        "the demo's daemon did not start", hint=log_file.read_text(errors="replace").strip()[-2000:]
    )


def _send_review(project: Path, daemon: DaemonInfo, secret: str) -> str:
    """Post the review as GitHub would. Returns the event's id."""
    import hashlib
    import hmac
    import json
    from datetime import UTC, datetime
    from urllib.request import Request, urlopen

    review = json.loads((project / "review.json").read_bytes())
    review["review"]["submitted_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    body = json.dumps(review).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    request = Request(
        f"http://127.0.0.1:{daemon.port}/webhook/github",
        data=body,
        headers={
            "Content-Type": "application/json",
            "X-GitHub-Event": "pull_request_review",
            "X-GitHub-Delivery": secrets.token_hex(16),
            "X-Hub-Signature-256": f"sha256={signature}",
        },
    )
    with urlopen(request, timeout=10) as answer:
        document: Mapping[str, str] = json.loads(answer.read())
    return document["event_id"]


def _watch(app: App, reader: Reader) -> None:
    """Show what happens until the last route's run has ended."""
    from orgloop.cli.screen.live import LiveScreen
    from orgloop.journal.follow import Follower

    live = LiveScreen(app.out)
    follower = Follower.since(reader, 0)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for record in follower.next():
            live.show(record, reader)
            if record.route == LAST_ROUTE and record.phase in ("run.ended", "run.failed"):
                return
        time.sleep(0.05)
    raise DaemonError(
        "the demo's agents did not finish in time",
        hint="run `orgloop demo --keep DIR`, then look at it there",
    )


def _next_steps(app: App, kept: Path | None) -> None:
    out = app.out
    _headline(app, "5", "Now yours", "")
    steps = [
        ("mkdir my-org && cd my-org", ""),
        ("orgloop init", "a source, an actor, a route and its SOP, ready to run"),
        ("orgloop start", "then send an event, and look at the result:"),
        ("orgloop status", "what runs, and what needs you"),
        ("orgloop trace ID", "why an agent was woken, its input and its result"),
    ]
    if shutil.which("orgloop") is None:
        activate, here = Path(sys.executable).parent / "activate", Path.cwd()
        shown = activate.relative_to(here) if activate.is_relative_to(here) else activate
        steps.insert(0, (f". {shlex.quote(str(shown))}", "so that your shell finds orgloop"))
    if kept is not None:
        steps.insert(
            0,
            (
                f"cd {out.path(kept)}",
                "this organization: export DEMO_GITHUB_SECRET=anything, then orgloop start",
            ),
        )
    print_commands(out, steps)
    out.line()
