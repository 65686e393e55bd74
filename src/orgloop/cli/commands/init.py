"""`orgloop init`: a project that runs, in one file and its SOPs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Conflict, OrgLoopError
from orgloop.project.files import PROJECT_FILE

if TYPE_CHECKING:
    from orgloop.plugin import Connector


@new_command(
    examples=[
        "orgloop init",
        "orgloop init --yes",
        "orgloop init --no-interactive --name acme --connectors github,claude-code",
    ]
)
@click.option("--name", help="The project's name; the directory's if absent.")
@click.option("--description", help="A one-line description.")
@click.option("--connectors", metavar="A,B", help="The connectors to use, by name.")
@click.option("--dir", "directory", default=".", metavar="DIR", help="Where to create it; here if absent.")
@click.option(
    "--permission-mode",
    metavar="MODE",
    help="Permissions of a coding agent; by default the first that its connector offers.",
)
@click.option("-y", "--yes", "--no-interactive", "no_interactive", is_flag=True, help="Ask nothing.")
def command(
    app: App,
    name: str | None,
    description: str | None,
    connectors: str | None,
    directory: str,
    permission_mode: str | None,
    no_interactive: bool,
) -> None:
    """Create a project: orgloop.yaml, an SOP for each route, and nothing else that is not needed.

    By default the project needs no account and can run at once: a webhook wakes a small program. Every
    chosen source gets a route to an actor. Existing files are never overwritten.
    """
    from orgloop.project.scaffold import ProjectRequest, checked, project_files

    target = Path(os.path.normpath(Path(directory).expanduser().absolute()))
    if (target / PROJECT_FILE).exists():
        raise Conflict(
            f"{app.out.path(target / PROJECT_FILE)} exists already; nothing was written",
            hint="extend it with `orgloop add`, or choose another directory with `--dir`",
        )
    name = name or _name_of(target)
    offered = {"permission_mode": permission_mode} if permission_mode is not None else {}
    if connectors is None and not no_interactive and app.out.asks:
        from orgloop.cli.screen.questions import ask

        no_limit()
        choice = ask(app.registry, name=name, description=description, chosen=offered)
    else:
        sources, actors = chosen(app, connectors)
        choice = ProjectRequest(
            name=name,
            description=description or "",
            sources=sources,
            actors=actors,
            chosen=checked(offered, actors),
        )
    created, kept = _write(target, project_files(choice))
    from orgloop.cli.screen.first_steps import report

    report(app, target, choice, created, kept)


def chosen(app: App, names: str | None) -> tuple[list[Connector], list[Connector]]:
    """Sources and actors of `--connectors`; what is missing of the two is what needs no account."""
    sources: list[Connector] = []
    actors: list[Connector] = []
    named = (app.connector(name) for name in _split(names or ""))
    for connector in {one.name: one for one in named}.values():
        if connector.actor is not None and (connector.source is None or connector.actor.has_runs is not None):
            actors.append(connector)
        else:
            sources.append(connector)
    installed = app.registry.connectors() if not (sources and actors) else ()
    first = {one.name: one for one in installed if one.first_source or one.first_actor}.values()
    return (
        sources or [one for one in first if one.first_source],
        actors or [one for one in first if one.first_actor],
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _name_of(directory: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", directory.name).strip("-.") or "my-org"


def _write(target: Path, files: dict[str, str]) -> tuple[list[Path], list[Path]]:
    """Create the files, all or none; returns those created, and those that were there already."""
    created: list[Path] = []
    kept: list[Path] = []
    folders = [folder for folder in (target, target / "sops") if not folder.exists()]
    try:
        for name, content in files.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as file:
                    created.append(path)
                    file.write(content)
            except FileExistsError:
                kept.append(path)
    except OSError as exc:
        _undo(created, folders)
        raise OrgLoopError(
            f"{target} cannot be written: {exc.strerror or exc}; nothing was created",
            hint="make it writable, or choose another directory with `--dir`",
        ) from exc
    return created, kept


def _undo(created: Iterable[Path], folders: Sequence[Path]) -> None:
    for path in created:
        path.unlink(missing_ok=True)
    for folder in reversed(folders):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
