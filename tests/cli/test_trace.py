"""`orgloop trace`: one chain as a tree."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orgloop.core.text.units import HOUR, MINUTE
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a short past."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


async def long_words(story: Story, *, root: Path) -> None:
    """A run whose agent said a great deal."""
    await story.apply(root)
    await story.run(began=HOUR, lasted=MINUTE, says="it went on and " * 40 + "at last")


@pytest.mark.parametrize("kind", ["evt", "dlv", "run", "trc"])
def test_any_id_of_a_chain_leads_to_it(kind: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("trace", f"{kind}_0000000000000002")
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "trc_0000000000000002 1 event · 1 run · 1m · $0.25"
    assert lines[1].startswith("└─ ● github pull_request.review_submitted by mona ")
    for words in (
        "pr-review → engineer delivered 1m",
        "run success 1m · $0.25 run_0000000000000002",
        "Fixed it.",
    ):
        assert any(words in line for line in lines), words


@pytest.mark.parametrize("width", [40, 80, 120, 160])
def test_a_tree_fits_the_screen_and_ids_stand_in_one_column(
    width: int, acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = orgloop("trace", "evt_0000000000000002").out.splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    ids = [f"{kind}_0000000000000002" for kind in ("evt", "dlv", "run")]
    columns = {line.index(id) for line in lines for id in ids if id in line}
    assert columns == ({min(width, 110) - 20} if width >= 80 else {5, 7})


def test_what_an_agent_said_is_shortened_on_a_screen_and_whole_in_a_file(
    place: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(place)
    tell(home, partial(long_words, root=place))
    shown = orgloop("trace", "run_0000000000000001").out
    assert " ".join(shown.split()).count("on and") > 5
    assert "…" in shown
    assert "at last" not in shown
    monkeypatch.delenv("COLUMNS")
    assert "at last" in orgloop("trace", "run_0000000000000001").out


def test_held_and_dead_work_says_why(acme: Path, orgloop: Orgloop) -> None:
    held = orgloop("trace", "evt_0000000000000003").out
    assert "held (untrusted)" in held
    assert "hold: the author mallory is not of the team" in held
    assert "404 Not Found" in orgloop("trace", "dlv_0000000000000004").out


def test_an_event_that_woke_nobody_says_so(acme: Path, orgloop: Orgloop) -> None:
    assert "woke no actor" in orgloop("trace", "evt_0000000000000001").out


def test_what_was_never_tried_says_how_long_it_waits(acme: Path, orgloop: Orgloop) -> None:
    assert "tell → notify  pending  2h" in orgloop("trace", "evt_0000000000000005").out


def test_json_is_the_tree(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("trace", "run_0000000000000002", "--json").json
    assert (said["trace_id"], said["events"], said["runs"], said["cost_usd"]) == (
        "trc_0000000000000002",
        1,
        1,
        0.25,
    )
    (root,) = said["tree"]
    assert root["deliveries"][0]["run"]["id"] == "run_0000000000000002"


@pytest.mark.parametrize("id", ["evt_00", "dlv_00", "run_00", "trc_00"])
def test_an_unknown_id_is_not_found(id: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("trace", id)
    assert (said.code, said.out) == (1, "")
    assert f"there is no {id} in this home's journal" in said.err
    assert "orgloop events" in said.err


@pytest.mark.parametrize("id", ["pr-review", "", "evt"])
def test_what_is_no_id_is_told_what_ids_look_like(id: str, acme: Path, orgloop: Orgloop) -> None:
    assert orgloop("trace", id).code == 1


def test_events_that_are_left_out_are_counted(acme: Path, home: Path, orgloop: Orgloop) -> None:
    """The story's agent begins three times, and says so: three events that no route listens to."""

    async def write(story: Story) -> None:
        story.count = 100
        await story.probing(3, "no such program")

    tell(home, write)
    shown = orgloop("trace", "evt_0000000000000065").out
    assert "  4 events (3 woke no actor: --all shows them) · " in shown
    assert "evt_a0" not in shown
    everything = orgloop("trace", "evt_0000000000000065", "--all").out
    assert "  4 events · " in everything
    assert "session.started" in everything
