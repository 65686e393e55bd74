"""`orgloop sessions`: what is listed, shown and forgotten."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from orgloop.core.text.units import HOUR, MINUTE
from orgloop.journal.sqlite import open_reader
from orgloop.operations.worktrees import sessions_in
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project whose engineer has two sessions of one key: one that it left, and one that goes on."""
    write_project(place)
    tell(home, partial(a_few, root=place))

    async def write(story: Story) -> None:
        story.count = 100
        await story.run(began=HOUR, lasted=MINUTE, session=("pr:7", "s-left"), heard=False)
        await story.run(began=MINUTE, lasted=MINUTE, session=("pr:7", "s-now"), session_usd=0.25)

    tell(home, write)
    return place


def test_the_sessions_that_keys_lead_to_are_listed(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("sessions").out
    assert "s-now" in said
    assert "s-left" not in said
    rows = json.loads(orgloop("sessions", "list", "--all", "--json").out)
    assert [(row["id"], row["active"], row["key"]) for row in rows] == [
        ("s-now", True, "pr:7"),
        ("s-left", False, "pr:7"),
    ]
    assert (rows[0]["total_usd"], rows[1]["failed"]) == (0.25, 1)
    assert "no session matches" in orgloop("sessions", "--actor", "notify").out


def test_a_session_is_shown_with_what_to_type_next(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("sessions", "show", "s-now").out
    for fact in ("engineer (process)", "pr:7", "$0.2500 in 1 run", "orgloop sessions forget s-now"):
        assert fact in said
    failed = orgloop("sessions", "show", "nothing")
    assert failed.code == 1
    assert "there is no session nothing" in failed.err


def test_a_session_whose_directory_is_gone_does_not_go_on(acme: Path, home: Path, orgloop: Orgloop) -> None:
    """As when its work tree was removed."""
    gone = acme / "gone"

    async def write(story: Story) -> None:
        story.count = 200
        await story.run(began=MINUTE, lasted=MINUTE, session=("pr:8", "s-gone"), spec={"cwd": str(gone)})

    gone.mkdir()
    tell(home, write)
    assert "in the next run of its key" in orgloop("sessions", "show", "s-gone").out
    with closing(open_reader(home)) as reader:
        assert sessions_in(reader, str(acme)) == ["s-gone"]
        assert sessions_in(reader, str(acme / "go")) == []
    gone.rmdir()
    assert f"{gone} was removed" in orgloop("sessions", "show", "s-gone").out


def test_a_session_is_forgotten_without_a_daemon(acme: Path, orgloop: Orgloop) -> None:
    orgloop("sessions", "forget", "s-now")
    assert json.loads(orgloop("sessions", "list", "--json").out) == []
    again = orgloop("sessions", "forget", "s-now")
    assert again.code != 0
    assert "no key uses s-now" in again.err
