"""`orgloop version`: which OrgLoop, Python, platform and SQLite these are."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command


def version_of(package: str) -> str:
    """The installed package's version, `unknown` if it runs uninstalled."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@new_command(examples=["orgloop version", "orgloop version --json"])
def command(cli: Cli) -> None:
    """Print the versions of OrgLoop, Python, SQLite, and the platform."""
    import platform

    from orgloop.journal.sqlite import sqlite_version

    versions = {
        "orgloop": version_of("orgloop"),
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()} {platform.machine()}",
        "sqlite": sqlite_version(),
    }
    if cli.out.json:
        cli.out.data(versions)
        return
    for name, value in versions.items():
        cli.out.line(f"{name:9} {value}")
