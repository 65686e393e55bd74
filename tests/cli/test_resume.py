"""`orgloop resume`: an actor that is paused goes on at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orgloop.core.text.units import MINUTE
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project whose actor `notify` does not answer."""
    write_project(place)
    tell(home, partial(a_few, root=place))

    async def write(story: Story) -> None:
        story.count = 100
        await story.event("tell", ago=MINUTE)
        await story.paused("connection refused", ago=MINUTE)

    tell(home, write)
    return place


def test_a_paused_actor_goes_on_and_another_one_is_told_to_be_none(acme: Path, orgloop: Orgloop) -> None:
    assert "paused because" in orgloop("inspect", "actor", "notify").out
    assert orgloop("resume", "notify", "--json").json == {"actor": "notify", "resumed": True}
    assert "paused because" not in orgloop("inspect", "actor", "notify").out
    again = orgloop("resume", "notify")
    assert (again.code, again.out.strip()) == (0, "notify is not paused")


def test_nobody_is_resumed_who_is_no_actor(acme: Path, orgloop: Orgloop) -> None:
    for name in ("nobody", "tell"):
        failed = orgloop("resume", name)
        assert (failed.code, f"there is no actor '{name}'" in failed.err) == (1, True)
