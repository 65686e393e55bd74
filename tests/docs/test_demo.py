"""`orgloop demo` closes its loop, and README.md shows what it prints."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs import pages
from tests.e2e.organization import Organization


def plain(shown: str) -> list[str]:
    """The lines, without what differs from one time to the next."""
    without_ids = re.sub(r"\b(evt|trc|dlv|run)_[0-9a-f]{16}", r"\1_…", shown)
    return [" ".join(re.sub(r"\d+\.\d+ ", "", line).split()) for line in without_ids.splitlines()]


@pytest.fixture
def told(organization: Organization) -> str:
    """What the demo prints where the shell does not find `orgloop`."""
    elsewhere = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "orgloop").exists()]
    organization.environ = {"PATH": os.pathsep.join(elsewhere), "COLUMNS": "120"}
    return organization.command("demo").stdout


def test_the_demo_is_data_as_well(organization: Organization) -> None:
    said = json.loads(organization.command("demo", "--json").stdout)
    assert (said["project"], said["trace"]["open"], len(said["trace"]["tree"])) == (None, False, 1)


def test_the_demo_prints_what_the_readme_shows_and_says_what_to_type_next(told: str) -> None:
    [excerpt] = pages.blocks("text", pages=("README.md",))
    lines = iter(plain(told))
    for shown in plain(excerpt.text):
        assert shown in lines, f"the demo does not print, or not in this order: {shown}"
    assert "report → reporter  delivered" in told, "the tree ends with the route that closes the loop"
    activate = Path(sys.executable).parent / "activate"
    assert f". {activate} " in told
    assert told.index(str(activate)) < told.index("orgloop init") < told.index("orgloop start")
