"""`orgloop service`: the daemon that the system keeps running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orgloop.cli.command import Cli, new_group
from orgloop.errors import Conflict, NotFound

if TYPE_CHECKING:
    from orgloop.cli.running.service_manager import Manager

command = new_group(
    """The daemon that systemd or launchd keeps running.

    `orgloop install-service` writes its file.""",
    examples=["orgloop service start", "orgloop service status", "orgloop service logs --follow"],
)


@command.subcommand("start", examples=["orgloop service start"])
def start(cli: Cli) -> None:
    """Start it, now and whenever the machine starts."""
    from orgloop.cli.ownership import claim_home
    from orgloop.project.home import running_daemon

    manager, name, root = _installed_here(cli, "service start")
    info = running_daemon(cli.home)
    if info is not None and not manager.standing(name).active:
        raise Conflict(
            f"a daemon that the system did not start runs already (pid {info.pid})",
            hint="type `orgloop stop`, then this again",
        )
    if info is None and root is not None:
        claim_home(cli, root, root.name, take_over=False)
    manager.start(name)
    _tell(cli, {"started": True, "name": name}, f"{name} is started, and begins with the machine")
    for one in manager.advice():
        cli.out.line(f"  to begin before you log in: {one}")


@command.subcommand("stop", examples=["orgloop service stop"])
def stop(cli: Cli) -> None:
    """Stop it until the machine starts again, or until `orgloop service start`. Agents go on."""
    manager, name, _ = _installed_here(cli, "service stop")
    manager.stop(name)
    _tell(cli, {"stopped": True, "name": name}, f"{name} has stopped; agents go on")


@command.subcommand("status", examples=["orgloop service status", "orgloop service status --json"])
def status(cli: Cli) -> None:
    """Say whether it is installed, whether it runs, and whether it begins with the machine."""
    from orgloop.project.home import running_daemon

    info = running_daemon(cli.home)
    try:
        manager, name = _installed(cli)
    except NotFound as exc:
        if cli.out.json:
            cli.out.data({"installed": False, "running": info is not None})
        cli.out.line(exc.message)
        cli.out.line(f"  {exc.hint}")
        return
    standing = manager.standing(name)
    if cli.out.json:
        cli.out.data(
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
    begins = "begins" if standing.enabled else "does not begin"
    cli.out.line(f"{cli.out.style(name, 'bold')}  {runs}, {begins} with the machine: {standing.words}")
    cli.out.line(cli.out.style(f"  {cli.out.path(manager.file(name))}", "dim"))


@command.subcommand("logs", examples=["orgloop service logs", "orgloop service logs --follow"])
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written.")
@click.option("-n", "--last", "count", default=50, show_default=True, help="So many lines.")
def logs(cli: Cli, follow: bool, count: int) -> None:
    """Show the daemon's own warnings and errors. What happens to events is in `orgloop logs`."""
    from orgloop.cli.screen.run_view import last_lines

    path = cli.home.logs / "daemon.log"
    lines = last_lines(path, count)
    if cli.out.json:
        cli.out.data({"file": str(path), "lines": lines})
        return
    for line in lines:
        cli.out.line(line)
    if not lines:
        cli.out.line(f"nothing is in {cli.out.path(path)}")
    if follow:
        from orgloop.cli.screen.run_tail import lines_of

        for line in lines_of(path, lambda: True, start=path.stat().st_size if path.exists() else 0):
            cli.out.line(line)


@command.subcommand("uninstall", examples=["orgloop service uninstall"])
def uninstall(cli: Cli) -> None:
    """Stop it and remove its file. Agents go on; nothing of the home is touched."""
    manager, name, _ = _installed_here(cli, "service uninstall")
    manager.forget(name)
    path = manager.file(name)
    path.unlink(missing_ok=True)
    _tell(cli, {"removed": str(path), "name": name}, f"{cli.out.path(path)} is removed")


def restart_service(cli: Cli) -> bool:
    """Restart the daemon by whoever keeps it running; False if nobody does."""
    try:
        manager, name = _installed(cli)
    except NotFound:
        return False
    if not manager.standing(name).active:
        return False
    manager.stop(name)
    manager.start(name)
    _tell(cli, {"restarted": True, "name": name}, f"{name} is restarted by {manager.platform}")
    return True


def _installed_here(cli: Cli, verb: str) -> tuple[Manager, str, Path | None]:
    """As `_installed`, with its project's directory. Raises DaemonError where another project is meant."""
    from orgloop.cli.ownership import require_this_service

    manager, name = _installed(cli)
    root = manager.root_of(manager.file(name).read_bytes())
    if not root:
        return manager, name, None
    require_this_service(cli, name, Path(root), verb)
    return manager, name, Path(root)


def _installed(cli: Cli) -> tuple[Manager, str]:
    """The manager and the name of this home's service. Raises NotFound if it has none."""
    from orgloop.cli.running.service_manager import manager_of

    manager = manager_of(cli.environ)
    for path in sorted(manager.folder.glob(manager.file("orgloop*").name)):
        try:
            home = manager.home_of(path.read_bytes())
        except OSError:
            continue
        if home == str(cli.home.path):
            return manager, manager.name_of(path)
    raise NotFound(
        f"the home {cli.out.path(cli.home.path)} has no service", hint="type `orgloop install-service` first"
    )


def _tell(cli: Cli, document: dict[str, object], words: str) -> None:
    if cli.out.json:
        cli.out.data(document)
    cli.out.ok(words)
