"""The command line: `orgloop` and its commands. `root.py` describes the form of a command."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    from orgloop.cli.root import main as run

    raise SystemExit(run())
