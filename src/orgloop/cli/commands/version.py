"""`orgloop version`: which OrgLoop, Python, platform and SQLite these are."""

from __future__ import annotations

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.operations.version import version_of


@new_command(examples=["orgloop version", "orgloop version --json"])
def command(app: App) -> None:
    """Print the versions of OrgLoop, Python, SQLite, and the platform."""
    import platform

    from orgloop.journal.backend import database

    found = database()
    versions = {
        "orgloop": version_of("orgloop"),
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()} {platform.machine()}",
        found.name.lower(): found.version,
    }
    if app.out.json:
        app.out.data(versions)
        return
    for name, value in versions.items():
        app.out.line(f"{name:9} {value}")
