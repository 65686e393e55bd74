"""`orgloop service`: the daemon that the system keeps running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Conflict, NotFound

if TYPE_CHECKING:
    from orgloop.daemon.service_manager import Manager

command = new_group(
    """The daemon as a service of systemd or launchd.

    `orgloop install-service` writes its file.""",
    examples=["orgloop service start", "orgloop service status", "orgloop service logs --follow"],
)


@command.subcommand("start", examples=["orgloop service start"])
def start(app: App) -> None:
    """Start it, now and whenever the machine starts."""
    from orgloop.project.home import running_daemon

    manager, name, root = _installed_here(app, "service start")
    info = running_daemon(app.home)
    if info is not None and not manager.standing(name).active:
        raise Conflict(
            f"a daemon that the system did not start runs already (pid {info.pid})",
            hint="type `orgloop stop`, then this again",
        )
    if info is None and root is not None:
        app.claim_home(root, root.name, take_over=False)
    manager.start(name)
    _tell(app, {"started": True, "name": name}, f"{name} is started, and starts at each boot")
    for one in manager.advice():
        app.out.line(f"  to start it before you log in: {one}")


@command.subcommand("stop", examples=["orgloop service stop"])
def stop(app: App) -> None:
    """Stop it until the next boot or `orgloop service start`. Agents continue."""
    manager, name, _ = _installed_here(app, "service stop")
    manager.stop(name)
    _tell(app, {"stopped": True, "name": name}, f"{name} has stopped; agents continue")


@command.subcommand("status", examples=["orgloop service status", "orgloop service status --json"])
def status(app: App) -> None:
    """Show whether it is installed, runs, and starts at boot."""
    from orgloop.project.home import running_daemon

    info = running_daemon(app.home)
    try:
        manager, name = _installed(app)
    except NotFound as exc:
        if app.out.json:
            app.out.data({"installed": False, "running": info is not None})
        app.out.line(exc.message)
        app.out.line(f"  {exc.hint}")
        return
    standing = manager.standing(name)
    if app.out.json:
        app.out.data(
            {
                "installed": True,
                "platform": manager.platform,
                "name": name,
                "config": str(manager.file(name)),
                "active": standing.active,
                "enabled": standing.enabled,
                "words": standing.words,
                "running": info is not None,
                "pid": info.pid if info is not None else None,
            }
        )
        return
    pid = f" (pid {info.pid})" if info is not None else ""
    runs = f"runs{pid}" if standing.active else "does not run"
    begins = "starts at boot" if standing.enabled else "does not start at boot"
    app.out.line(f"{app.out.style(name, 'bold')}  {runs}, {begins}: {standing.words}")
    app.out.line(app.out.style(f"  {app.out.path(manager.file(name))}", "dim"))


@command.subcommand("logs", examples=["orgloop service logs", "orgloop service logs --follow"])
@click.option("-f", "-F", "--follow", is_flag=True, help="Follow new lines.")
@click.option("-n", "--last", "count", default=50, show_default=True, help="Number of lines.")
def logs(app: App, follow: bool, count: int) -> None:
    """Show the daemon's own warnings and errors. What happens to events is in `orgloop logs`."""
    from orgloop.cli.screen.run_view import last_lines

    path = app.home.logs / "daemon.log"
    lines = last_lines(path, count)
    if app.out.json:
        app.out.data({"file": str(path), "lines": lines})
        return
    for line in lines:
        app.out.line(line)
    if not lines:
        app.out.line(f"nothing is in {app.out.path(path)}")
    if follow:
        no_limit()
        from orgloop.cli.screen.run_tail import lines_of

        for line in lines_of(path, lambda: True, start=path.stat().st_size if path.exists() else 0):
            app.out.line(line)


@command.subcommand("uninstall", examples=["orgloop service uninstall"])
def uninstall(app: App) -> None:
    """Stop it and remove its file. Agents continue; the home is not changed."""
    manager, name, _ = _installed_here(app, "service uninstall")
    manager.forget(name)
    path = manager.file(name)
    path.unlink(missing_ok=True)
    _tell(app, {"removed": str(path), "name": name}, f"{app.out.path(path)} is removed")


def restart_service(app: App) -> bool:
    """Restart the daemon by whoever keeps it running; False if nobody does."""
    try:
        manager, name = _installed(app)
    except NotFound:
        return False
    if not manager.standing(name).active:
        return False
    manager.stop(name)
    manager.start(name)
    _tell(app, {"restarted": True, "name": name}, f"{name} is restarted by {manager.platform}")
    return True


def _installed_here(app: App, verb: str) -> tuple[Manager, str, Path | None]:
    """As `_installed`, with its project's directory. Raises DaemonError where another project is meant."""
    from orgloop.operations.ownership import require_this_service

    manager, name = _installed(app)
    root = manager.root_of(manager.file(name).read_bytes())
    if not root:
        return manager, name, None
    require_this_service(name, Path(root), app.here, verb)
    return manager, name, Path(root)


def _installed(app: App) -> tuple[Manager, str]:
    """The manager and the name of this home's service. Raises NotFound if it has none."""
    from orgloop.cli.screen.words import from_home
    from orgloop.daemon.service_manager import manager_of

    manager = manager_of(app.environ)
    for path in sorted(manager.folder.glob(manager.file("orgloop*").name)):
        try:
            home = manager.home_of(path.read_bytes())
        except OSError:
            continue
        if home == str(app.home.path):
            return manager, manager.name_of(path)
    raise NotFound(
        f"the home {from_home(app.home.path)} has no service", hint="type `orgloop install-service` first"
    )


def _tell(app: App, document: dict[str, object], words: str) -> None:
    if app.out.json:
        app.out.data(document)
    app.out.ok(words)
