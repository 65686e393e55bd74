"""The terminal face: `orgloop` and its commands. `root.py` says how a command looks."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    from orgloop.cli.root import main as run

    raise SystemExit(run())
