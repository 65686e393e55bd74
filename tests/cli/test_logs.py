"""`orgloop logs`: what the journal tells, with or without a daemon."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from orgloop.core.records.record import RecordPhase
from orgloop.core.text.units import DAY, HOUR, MINUTE
from orgloop.journal.model import SystemEntry
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a short past."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


def phases(text: str) -> list[str]:
    """The phase of each line."""
    return re.findall(r"(?m)^(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3} . (\S+)", text)


def test_it_tells_what_happened_in_order_and_ends_where_there_is_no_terminal(
    acme: Path, orgloop: Orgloop
) -> None:
    said = orgloop("logs")
    assert (said.code, said.err) == (0, "")
    assert phases(said.out) == [
        "source.emit",
        "source.emit",
        "route.match",
        "run.started",
        "run.ended",
        "source.emit",
        "route.match",
        "deliver.held",
        "source.emit",
        "route.match",
        "deliver.failure",
        "source.emit",
        "route.match",
    ]


def test_what_is_not_of_today_has_its_date(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        await story.event(ago=3 * DAY, name="old")
        await story.event(ago=0, name="new")

    tell(home, write)
    (old,) = orgloop("logs", "--event-type", "old").out.splitlines()
    (new,) = orgloop("logs", "--event-type", "new").out.splitlines()
    then = datetime.now(UTC).astimezone() - timedelta(days=3)
    assert old.startswith(f"{then:%Y-%m-%d} ")
    assert re.match(r"\d\d:\d\d:", new)


FILTERS = [
    (["--source", "github"], 13),
    (["--route", "tell"], 3),
    (["--actor", "engineer"], 5),
    (["--result", "held"], 1),
    (["--result", "dead"], 1),
    (["--result", "failure"], 1),
    (["--result", "deliver.failure"], 1),
    (["--event-type", "resource.changed"], 13),
    (["--event-type", "actor.stopped"], 0),
    (["--since", "210m"], 5),
    (["-n", "1"], 1),
    (["--actor", "engineer", "-n", "2"], 2),
    (["--route", "tell", "-n", "2"], 2),
    (["-n", "3"], 3),
]


@pytest.mark.parametrize(("options", "count"), FILTERS, ids=str)
def test_options_narrow_it(options: list[str], count: int, acme: Path, orgloop: Orgloop) -> None:
    assert len(phases(orgloop("logs", *options).out)) == count


IDS = ["evt_0000000000000002", "dlv_0000000000000002", "run_0000000000000002", "trc_0000000000000002"]


@pytest.mark.parametrize("id", IDS)
def test_one_thing_is_told_whole_however_long_ago_it_was(id: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("logs", "--event", id, "--json").json
    assert {record["trace_id"] for record in said} == {"trc_0000000000000002"}
    expected = ["source.emit", "route.match", "deliver.attempt", "run.started", "run.ended"]
    assert [record["phase"] for record in said if id[:3] in ("evt", "trc")] in (expected, [])
    assert said[-1]["phase"] == "run.ended"


def test_a_trace_is_told_alone(acme: Path, orgloop: Orgloop) -> None:
    assert phases(orgloop("logs", "--trace", "trc_0000000000000003").out) == [
        "source.emit",
        "route.match",
        "deliver.held",
    ]


def test_what_is_too_much_for_everyday_is_shown_with_verbose(acme: Path, orgloop: Orgloop) -> None:
    assert "deliver.attempt" in phases(orgloop("logs", "--verbose").out)
    assert "deliver.attempt" not in phases(orgloop("logs").out)


def test_json_is_one_list_and_format_json_one_document_a_line(acme: Path, orgloop: Orgloop) -> None:
    listed = orgloop("logs", "--json").json
    lines = [json.loads(line) for line in orgloop("logs", "--format", "json").out.splitlines()]
    assert listed == lines
    assert {"timestamp", "level", "phase", "event_id", "trace_id"} <= set(lines[0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--route", "tel"], "did you mean `tell`?"),
        (["--actor", "nobody"], "no actor is called 'nobody'"),
        (["--source", "gitlab"], "no source is called 'gitlab'"),
        (["--event", "evt_00"], "there is no evt_00"),
        (["--trace", "trc_00"], "there is no trc_00"),
        (["--event", "pr-review"], "'pr-review' is not an id"),
        (["--since", "soon"], "neither a duration nor a date"),
        (["--result", "bogus"], "cancelled, change, dead, delivered,"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(options: list[str], says: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("logs", *options)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_without_a_journal_it_says_what_to_do(place: Path, orgloop: Orgloop) -> None:
    assert "Nothing has run in this home yet" in orgloop("logs").err


@pytest.mark.parametrize("more", [0, 40], ids=str)
def test_the_last_lines_are_those_that_fit_however_much_came_after_them(
    more: int, acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        for number in range(4):
            await story.event(ago=30 * MINUTE - number, name="rare")
        for number in range(more):
            await story.event(ago=20 * MINUTE - number, name="frequent")

    tell(home, write)
    assert len(phases(orgloop("logs", "--event-type", "rare", "-n", "3").out)) == 3
    assert len(phases(orgloop("logs", "--event-type", "rare", "-n", "50").out)) == 4
    assert phases(orgloop("logs", "--result", "dead", "-n", "2").out) == ["deliver.failure"]
    assert phases(orgloop("logs", "--actor", "notify", "--result", "dead", "-n", "1").out) == [
        "deliver.failure"
    ]
    assert len(phases(orgloop("logs", "--source", "github", "-n", "1").out)) == 1


def test_a_source_that_only_fails_is_told(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        failed = SystemEntry(
            at=story.now - HOUR, phase=RecordPhase.SOURCE_FAILED, subject="github", detail="away"
        )
        await story.journal.record([failed])
        story.count = 100
        for number in range(9):
            await story.event(ago=MINUTE - number, source="github")

    tell(home, write)
    assert phases(orgloop("logs", "--source", "github", "--result", "failed", "-n", "1").out) == [
        "source.failed"
    ]


def test_an_event_type_that_nothing_has_is_told(orgloop: Orgloop, acme: Path) -> None:
    said = orgloop("logs", "--event-type", "actor.stoped", "--no-follow")
    assert (said.code, said.out) == (0, "")
    assert "did you mean `--event-type actor.stopped`?" in said.err
    assert "orgloop events" in orgloop("logs", "--event-type", "nowhere.to.be.seen", "--no-follow").err
