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


@pytest.mark.parametrize(("name", "kind"), [("notify", "actor"), ("tell", "route")])
def test_what_is_paused_is_told_first_with_the_command(
    name: str, kind: str, acme: Path, orgloop: Orgloop
) -> None:
    assert orgloop("resume", "notify").code == 0
    said = orgloop("pause", name, "--until", "2h", "--why", "freeze", "--json").json
    assert (said["kind"], said["name"], said["until"] is None) == (kind, name, False)
    assert orgloop("pause", name, "--why", "freeze").code == 0
    first = orgloop("status", "--json").json["attention"][0]
    assert (first["kind"], first["command"]) == ("pause", f"orgloop resume {name}")
    assert "freeze" in first["message"]
    assert orgloop("resume", name, "--json").json == {kind: name, "resumed": True}
    assert orgloop("resume", name, "--json").json == {kind: name, "resumed": False}
    assert [one for one in orgloop("status", "--json").json["attention"] if one["kind"] == "pause"] == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["nobody"], "nobody"),
        (["tell", "--kind", "actor"], "tell"),
        (["tell", "--until", "yesterday"], "--until"),
    ],
)
def test_nothing_is_paused_that_is_not_there(
    given: list[str], named: str, acme: Path, orgloop: Orgloop
) -> None:
    failed = orgloop("pause", *given)
    assert (failed.code, named in failed.err) == (1, True)


def test_nobody_is_resumed_who_is_no_actor(acme: Path, orgloop: Orgloop) -> None:
    failed = orgloop("resume", "nobody")
    assert (failed.code, "there is no route or actor 'nobody'" in failed.err) == (1, True)
