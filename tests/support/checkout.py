"""The checkout that the tests stand in, and the programs that a bare machine does not have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]


def need(program: str) -> None:
    """Skip the test where this program is not installed: python3 and make are all that OrgLoop needs."""
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program}")


def tracked() -> list[str]:
    """Every file that git has, or would take. Skips the test outside of git."""
    need("git")
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return sorted(name for name in set(listing.stdout.decode().split("\0")) if (ROOT / name).is_file())
