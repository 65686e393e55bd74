"""`events`, `deliveries`, `runs`: lists of what the journal has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.model import Organization
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import RunEnded
from orgloop.core.text.units import HOUR
from orgloop.journal.model import Query
from orgloop.journal.sqlite import open_reader
from orgloop.operations.views import json_rows
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project

pytestmark = pytest.mark.usefixtures("narrow")

LISTS = [["events"], ["deliveries"], ["runs", "--all"], ["held"], ["dead"]]


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a short past."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    return [re.split(r"  +", line.strip()) for line in text.split("\n\n")[0].splitlines()[1:]]


def test_events_are_listed_newest_first_with_whom_they_woke(acme: Path, orgloop: Orgloop) -> None:
    found = rows(orgloop("events").out)
    assert [row[1:] for row in found] == [
        ["evt_0000000000000005", "github", "pull_request.review_submit…", "notify pending"],
        ["evt_0000000000000004", "github", "pull_request.review_submit…", "notify dead"],
        ["evt_0000000000000003", "github", "pull_request.review_submit…", "engineer held"],
        ["evt_0000000000000002", "github", "pull_request.review_submit…", "engineer"],
        ["evt_0000000000000001", "github", "ping", "no actor"],
    ]


def test_deliveries_say_what_came_of_them(
    acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = rows(orgloop("deliveries").out)
    assert [row[2:] for row in found] == [
        ["tell", "notify", "pending", "0", "no daemon runs: it continues after `orgloop start`"],
        ["tell", "notify", "dead (rejected)", "1", "404 Not Found"],
        ["pr-review", "engineer", "held (untrusted)", "0", "the author mallory is not of the team"],
        ["pr-review", "engineer", "delivered", "1", "done"],
    ]


def test_runs_that_go_on_are_what_runs_lists(acme: Path, home: Path, orgloop: Orgloop) -> None:
    said = orgloop("runs")
    assert said.out.splitlines()[0] == "there are no active runs now"
    assert "orgloop runs --all" in said.out

    async def write(story: Story) -> None:
        story.count = 100
        await story.run(began=HOUR, line="Reading the tests")

    tell(home, write)
    ((mark, _, *cells),) = rows(orgloop("runs").out)
    # No program of it is left, so how long it took is not known.
    assert [mark, *cells] == ["■", "run_0000000000000065", "engineer", "pr-review", "Reading the tests"]
    assert len(orgloop("runs", "list", "--all", "--json").json) == 2


def test_all_runs_have_their_cost_and_result(acme: Path, orgloop: Orgloop) -> None:
    ((mark, _, *cells),) = rows(orgloop("runs", "--all").out)
    assert [mark, *cells] == [
        "✓",
        "run_0000000000000002",
        "engineer",
        "pr-review",
        "1m",
        "$0.25",
        "Fixed it.",
    ]


async def a_failed_run(story: Story) -> None:
    said = RunEnded(detail="exit_code_3: cannot reach db")
    story.count = 100
    await story.run(
        began=HOUR,
        lasted=15_000,
        outcome="failure",
        reason="exit_code_3",
        says="about to fail\ncannot reach db",
        transition=said,
    )
    await story.run(
        began=HOUR, lasted=15_000, outcome="cancelled", reason="timeout_total", transition=RunEnded(detail="")
    )


def test_a_run_that_failed_is_marked_wherever_it_is_listed(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, a_failed_run)
    run, delivery = "run_0000000000000065", "dlv_0000000000000065"
    timed_out, failed, *_ = rows(orgloop("runs", "--all").out)
    assert (failed[0], failed[2]) == ("✗", run)
    assert (timed_out[0], timed_out[-1][:11]) == ("✗", "ended after")
    (shown,) = rows(orgloop("deliveries", "--event", "evt_0000000000000065").out)
    assert shown[-1].startswith("✗ failure")
    said = orgloop("inspect", delivery).out.splitlines()
    assert said[1].strip() == "✗ failure: exit_code_3: cannot reach db"
    assert "✗ failure" in orgloop("inspect", "evt_0000000000000065").out
    assert "✗ failure" in orgloop("inspect", "engineer").out


def test_a_run_that_failed_tells_the_last_that_it_said(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home, a_failed_run)
    monkeypatch.delenv("COLUMNS")
    run = "run_0000000000000065"
    assert "exit_code_3: cannot reach db" in orgloop("runs", "tail", run).out
    assert "exit_code_3: cannot reach db" in orgloop("status").out
    assert "about to fail\n            cannot reach db\n" in orgloop("trace", run).out
    assert "ended after 15s: config.timeout" in orgloop("runs", "show", "run_0000000000000066").out


def test_runs_of_one_delivery_that_did_not_start_are_one_line(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")

    async def probe(story: Story) -> None:
        story.count = 100
        await story.probing(7, "cannot run /bin/nobody")

    tell(home, probe)
    for words in (["runs", "--all"], ["runs", "--all", "-n", "2"]):
        first, second, *_ = rows(orgloop(*words).out)
        assert (first[0], first[-1]) == ("○", "7 times: cannot run /bin/nobody")
        assert second[2] == "run_0000000000000002"
    assert len(orgloop("runs", "--all", "--json").json) == 8
    traced = orgloop("trace", "evt_0000000000000065").out
    assert traced.count("session.started") == 0
    assert "not started: cannot run /bin/nobody  (7 times, not counted as attempts)" in traced
    delivery = re.search(r"dlv_\w+", traced)
    assert delivery is not None
    shown = orgloop("inspect", delivery[0]).out
    assert "attempts  0; 7 tries not counted, because nothing began" in shown
    told = orgloop("logs", "--no-follow", "-n", "20").out
    assert "deliver.wait" in told
    assert "deliver.retry" not in told
    assert "session.started" in (whole := orgloop("trace", "evt_0000000000000065", "--all").out)
    assert "woke no actor  (7 times)" in whole


def test_no_delivery_in_a_state_is_not_no_delivery(acme: Path, orgloop: Orgloop) -> None:
    assert orgloop("deliveries", "--state", "running").out == "there is no delivery that fits\n"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["events", "--source", "github"], 5),
        (["events", "--route", "tell"], 2),
        (["events", "--trace", "trc_0000000000000001"], 1),
        (["events", "--since", "150m"], 1),
        (["events", "-n", "2"], 2),
        (["deliveries", "--state", "dead"], 1),
        (["deliveries", "--state", "dead", "--state", "held"], 2),
        (["deliveries", "--route", "pr-review"], 2),
        (["deliveries", "--actor", "notify"], 2),
        (["deliveries", "--reason", "untrusted"], 1),
        (["deliveries", "--event", "evt_0000000000000005"], 1),
        (["deliveries", "--since", "210m"], 2),
        (["runs", "--all", "--actor", "engineer"], 1),
        (["runs", "--all", "--route", "tell"], 0),
        (["runs", "--all", "--since", "1h"], 0),
        (["held", "--reason", "untrusted"], 1),
        (["held", "list", "--route", "tell"], 0),
        (["dead", "--actor", "notify"], 1),
        (["dead", "--since", "1h"], 0),
    ],
    ids=str,
)
def test_options_narrow_a_list(arguments: list[str], count: int, acme: Path, orgloop: Orgloop) -> None:
    assert len(orgloop(*arguments, "--json").json) == count
    said = orgloop(*arguments)
    assert (said.code, said.err) == (0, "")
    if not count:
        assert said.out.rstrip().endswith("that fits")


def test_json_is_what_the_daemon_answers(acme: Path, home: Path, orgloop: Orgloop) -> None:
    reader = open_reader(home)
    (run,) = reader.runs(Query())
    (dead,) = reader.deliveries(Query(states=[State.DEAD]))
    event = reader.event(dead.event_id)
    reader.close()
    assert event is not None
    assert orgloop("runs", "--all", "--json").json == [json_rows.run(run)]
    assert orgloop("dead", "--json").json == [json_rows.delivery(dead) | {"transforms": []}]
    project = Organization(name="acme", root=acme, file=acme / "orgloop.yaml")
    assert json_rows.event(event, [dead], (), project) in orgloop("events", "--json").json


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_home_without_a_journal_says_what_to_do(words: list[str], place: Path, orgloop: Orgloop) -> None:
    said = orgloop(*words)
    assert (said.code, said.out) == (1, "")
    assert "Nothing has run in this home yet" in said.err


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_an_empty_list_is_a_sentence(words: list[str], place: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        write_project(place)
        await story.apply(place)

    tell(home, write)
    said = orgloop(*words)
    assert (said.code, said.err, len(said.out.splitlines())) == (0, "", 1)
    assert orgloop(*words, "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deliveries", "--route", "pr-reveiw", "--reason", "x"], "no route is called 'pr-reveiw'"),
        (["deliveries", "--actor", "enginer"], "no actor is called 'enginer'"),
        (["events", "--source", "gitlab"], "no source is called 'gitlab'"),
        (["runs", "--all", "--actor", "nobody"], "no actor is called 'nobody'"),
        (["held", "release", "--route", "x", "--yes"], "no route is called 'x'"),
        (["held", "list", "--reason", "nosop"], "did you mean `no_sop`?"),
        (["held", "list", "--reason", "rejected"], "there are: budget, "),
        (["held", "release", "--all", "--reason", "bogus", "--yes"], "no held delivery has the reason"),
        (["held", "discard", "--reason", "bogus", "--yes"], "no held delivery has the reason"),
        (["dead", "list", "--reason", "no_sop"], "there are: attempts, rejected"),
        (["dead", "retry", "--reason", "atempts", "--yes"], "did you mean `attempts`?"),
        (["deliveries", "--reason", "duplicat"], "did you mean `duplicate`?"),
        (["deliveries", "--state", "pending", "--reason", "x"], "leave out --reason"),
        (["deliveries", "--limit", "0"], "--limit 0 is not possible"),
        (["deliveries", "--state", "lost"], "'lost'"),
        (["events", "--since", "yesterday"], "--since 'yesterday'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], says: str, acme: Path, orgloop: Orgloop
) -> None:
    said = orgloop(*arguments)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_a_full_list_says_how_to_see_more(acme: Path, orgloop: Orgloop) -> None:
    assert orgloop("deliveries", "-n", "2").out.endswith("--limit 10 shows them.\n")
    assert "--limit" not in orgloop("deliveries", "-n", "5").out


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_list_fits_the_screen(
    words: list[str], width: int, acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    table = orgloop(*words).out.split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= width


def test_many_held_ones_are_summed_up_with_what_to_type(
    acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    said = orgloop("held").out
    assert "1 delivery held\n     1  pr-review → engineer, untrusted\n" in said
    assert "orgloop held show dlv_0000000000000003 " in said
    assert "orgloop held release --route pr-review --reason untrusted " in said


# --- one spelling in every document ---------------------------------------------------------------

AS_IN_PUBLIC_TOOLS = {
    "httpPort",
    "moduleDirectories",
    "sourceId",
    "lastSuccessfulPoll",
    "lastPollAttempt",
    "consecutiveErrors",
    "lastError",
    "totalEventsEmitted",
    "circuitOpen",
}
"""Keys of `modules` and `status`, of which docs/http.md says so."""

OF_OTHERS = {
    "payload",
    "config",
    "moduleDirectories",
    "completion",
    "spec",
    "unfinished",
    "variables",
    "optional",
}
"""What others wrote, or what is named by ids."""

DOCUMENTS = [
    "status",
    "events",
    "deliveries",
    "runs --all",
    "runs show run_0000000000000002",
    "sessions --all",
    "trace run_0000000000000002",
    "inspect evt_0000000000000002",
    "inspect dlv_0000000000000003",
    "inspect run_0000000000000002",
    "inspect source github",
    "inspect actor engineer",
    "inspect route pr-review",
    "held list",
    "held show dlv_0000000000000003",
    "dead list",
    "dead show dlv_0000000000000004",
    "logs --no-follow",
    "plan",
    "routes",
    "doctor",
    "env",
    "validate",
    "version",
]


def wrong(value: Any, path: str = "") -> Iterator[str]:
    """Keys that are not in snake case, and times as numbers."""
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{path}.{key}"
            if key in OF_OTHERS:
                continue
            if re.fullmatch(r"[a-z][a-z0-9_]*", key) is None and key not in AS_IN_PUBLIC_TOOLS:
                yield place
            yield from wrong(inner, place)
    elif isinstance(value, list):
        for inner in value:
            yield from wrong(inner, f"{path}[]")
    elif isinstance(value, int) and value > 1_000_000_000_000:
        yield path


@pytest.mark.parametrize("words", DOCUMENTS)
def test_names_and_times_have_one_spelling(words: str, acme: Path, orgloop: Orgloop) -> None:
    assert list(wrong(orgloop(*words.split(), "--json").json)) == []


def test_what_a_delivery_says_is_words_and_no_block_of_code(
    place: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        await story.apply(place)
        await story.dead('```json\n{"decision": "noted"}\n```', ago=HOUR)
        await story.dead("Not now.\n```json\n{}\n```", ago=HOUR)

    write_project(place)
    tell(home, write)
    assert [row[-1] for row in rows(orgloop("deliveries").out)] == ["Not now.", '{"decision": "noted"}']
