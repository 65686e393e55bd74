"""One home, two projects: neither gets the other one's work, and no command is silently about the other."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import HoldReason
from orgloop.core.text.units import HOUR, MINUTE
from orgloop.daemon.background import stop_daemon
from orgloop.errors import JournalError
from orgloop.journal.model import Query
from orgloop.journal.sqlite import open_reader
from orgloop.operations.ownership import claim_home, earlier_of, own_home
from orgloop.project.home import DaemonInfo, Home, running_daemon
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project
from tests.e2e.organization import Organization, wait_for

PROJECT = """
metadata: {name: NAME}
sources: [{id: hook, connector: webhook, config: {}}]
actors: [{id: agent, connector: process, limits: {runs: 1}, config: {command: [./bin/agent]}}]
routes:
  - {name: work, when: {source: hook, events: [work]}, then: {actor: agent}}
"""

AGENT = "#!/bin/sh\ncat > /dev/null\nwhile [ ! -e GATE ]; do sleep 0.01; done\necho NAME was here\n"
"""At work until the gate opens."""

STARTS = (
    ["start"],
    ["start", "--daemon"],
    ["start", "--supervised"],
    ["start", "--daemon", "--supervised"],
    ["restart"],
)


# --- starting -------------------------------------------------------------------------------------


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Agents are at work until it is there; at the test's end it opens for all of them."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def acme(organization: Organization, gate: Path) -> Organization:
    """The project that ran first: one run at work, one delivery behind it, and no daemon."""
    return written(organization, "acme", gate)


@pytest.fixture
def other(acme: Organization, gate: Path, tmp_path: Path) -> Iterator[Organization]:
    """Another project, with the same ids, in the same home."""
    root = tmp_path / "other"
    root.mkdir()
    made = written(Organization(root=root, home=acme.home), "other", gate)
    yield made
    stop_daemon(made.home, force=True)


def written(organization: Organization, name: str, gate: Path) -> Organization:
    agent = AGENT.replace("NAME", name).replace("GATE", str(gate))
    organization.write({"orgloop.yaml": PROJECT.replace("NAME", name), "bin/agent": agent})
    return organization


def leave_work(acme: Organization) -> None:
    acme.command("start", "--daemon")
    for _ in range(2):
        assert acme.post("hook", {"type": "work"})[0] == 200
    wait_for("a run", lambda: states(acme.home) == ["pending", "started"])
    acme.command("stop")


def states(home: Home) -> list[str]:
    reader = open_reader(home.path)
    found = sorted(str(row.state) for row in reader.deliveries(Query()))
    reader.close()
    return found


def said_by_runs(home: Home) -> list[str]:
    reader = open_reader(home.path)
    found = [run.text.strip() for run in reader.runs(Query()) if run.ended_at is not None]
    reader.close()
    return found


def test_a_project_does_not_start_on_the_unfinished_work_of_another(
    acme: Organization, other: Organization, gate: Path, tmp_path: Path
) -> None:
    leave_work(acme)
    for words in STARTS:
        said = other.command(*words, check=False)
        assert said.returncode == 1
        assert f"last ran acme in {acme.root}" in said.stderr
        assert "not finished: 1 pending, 1 started" in said.stderr
        assert f"cd {acme.root} && orgloop start\n" in said.stderr
        assert "ORGLOOP_HOME=~/.orgloop-other ORGLOOP_PORT=4801 orgloop start\n" in said.stderr
        assert "orgloop start --take-over\n" in said.stderr
        assert running_daemon(acme.home) is None
    # Moved, it is the same project.
    acme.root = acme.root.rename(tmp_path / "moved")
    gate.touch()
    assert acme.command("start", "--daemon").stderr == ""
    wait_for("the end of both", lambda: states(acme.home) == ["delivered", "delivered"])
    assert said_by_runs(acme.home) == ["acme was here", "acme was here"]


def test_whoever_means_it_takes_the_work_over_and_leaves_a_free_home(
    acme: Organization, other: Organization, gate: Path
) -> None:
    leave_work(acme)
    said = other.command("start", "--daemon", "--supervised", "--take-over")
    assert "other takes over the unfinished work of acme: 1 pending, 1 started" in said.stderr
    gate.touch()
    wait_for("the end of both", lambda: states(acme.home) == ["delivered", "delivered"])
    assert sorted(said_by_runs(acme.home)) == ["acme was here", "other was here"]
    assert "before" not in other.command("restart").stderr
    other.command("stop")
    # Without unfinished work the home is free, and says who was there.
    said = acme.command("start", "--daemon")
    assert said.stderr == f"! this home ran other in {other.root} before; its history stays\n"
    acme.command("stop")
    assert acme.command("start", "--daemon").stderr == ""


def test_a_journal_that_cannot_be_read_is_left_to_the_daemon(home: Path, tmp_path: Path) -> None:
    (home / "journal.db").write_bytes(b"no journal at all " * 1000)
    with pytest.raises(JournalError):
        earlier_of(Home(home), tmp_path)
    assert claim_home(Home(home), tmp_path, "acme", 4800, take_over=False) == ""


# --- acting and looking ---------------------------------------------------------------------------


async def waiting(story: Story, root: Path) -> None:
    """One of each that a person decides about, and a run."""
    await story.apply(root)
    await story.life(9 * HOUR, HOUR)
    await story.held(HoldReason.UNTRUSTED, ago=3 * HOUR, detail="not of the team")
    await story.dead("404 Not Found", ago=2 * HOUR)
    await story.run(began=MINUTE)


HELD, DEAD, RUN = "dlv_0000000000000001", "dlv_0000000000000002", "run_0000000000000003"


@pytest.fixture
def first(place: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project whose work is in the home; we are in another one's directory."""
    root = tmp_path / "first"
    root.mkdir()
    write_project(root)
    tell(home, partial(waiting, root=root))
    write_project(place)
    file = place / "orgloop.yaml"
    file.write_text(file.read_text().replace("name: acme", "name: other"))
    return root


@pytest.fixture
def runs(first: Path, home: Path) -> None:
    """Its daemon runs, so it seems."""
    Home(home).write_daemon(
        DaemonInfo(
            pid=os.getpid(),
            started_at=time.time_ns() // 1_000_000,
            port=4800,
            project="acme",
            root=str(first),
            version="0",
        )
    )


ACTS = [
    ["emit", "--source", "github"],
    ["held", "release", HELD],
    ["held", "discard", "--all", "--yes"],
    ["dead", "retry", "--all", "--yes"],
    ["dead", "discard", DEAD],
    ["runs", "stop", RUN],
]


def rows(home: Path) -> dict[str, State]:
    reader = open_reader(home)
    found = {row.id: row.state for row in reader.deliveries(Query())}
    reader.close()
    return found


@pytest.mark.parametrize("words", ACTS, ids=lambda words: " ".join(words[:2]))
def test_what_acts_refuses_the_daemon_of_another_project(
    words: list[str], first: Path, runs: None, place: Path, home: Path, orgloop: Orgloop
) -> None:
    before = rows(home)
    said = orgloop(*words)
    verb = words[0] if words[0] == "emit" else " ".join(words[:2])
    assert (said.code, said.out) == (1, "")
    assert f"(pid {os.getpid()}) runs acme in {first}; the project in {place} is another one\n" in said.err
    assert f"`orgloop {verb} --config {first}`" in said.err
    assert rows(home) == before


@pytest.mark.parametrize("words", ACTS[1:], ids=lambda words: " ".join(words[:2]))
def test_without_a_daemon_it_refuses_the_work_of_whoever_ran_last(
    words: list[str], first: Path, place: Path, home: Path, orgloop: Orgloop
) -> None:
    before = rows(home)
    said = orgloop(*words)
    assert (said.code, said.out) == (1, "")
    assert f"this home last ran acme in {first}; the project in {place} is another one\n" in said.err
    assert rows(home) == before
    assert orgloop(*words, "--config", str(first)).code == 0


def test_where_there_is_no_project_what_acts_is_about_the_home(
    first: Path, place: Path, orgloop: Orgloop
) -> None:
    (place / "orgloop.yaml").unlink()
    assert orgloop("held", "release", HELD).code == 0


LOOKS = [
    ["status"],
    ["logs", "--no-follow"],
    ["events"],
    ["deliveries"],
    ["runs"],
    ["runs", "show", RUN],
    ["runs", "tail", RUN, "--no-follow"],
    ["trace", RUN],
    ["inspect", HELD],
    ["held"],
    ["held", "show", HELD],
    ["dead", "list"],
    ["dead", "show", DEAD],
]


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: " ".join(words[:2]))
def test_what_looks_says_first_whose_work_it_shows(
    words: list[str], first: Path, place: Path, orgloop: Orgloop
) -> None:
    said = orgloop(*words)
    assert said.code == 0
    assert said.err == f"! this home last ran acme in {first}; the project in {place} does not run\n"
    assert orgloop(*words, "--config", str(first)).err == ""
    (place / "orgloop.yaml").unlink()
    assert orgloop(*words).err == ""


def test_while_a_daemon_runs_it_says_which(first: Path, runs: None, place: Path, orgloop: Orgloop) -> None:
    assert orgloop("events").err == (
        f"! this home's daemon (pid {os.getpid()}) runs acme in {first}; "
        f"the project in {place} does not run\n"
    )


def test_an_agent_may_emit_from_whatever_project_it_works_on(
    first: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGLOOP_RUN_ID", RUN)
    assert "no daemon runs" in orgloop("emit", "--source", "github").err


def test_a_directory_that_is_gone_has_no_project(place: Path, orgloop: Orgloop) -> None:
    place.rmdir()
    said = orgloop("emit", "--source", "github")
    assert (said.code, "no daemon runs" in said.err) == (1, True)


# --- plan and doctor ------------------------------------------------------------------------------


def test_plan_and_doctor_say_that_it_would_not_start(first: Path, orgloop: Orgloop) -> None:
    for words in (["plan"], ["doctor"]):
        said = orgloop(*words)
        told = said.out + said.err
        assert f"this home last ran acme in {first}" in told
        assert "not finished: 1 held, 1 started" in told
        assert f"and decide what is held: cd {first} && orgloop held\n" in told
        assert "orgloop start --take-over" in told
    assert "applies the changes" not in orgloop("plan").out
    assert orgloop("plan", "--json").json["unfinished"] == {"held": 1, "started": 1}
    assert json.loads(orgloop("doctor", "--json").out)["status"] == "error"


def test_plan_says_that_it_would_not_be_applied_to_another_projects_daemon(
    first: Path, runs: None, orgloop: Orgloop
) -> None:
    said = orgloop("plan")
    assert "applies the changes" not in said.out
    assert f"runs acme in {first}" in said.err


def test_the_home_that_is_proposed_is_free_or_the_projects_own(
    first: Path, home: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = tmp_path / "people"
    monkeypatch.setenv("HOME", str(people))
    assert own_home("acme", place, 4800) == "ORGLOOP_HOME=~/.orgloop-acme ORGLOOP_PORT=4801 orgloop start"
    for taken in (".orgloop-acme", ".orgloop-acme-2"):
        shutil.copytree(home, people / taken)
    assert "ORGLOOP_HOME=~/.orgloop-acme-3 " in own_home("acme", place, 4800)
    assert "ORGLOOP_HOME=~/.orgloop-acme " in own_home("acme", first, 4800)
    (people / ".orgloop-acme-3").mkdir()
    (people / ".orgloop-acme-3" / "journal.db").write_bytes(b"no journal at all " * 1000)
    assert "ORGLOOP_HOME=~/.orgloop-acme-4 " in own_home("acme", place, 4800)
