"""`orgloop runs show`, `tail` and `stop`."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import pytest

from orgloop import runner
from orgloop.cli.root import root
from orgloop.cli.screen.run_tail import lines_of
from orgloop.core.deliveries.transition import NotStarted, Unavailable
from orgloop.core.text.units import HOUR, MINUTE
from orgloop.runtime.runs.local.run_directory import SETUP_LOG
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project

ENDED = "run_0000000000000002"


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with one run, which has ended."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


@pytest.fixture
def working(acme: Path, home: Path) -> str:
    """The id of a run that goes on, and has written something."""

    async def write(story: Story) -> None:
        story.count = 100
        await story.run(began=HOUR, line="Reading the tests")

    tell(home, write)
    write_output(home, "run_0000000000000065", "one\n\x1b[31mtwo\x1b[0m\n")
    return "run_0000000000000065"


def write_output(home: Path, id: str, text: str, name: str = runner.STDOUT) -> None:
    (home / "runs" / id / name).write_text(text)


# --- show -----------------------------------------------------------------------------------------


def test_an_ended_run_is_shown_with_what_came_of_it(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("runs", "show", ENDED).out
    assert said.startswith(f"{ENDED}  success\n")
    for fact in (
        "actor        engineer (process)",
        "route pr-review, evt_0000000000000002: github",
        ", after 1m\n",
        "exit status  0",
        "cost         $0.25",
        "Result\n  │ Fixed it.\n",
        f"orgloop trace {ENDED} ",
    ):
        assert fact in said, fact
    assert "runs stop" not in said


def test_the_question_of_an_agent_needs_you_until_its_session_goes_on(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    asked = {"needs_you": True, "asked": "Which\nbranch?"}
    spec = {"cwd": "/srv/my app", "take_over": ["claude", "--resume", "s-1"]}

    async def ask(story: Story) -> None:
        story.count = 100
        for key, began in (("pr:7", 60 * HOUR), ("pr:8", HOUR)):
            await story.run(
                began=began, lasted=MINUTE, session=(key, f"s-{key}"), completion=asked, spec=spec
            )

    tell(home, ask)
    command = "cd '/srv/my app' && claude --resume s-1"
    items = [one for one in orgloop("status", "--json").json["attention"] if one["kind"] == "asked"]
    assert [(one["id"], one["command"]) for one in items] == [
        ("asked:run_0000000000000066", command),
        ("asked:run_0000000000000065", command),
    ]
    assert "engineer (pr-review) asked you something 59m ago: Which branch?" in orgloop("status").out
    assert "asks you  Which branch?" in orgloop("runs", "show", "run_0000000000000066").out
    for show in (("runs", "show", "run_0000000000000066"), ("sessions", "show", "s-pr:8")):
        assert command in orgloop(*show).out

    async def go_on(story: Story) -> None:
        story.count = 200
        await story.run(began=MINUTE, session=("pr:7", "s-pr:7"), spec=spec)

    tell(home, go_on)
    assert command not in orgloop("runs", "show", "run_00000000000000c9").out  # It is at work.
    assert orgloop("dismiss", "asked:run_0000000000000066").code == 0
    assert "asked you" not in orgloop("status").out


def test_a_success_names_the_tools_that_it_was_not_allowed_to_use(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        completion = {
            "result": {"text": "Did what I could.", "json": None},
            "denied_tools": ["Bash", "Write"],
        }
        await story.run(began=HOUR, lasted=MINUTE, says="Did what I could.", completion=completion)

    tell(home, write)
    monkeypatch.setenv("COLUMNS", "150")
    assert "(not allowed: Bash, Write) Did" in orgloop("runs", "--all").out


def test_a_run_that_did_not_start_is_not_listed_as_one_that_goes_on(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        gone = NotStarted(outcome=Unavailable(reason="no such program"))
        await story.run(began=HOUR, lasted=1, transition=gone, outcome="", reason="")

    tell(home, write)
    monkeypatch.setenv("COLUMNS", "150")
    listed = orgloop("runs", "--all").out.splitlines()
    (line,) = [line for line in listed if "run_0000000000000065" in line]
    assert "did not start" in line
    assert "no such program" in line


def test_a_failed_run_is_shown_with_the_last_lines_of_its_errors(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        await story.run(began=HOUR, lasted=MINUTE, outcome="failure", reason="exit_code_2", says="It broke.")

    tell(home, write)
    write_output(home, "run_0000000000000065", "\n".join(f"error {n}" for n in range(20)), runner.STDERR)
    said = orgloop("runs", "show", "run_0000000000000065").out
    assert re.search(r"(?m)^  reason +exit_code_2$", said)
    assert "Last lines of stderr\n  │ error 12\n" in said


def test_a_run_that_goes_on_is_shown_with_how_to_watch_and_to_end_it(
    working: str, home: Path, orgloop: Orgloop
) -> None:
    child = {"pid": os.getpid(), "runner_pid": os.getpid(), "boot_id": None, "started_at": 0}
    write_output(home, working, json.dumps(child), runner.CHILD)
    said = orgloop("runs", "show", working).out
    assert said.startswith(f"{working}  running for 1h")
    assert re.search(r"output +two\n", said)
    assert f"orgloop runs tail {working} " in said
    assert f"orgloop runs stop {working} " in said


def test_a_run_whose_process_is_gone_does_not_go_on(working: str, orgloop: Orgloop) -> None:
    said = orgloop("runs", "show", working).out
    assert said.startswith(f"{working}  its process is gone\n")
    assert f"orgloop runs stop {working}" not in said


def test_a_run_that_ended_while_no_daemon_ran_took_as_long_as_its_runner_says(
    working: str, home: Path, orgloop: Orgloop
) -> None:
    (line,) = [line for line in orgloop("runs").out.splitlines() if working in line]
    assert line.startswith("■ ")
    (run,) = orgloop("runs", "--json").json
    began = datetime.fromisoformat(run["started_at"]).timestamp()
    end = {"status": 0, "stopped": None, "duration_s": 15.0, "not_started": None, "ended_at": began + 15}
    write_output(home, working, json.dumps(end), runner.EXIT)
    (line,) = [line for line in orgloop("runs").out.splitlines() if working in line]
    assert " 15s " in line
    shown = orgloop("runs", "show", working).out
    assert ", after 15s\n" in shown
    assert "last output" not in shown


def test_a_run_that_was_told_to_end_says_so_before_its_last_line(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        await story.run(
            began=HOUR, lasted=MINUTE, outcome="cancelled", reason="requested", says="step 4\nstep 5"
        )

    tell(home, write)
    for words in (["runs", "--all"], ["status"]):
        assert "stopped on request; last line: step 5" in orgloop(*words).out


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_a_result_that_is_all_that_was_said_is_shown_once(
    outcome: str, acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        text, decided = '{"decision": "ok"}', {"decision": "ok"}
        await story.run(
            began=HOUR,
            lasted=MINUTE,
            outcome=outcome,
            says=text,
            completion={"result": {"text": text, "json": decided}},
        )

    tell(home, write)
    for words in (["trace"], ["runs", "show"], ["runs", "--all"]):
        id = [] if words[-1] == "--all" else ["run_0000000000000065"]
        shown = re.findall(r'\{"decision": ?"ok"\}', orgloop(*words, *id).out)
        assert shown == ['{"decision":"ok"}'], words


def test_json_has_the_command_and_the_event(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("runs", "show", ENDED, "--json").json
    assert said["spec"] == {"argv": ["true"]}
    assert said["event"]["id"] == "evt_0000000000000002"


@pytest.mark.parametrize("words", [["show"], ["tail"], ["stop"]], ids=str)
def test_an_unknown_run_is_not_found(words: list[str], acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("runs", *words, "run_00")
    assert (said.code, said.out) == (1, "")
    assert said.err == "✗ there is no run run_00\n  `orgloop runs --all` lists them\n"


# --- tail -----------------------------------------------------------------------------------------


def test_tail_shows_the_output_as_its_actor_understands_it(working: str, orgloop: Orgloop) -> None:
    assert orgloop("runs", "tail", working, "--no-follow").out == "one\ntwo\n"


def test_tail_shows_first_what_the_setup_of_its_work_tree_wrote(
    working: str, home: Path, orgloop: Orgloop
) -> None:
    (home / "runs" / working / SETUP_LOG).write_text("installing\n")
    assert orgloop("runs", "tail", working, "--no-follow").out == "setup: installing\none\ntwo\n"


def test_tail_shows_the_output_raw_but_tamed(working: str, orgloop: Orgloop) -> None:
    assert orgloop("runs", "tail", working, "--no-follow", "--raw").out == "one\n [31mtwo [0m\n"


def test_tail_without_the_project_shows_the_output_as_it_is(
    working: str, acme: Path, orgloop: Orgloop
) -> None:
    (acme / "orgloop.yaml").unlink()
    assert orgloop("runs", "tail", working, "--no-follow").out == "one\n [31mtwo [0m\n"


def test_tail_of_a_run_that_has_ended_ends_with_its_result(acme: Path, home: Path, orgloop: Orgloop) -> None:
    write_output(home, ENDED, "Looking\nFixing")
    assert orgloop("runs", "tail", ENDED).out == "Looking\nFixing\n✓ success · 1m · $0.25  Fixed it.\n"


def test_tail_as_json_is_one_document_a_line(working: str, orgloop: Orgloop) -> None:
    lines = [
        json.loads(line)
        for line in orgloop("runs", "tail", working, "--no-follow", "--json").out.splitlines()
    ]
    assert lines[0] == {"line": "one", "text": "one", "session_id": None, "cost_usd": None}
    assert lines[1]["line"] == "\x1b[31mtwo\x1b[0m"


def test_lines_come_as_the_file_grows_and_none_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "out"
    pieces = ["fi", "rst\nsec", "ond\n", "", "th"]

    def goes_on() -> bool:
        if not pieces:
            return False
        with path.open("a") as file:
            file.write(pieces.pop(0))
        return True

    assert list(lines_of(path, goes_on)) == ["first", "second", "th"]


def test_what_is_written_just_before_the_end_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("early\n")

    def ends() -> bool:
        path.write_text("early\nlate\n")
        return False

    assert list(lines_of(path, ends)) == ["early", "late"]


def test_lines_may_be_read_from_a_byte_on(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old\nnew\n")
    assert list(lines_of(path, lambda: False, start=4)) == ["new"]


# --- stop -----------------------------------------------------------------------------------------


def test_a_run_that_has_ended_cannot_be_stopped(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("runs", "stop", ENDED)
    assert said.code == 1
    assert "has ended already: success" in said.err


def test_without_a_daemon_the_runner_is_told_by_its_directory(
    working: str, home: Path, orgloop: Orgloop
) -> None:
    said = orgloop("runs", "stop", working)
    assert said.code == 0
    assert (home / "runs" / working / runner.STOP).exists()
    assert "no daemon runs" in said.out
    assert orgloop("runs", "stop", working, "--json").json == {
        "ok": True,
        "id": working,
        "daemon": False,
        "ended": False,
    }


# --- without an id ----------------------------------------------------------------------------------


def test_without_an_id_it_is_the_last_one(working: str, acme: Path, orgloop: Orgloop) -> None:
    """The last run, the last event."""
    assert orgloop("runs", "tail", "--no-follow").out == orgloop("runs", "tail", working, "--no-follow").out
    last_run = orgloop("runs", "show", "--json").json
    newest = orgloop("runs", "--all", "-n", "1", "--json").json[0]
    assert last_run["id"] == newest["id"]
    newest_event = orgloop("events", "-n", "1", "--json").json[0]["event_id"]
    assert orgloop("inspect", "--json").json["event_id"] == newest_event
    traced = orgloop("trace", "--json").json["trace_id"]
    assert traced == orgloop("trace", newest_event, "--json").json["trace_id"]


@pytest.mark.parametrize("words", [["runs", "tail"], ["logs"], ["service", "logs"]], ids=" ".join)
def test_a_large_f_means_follow_as_for_tail(words: list[str]) -> None:
    command: click.Command = root
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert ["-f", "-F"] in [[one for one in param.opts if len(one) == 2] for param in command.params]
