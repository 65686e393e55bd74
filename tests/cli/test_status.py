"""`orgloop status`, from a home's journal alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

from orgloop import runner
from orgloop.core.deliveries.transition import HoldReason
from orgloop.core.text.units import HOUR, MINUTE
from orgloop.project.home import Home, holder_of
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, much, tell, write_project


def section(text: str, heading: str) -> str:
    """The lines under a heading, up to the next empty one."""
    (found,) = re.findall(rf"(?ms)^{re.escape(heading)}.*?\n(.*?)(?:\n\n|\Z)", text)
    return str(found)


@pytest.fixture
def acme(place: Path) -> Path:
    """A sound project in the working directory."""
    write_project(place)
    return place


async def stopped(story: Story, root: Path) -> None:
    """It ran once, and nothing happened."""
    await story.apply(root)
    await story.life(9 * HOUR, 3 * HOUR)


def test_a_new_home_says_how_to_begin(orgloop: Orgloop) -> None:
    said = orgloop("status")
    assert said.code == 0
    assert said.out.startswith("○ nothing has run in ")
    assert "orgloop init" in said.out
    assert orgloop("status", "--json").json["running"] is False


def test_a_home_is_named_with_its_whole_path(
    orgloop: Orgloop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    monkeypatch.setenv("HOME", str(home.parent / "elsewhere"))
    assert f"nothing has run in {home} yet" in orgloop("status").out
    assert orgloop("stop").out == f"nothing runs in {home}\n"


def test_without_a_daemon_it_says_what_to_type(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(stopped, root=acme))
    said = orgloop("status")
    assert said.code == 0
    assert said.out.startswith("○ acme  does not run\n")
    assert section(said.out, "Needs you").splitlines() == [
        "  ✗ the daemon does not run; it stopped 3h ago",
        "      orgloop start --daemon",
    ]
    assert "no run has ended" in said.out


def test_changed_files_are_told_by_name(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(stopped, root=acme))
    file = acme / "orgloop.yaml"
    file.write_text(file.read_text().replace("[sh, -c", "[bash, -c"))
    assert "changed in the files, but not applied: engineer\n      orgloop plan\n" in orgloop("status").out


def test_a_changed_prompt_file_counts_at_once_and_is_no_difference(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    tell(home, partial(stopped, root=acme))
    (acme / "sops/review.md").write_text("# Other\n")
    assert "not applied" not in orgloop("status").out


def test_files_that_cannot_be_loaded_are_told(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(stopped, root=acme))
    (acme / "orgloop.yaml").write_text("metadata: {name: acme}\nsorces: []\n")
    assert re.search(
        r"! the files have \d+ errors?: .*sorces.*\n      orgloop validate\n", orgloop("status").out
    )


def test_a_variable_that_is_not_set_is_an_error_of_the_files_as_it_is_for_start(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    tell(home, partial(stopped, root=acme))
    (acme / ".env").unlink()
    assert re.search(
        r"! the files have \d+ errors?: the variable \w+ is not set\n      orgloop validate\n",
        orgloop("status").out,
    )


def test_elsewhere_every_command_names_the_project(
    acme: Path, home: Path, orgloop: Orgloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home, partial(stopped, root=acme))
    monkeypatch.chdir(tmp_path)
    assert f"orgloop start --daemon --config {acme}\n" in orgloop("status").out


@pytest.mark.parametrize("width", [80, 160])
def test_a_bad_night_fits_the_screen(
    width: int, acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home, partial(much, root=acme))
    monkeypatch.setenv("COLUMNS", str(width))
    lines = orgloop("status").out.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < 60
    assert [line for line in lines if line != line.rstrip()] == []


def test_what_happened_lately_is_summed_up_failures_first(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    out = orgloop("status").out
    assert re.search(r"(?m)^Since .*  15 runs ended · 3 without success · \$5\.04$", out)
    lines = section(out, "Since ").splitlines()[1:]
    assert [line.split()[0] for line in lines[:11]] == ["✗"] * 3 + ["✓"] * 8
    assert "exit_code_1: Traceback" in lines[0]
    assert "chapter 11" in lines[3]
    assert lines[11].strip() == "and 4 more runs: orgloop runs --all --since 12h"


def test_everything_that_needs_a_person_is_there(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    needs = section(orgloop("status").out, "Needs you")
    assert re.findall(r"(?m)^      (.*)$", needs) == [
        "orgloop start --daemon",
        "orgloop inspect actor notify",
        "orgloop dead list --route tell --reason rejected",
        "orgloop held list --route pr-review --reason no_sop",
        "orgloop held list --route pr-review --reason untrusted",
        "orgloop start --daemon",
        "orgloop logs --since 8h",
        "or: orgloop dismiss gap",
    ]


def test_what_has_happened_can_be_dismissed_and_stays_so(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    assert "gap" in {one["kind"] for one in orgloop("status", "--json").json["attention"]}
    refused = orgloop("dismiss", "paused:notify")
    assert (refused.code, "cannot be dismissed" in refused.err) == (1, True)
    assert orgloop("dismiss", "--all", "--json").json == {"dismissed": ["gap"]}
    left = orgloop("status", "--json").json["attention"]
    assert "gap" not in {one["kind"] for one in left}
    assert orgloop("dismiss", "gap").code == 1


def test_what_runs_is_counted(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    out = orgloop("status").out
    assert re.search(r"(?m)^  engineer +process +0 +0 +42$", out)
    assert re.search(r"(?m)^  notify +webhook +0 +4 +2$", out)
    assert re.search(r"(?m)^  pr-review +github → engineer +58  50m ago$", out)


@pytest.mark.parametrize("width", [80, 120])
def test_every_reason_to_wait_is_whole_below_the_table_of_actors(
    width: int, acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home, partial(much, root=acme))
    monkeypatch.setenv("COLUMNS", str(width))
    reasons = {one["id"]: one["reasons"] for one in orgloop("status", "--json").json["actors"]}
    assert len(reasons["notify"]) > 1
    out = orgloop("status").out
    assert max(map(len, out.splitlines())) <= width
    whole = " ".join(out.split())
    for actor, several in reasons.items():
        for reason in several:
            if reason != "no daemon runs":
                assert re.search(rf"{actor}(, \w+)*: {re.escape(reason)}", whole)
    assert whole.count("no daemon runs") == 0, "that it does not run stands at the top, once"
    assert "acme does not run" in whole


def test_without_a_daemon_nobody_listens_at_a_source(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    assert re.search(r"(?m)^  github +webhook +○ no daemon +\d+", orgloop("status").out)
    assert [one["status"] for one in orgloop("status", "--json").json["sources"]] == ["unknown"]


def test_without_a_daemon_a_run_is_at_work_only_while_its_process_is(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    tell(home, partial(much, root=acme))
    out = orgloop("status").out
    assert "At work" not in out
    assert "! a run of engineer (pr-review) finished while no daemon ran" in out
    (run,) = orgloop("status", "--json").json["runs"]
    assert run["alive"] is False
    assert "its process is gone" in orgloop("runs").out

    child = {"pid": os.getpid(), "runner_pid": os.getpid(), "boot_id": None, "started_at": 1.0}
    (home / "runs" / run["id"] / runner.CHILD).write_text(json.dumps(child))
    out = orgloop("status").out
    assert "Reading the tests of the parser" in section(out, "At work")
    assert re.search(r"(?m)^  engineer +process +1 +0 +42$", out)
    assert "finished while no daemon ran" not in out
    assert "running" in orgloop("runs").out


def test_since_decides_what_is_shown(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        await story.apply(acme)
        await story.run(began=5 * HOUR, lasted=MINUTE, says="Long ago.")
        await story.run(began=HOUR, lasted=MINUTE, says="Just now.")

    tell(home, write)
    assert "Long ago." in orgloop("status").out
    later = orgloop("status", "--since", "2h").out
    assert ("Long ago." in later, "Just now." in later) == (False, True)
    assert "neither a duration nor a date" in orgloop("status", "--since", "soon").err


def test_json_has_all_of_it(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(much, root=acme))
    said = orgloop("status", "--json").json
    assert (said["running"], said["project"], said["root"]) == (False, "acme", str(acme))
    assert [one["id"] for one in said["sources"]] == ["github"]
    assert {one["id"]: (one["running"], one["waiting"]) for one in said["actors"]} == {
        "engineer": (0, 0),
        "notify": (0, 4),
    }
    assert {one["name"]: one["fired"] for one in said["routes"]} == {"pr-review": 58, "tell": 6}
    assert (said["since"]["ended"], said["since"]["failed"]) == (15, 3)
    assert len(said["since"]["gaps"]) == 1
    assert [one["kind"] for one in said["attention"]] == [
        "daemon",
        "paused",
        "dead",
        "held",
        "held",
        "run",
        "gap",
    ]
    assert all(set(one) == set(said["attention"][0]) for one in said["attention"])
    held = said["attention"][4]
    assert (held["count"], held["command"]) == (
        41,
        "orgloop held list --route pr-review --reason untrusted",
    )


def test_who_holds_the_journal_is_named_while_no_daemon_serves(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    said: list[str] = []

    async def write(story: Story) -> None:
        await story.apply(acme)
        said.append(orgloop("status").out)

    tell(home, write)
    assert re.match(r"○ acme  the journal is held by orgloop \(pid \d+\)\n", said[0])
    assert "Needs you" not in said[0]


def test_names_and_words_from_outside_cannot_drive_the_terminal(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        await story.apply(acme)
        await story.run(began=HOUR, lasted=MINUTE, says="\x1b[2J\x07done\r\n\x1b]0;pwned")
        await story.held(HoldReason.CONFIG, ago=HOUR, detail="\x1b[31mred")

    tell(home, write)
    assert "\x1b" not in orgloop("status").out


def test_many_problems_of_one_kind_are_counted(place: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        await story.apply(place)
        for number in range(12):
            asked = {"needs_you": True, "asked": f"Which one, {number}?"}
            await story.run(began=HOUR + number, lasted=MINUTE, completion=asked)

    write_project(place)
    tell(home, write)
    shown = orgloop("status").out
    assert shown.count("asked you something") == 8
    assert "and 4 more such problems: orgloop status --verbose" in shown
    assert orgloop("status", "--verbose").out.count("asked you something") == 12


def test_a_process_that_has_ended_holds_no_journal(home: Path) -> None:
    home.mkdir(exist_ok=True)
    lock = home / "journal.lock"
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # It keeps its number.
        lock.write_text(json.dumps({"pid": child.pid, "what": "the daemon of /acme"}))
        assert holder_of(Home(home)) == ""
        lock.write_text(json.dumps({"pid": os.getpid(), "what": "the daemon of /acme"}))
        assert holder_of(Home(home)) == f"the daemon of /acme (pid {os.getpid()})"
