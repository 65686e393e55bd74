"""`orgloop stop`: end this home's daemon. Agents go on, and nothing is lost."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command


@new_command(examples=["orgloop stop", "orgloop stop --force"])
@click.option("--force", is_flag=True, help="Kill it at once. No work is lost: the next start recovers it.")
def command(app: App, force: bool) -> None:
    """Stop the daemon of this home.

    It takes no more events, hands back what is being delivered, and ends. Running agents continue; the
    next start takes them over. In the directory of another project it stops nothing.
    """
    stop_and_tell(app, "stop", force=force)


def stop_and_tell(app: App, verb: str, *, force: bool) -> None:
    """Stop what runs here, if anything does, and say so."""
    from orgloop.cli.screen.words import from_home
    from orgloop.daemon.background import stop_daemon
    from orgloop.operations.ownership import daemon_of, require_this_daemon
    from orgloop.project.home import holder_of, running_supervisor

    supervisor = running_supervisor(app.home)
    info = daemon_of(app.home)
    if info is None and supervisor is None:
        if app.out.json:
            app.out.data({"stopped": False, "running": False})
        app.out.line(f"nothing runs in {from_home(app.home.path)}")
        if holder := holder_of(app.home):
            app.out.line(f"  its journal is in use by {holder}: a daemon is just starting or stopping")
        return
    if info is not None:
        require_this_daemon(info, app.here, verb)
    stop_daemon(app.home, force=force)
    project, pid = (info.project, info.pid) if info is not None else ("the daemon", supervisor)
    if app.out.json:
        done = {"shutdown": True} if verb == "shutdown" else {"stopped": True, "all": True}
        app.out.data({**done, "pid": pid, "project": project, "force": force})
    app.out.ok(f"{project} has stopped (pid {pid})")
