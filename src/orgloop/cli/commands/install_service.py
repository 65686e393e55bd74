"""`orgloop install-service`: have the system keep the daemon running."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.errors import Conflict, OrgLoopError, Refused

if TYPE_CHECKING:
    from orgloop.daemon.service_files import Service
    from orgloop.daemon.service_manager import Manager

KEPT = ("PATH", "ORGLOOP_PORT", "ORGLOOP_METRICS_PORT", "ORGLOOP_BODY_LIMIT")
"""Variables of this terminal that the service gets, besides its home."""


@new_command(
    examples=[
        "orgloop install-service",
        "orgloop install-service --print",
        "orgloop install-service --systemd",
    ]
)
@click.option("--systemd", is_flag=True, help="A systemd user unit: the default where there is no launchd.")
@click.option("--launchd", is_flag=True, help="A launchd agent: the default on macOS.")
@click.option("--print", "--dry-run", "only_print", is_flag=True, help="Print the file, write nothing.")
def command(app: App, systemd: bool, launchd: bool, only_print: bool) -> None:
    """Write the file by which systemd or launchd keeps this project running.

    It is started with this Python and PATH, in this home, and again after a crash. If it is stopped,
    agents continue. A file that somebody else wrote is never replaced. `orgloop service start` starts
    it, now and with the machine.
    """
    from orgloop.daemon.service_manager import manager_of

    if systemd and launchd:
        raise Refused("--systemd and --launchd exclude each other", hint="choose one")
    manager = manager_of(app.environ, launchd=launchd, systemd=systemd)
    service = _service(app)
    content = manager.content(service)
    if only_print:
        _print(app, manager, content)
        return
    _require_variables(app)
    path = manager.file(service.name)
    changed = _write(manager, path, content, service)
    if app.out.json:
        app.out.data(
            {"platform": manager.platform, "config": str(path), "name": service.name, "changed": changed}
        )
        return
    app.out.ok(f"{app.out.path(path)} {'is written' if changed else 'was so already'}")
    if changed:
        from orgloop.cli.screen.grid import print_block

        print_block(app.out, content.decode())
    _next(app, manager)


def _print(app: App, manager: Manager, content: bytes) -> None:
    if app.out.json:
        app.out.data({"platform": manager.platform, "content": content.decode()})
    else:
        app.out.raw(content.decode())


def _next(app: App, manager: Manager) -> None:
    from orgloop.cli.screen.grid import print_next

    commands = [("orgloop service start", "start it now and at each boot")]
    commands += [(one, "so that it starts before you log in") for one in manager.advice()]
    print_next(app.out, commands)


def _service(app: App) -> Service:
    from orgloop.daemon.service_files import Service

    organization = app.organization
    default = Path.home() / ".orgloop"
    name = "orgloop" if app.home.path == default else f"orgloop-{organization.name}"
    return Service(
        name=name,
        project=organization.name,
        file=organization.file,
        home=app.home.path,
        variables={variable: app.environ[variable] for variable in KEPT if app.environ.get(variable)},
    )


def _require_variables(app: App) -> None:
    """The service does not see what this terminal exports. Raises Refused if it could not start so."""
    from orgloop.config.findings import Report
    from orgloop.config.reading.env import read_dotenv
    from orgloop.project.variables import variables_of

    dotenv = read_dotenv(app.project_file.parent / ".env", ".env", Report())
    states = variables_of(app.loaded, app.registry, app.environ)
    needed = [one.name for one in states if one.used and one.default is None]
    wanted = dict.fromkeys([*needed, *(one.name for one in states), *_passed_on(app)])
    shell = [name for name in wanted if name in app.environ and name not in dotenv]
    missing = [name for name in shell if name in needed]
    where = app.out.path(app.project_file.parent / ".env")
    if missing:
        raise Refused(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} set in this terminal only, "
            "where the service cannot see it",
            hint=f"write it into {where}",
        )
    for name in shell:
        app.out.warn(
            f"{name} is set in this terminal only: the service does not get it",
            f"write it into {where} if it should not",
        )


def _passed_on(app: App) -> list[str]:
    """The variables that `env_pass` names and no child gets anyway."""
    from orgloop.core.runs.environment import child_environment

    organization = app.organization
    parts = [one.settings for one in organization.actors.values()]
    parts += [step.settings for route in organization.routes for step in route.steps]
    given = child_environment(app.environ)
    return [name for part in parts for name in getattr(part, "env_pass", ()) if name not in given]


def _write(manager: Manager, path: Path, content: bytes, service: Service) -> bool:
    """Write the file, unless it says that already. Raises Conflict if it is somebody else's."""
    from orgloop.project.home import replace_file

    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = None
    except OSError as exc:
        raise OrgLoopError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if found == content:
        return False
    if found is not None:
        owner = manager.home_of(found)
        if owner is None:
            raise Conflict(
                f"{path} was not written by `orgloop install-service`, so it is not replaced",
                hint="move it away, or see the new file with --print",
            )
        if owner != str(service.home):
            raise Conflict(
                f"{path} keeps the daemon of the home {owner} running",
                hint="give this project another name, or remove that one with `orgloop service uninstall`",
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        service.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content.decode(), 0o644)
    except OSError as exc:
        raise OrgLoopError(
            f"{path} cannot be written: {exc.strerror or exc}",
            hint=f"make {os.fspath(path.parent)} writable, or use --print",
        ) from exc
    return True
