"""`orgloop accounts`: what is listed, parked and resumed, with and without a daemon."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from orgloop.core.deliveries.transition import Limited
from orgloop.core.text.units import HOUR, MINUTE
from orgloop.journal.model import ClaimWant
from orgloop.operations.views.words import until_of
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project
from tests.journal.build import settle


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with one delivery that waits."""
    write_project(place)

    async def write(story: Story, *, root: Path) -> None:
        await story.apply(root)
        await story.event("pr-review", ago=MINUTE, key="pr:1")
        await story.event("pr-review", ago=MINUTE, key="pr:2")

    tell(home, partial(write, root=place))
    return place


def limit(home: Path) -> None:
    """One wake meets the usage limit, which is over in an hour; then the other one waits."""

    async def write(story: Story) -> None:
        want = ClaimWant(actor="engineer", slots=1, accounts=("work",))
        (wake,) = (await story.journal.claim([want], story.now)).wakes
        await settle(
            story.journal,
            wake,
            Limited(account="x", until=story.now + HOUR, reason="5-hour limit"),
            at=story.now,
        )
        await story.journal.claim([want], story.now)

    tell(home, write)


def test_status_says_first_which_account_work_waits_for(acme: Path, home: Path, orgloop: Orgloop) -> None:
    limit(home)
    (delayed,) = [
        item for item in json.loads(orgloop("status", "--json").out)["attention"] if item["kind"] == "delayed"
    ]
    assert delayed["command"] == "orgloop accounts"
    lines = orgloop("status").out.splitlines()
    first = next(number for number, line in enumerate(lines) if "Account work is parked" in line)
    assert first < 4, lines
    (listed,) = json.loads(orgloop("accounts", "--json").out)
    assert (listed["name"], listed["parked"]["by_person"], listed["parked"]["reason"]) == (
        "work",
        False,
        "5-hour limit",
    )
    assert "5-hour limit" in orgloop("accounts").out


def test_an_account_is_parked_and_resumed_without_a_daemon(acme: Path, home: Path, orgloop: Orgloop) -> None:
    unknown = orgloop("accounts", "park", "wrok")
    assert (unknown.code, "there is no account 'wrok'" in unknown.err) == (1, True)
    limit(home)
    orgloop("accounts", "park", "work", "--note", "holidays")
    (row,) = json.loads(orgloop("accounts", "list", "--json").out)
    assert (row["parked"]["until"], row["parked"]["by_person"]) == (None, True)
    orgloop("accounts", "resume", "work")
    again = orgloop("accounts", "resume", "work")
    assert (again.code, "is not parked" in again.err) == (1, True)
    assert orgloop("accounts").out.count("ready") <= 1
    for wrong in ("yesterday", "2020-01-01"):
        assert orgloop("accounts", "park", "work", "--until", wrong).code == 1


def test_a_time_to_come_is_a_duration_a_time_of_day_or_a_date() -> None:
    now = 1_800_000_000_000
    assert until_of("2h", now, "--until") == now + 2 * HOUR
    assert 0 < until_of("07:00", now, "--until") - now <= 25 * HOUR
    assert until_of("2030-01-01T00:00+00:00", now, "--until") == 1_893_456_000_000


def test_the_account_that_paid_instead_of_another_is_told(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        await story.run(began=HOUR, lasted=MINUTE, spec={"account": "spare", "instead_of": "work"})

    tell(home, write)
    (run,) = json.loads(orgloop("runs", "list", "--all", "--json").out)
    assert (run["account"], run["account_instead_of"]) == ("spare", "work")
    assert "spare instead of work" in orgloop("runs", "show", run["id"]).out
    assert "account spare instead of work" in orgloop("trace", run["id"]).out


def test_why_no_account_is_known_is_true_before_and_after_a_run(
    place: Path, home: Path, orgloop: Orgloop
) -> None:
    write_project(place)
    tell(home, lambda story: story.apply(place))
    assert "no run has started yet, and the project names none" in orgloop("accounts").out

    async def write(story: Story) -> None:
        await story.run(began=HOUR, lasted=MINUTE)

    tell(home, write)
    out = orgloop("accounts").out
    assert "no account is known" in out
    assert "no run has started yet" not in out
    assert "no run of the last 24 hours had one" in out
