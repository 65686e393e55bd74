"""Starts the runner: `python -I -S start.py RUN_DIRECTORY`. It knows its package by its place alone."""

import sys

if __name__ == "__main__":
    sys.path.append(__file__.removesuffix("/runner/start.py"))
    from runner.hold import main  # type: ignore[import-not-found]

    sys.exit(main(*sys.argv[1:]))
