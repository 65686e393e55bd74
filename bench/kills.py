"""The long form of the kill test: `python -m bench.kills [50]` kills the daemon so often under load."""

from __future__ import annotations

import os
import subprocess
import sys


def main(kills: str = "50") -> int:
    """Run it. Returns pytest's exit status."""
    patience = 300 + 20 * int(kills)
    command = [sys.executable, "-m", "pytest", "-s", "-o", f"faulthandler_timeout={patience}"]
    return subprocess.run(
        [*command, "tests/e2e/test_kill.py"],
        env={**os.environ, "ORGLOOP_TEST_KILLS": kills},
        check=False,
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
