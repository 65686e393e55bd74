"""`orgloop trace`: one chain as a tree."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Orgloop
from tests.cli.story import a_few, tell, write_project


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a short past."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


@pytest.mark.parametrize("kind", ["evt", "dlv", "run", "trc"])
def test_any_id_of_a_chain_leads_to_it(kind: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("trace", f"{kind}_0000000000000002")
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "trc_0000000000000002 1 event · 1 run · 1m · $0.25"
    assert lines[1].startswith("└── ● github pull_request.review_submitted by mona ")
    for words in (
        "pr-review → engineer delivered 1m",
        "run success 1m · $0.25 run_0000000000000002",
        "Fixed it.",
    ):
        assert any(words in line for line in lines), words


def test_held_and_dead_work_says_why(acme: Path, orgloop: Orgloop) -> None:
    held = orgloop("trace", "evt_0000000000000003").out
    assert "held (untrusted)" in held
    assert "hold: the author mallory is not of the team" in held
    assert "404 Not Found" in orgloop("trace", "dlv_0000000000000004").out


def test_an_event_that_woke_nobody_says_so(acme: Path, orgloop: Orgloop) -> None:
    assert "woke nobody" in orgloop("trace", "evt_0000000000000001").out


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
