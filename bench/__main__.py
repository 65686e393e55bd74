"""`python -m bench [--short] [NAME...]`: run the named benches, or all; exit 1 if a figure misses."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time

from bench.figure import Bench

NAMES = ("accept", "deliver", "engine", "journal", "memory", "agents", "startup", "attack", "techniques")


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--short", action="store_true", help="only see that they run")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    given = parser.parse_args()
    # Told to end, it stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missed = 0
    for name in given.names or NAMES:
        if name not in NAMES:
            parser.error(f"there is no bench {name!r}; there are {', '.join(NAMES)}")
        began = time.monotonic()
        module = importlib.import_module(f"bench.{name}")
        print(f"{name}: {module.__doc__}", flush=True)
        bench: Bench = module.measure
        for figure in bench(short=given.short):
            missed += not figure.holds
            print(f"  {figure.line()}", flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if missed and not given.short else 0


if __name__ == "__main__":
    raise SystemExit(main())
