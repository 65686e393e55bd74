"""Any program as an actor."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.process import ProcessActor, ProcessSettings, connector
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.runs.failure import ERROR_LIMIT, TEXT_LIMIT
from orgloop.errors import Refused
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Completion,
    ExitInfo,
    NotBegun,
    Progress,
    Retry,
    RunSpec,
    Supervised,
    Unavailable,
    WakeSession,
)
from orgloop.plugin.variables import ARGUMENT_LIMIT
from tests.connectors.agents.held import Bench
from tests.connectors.doubles import FakeContext, as_context, wake
from tests.support.repository import commit, git

SCRIPT = ["sh", "-c"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Where runs happen, with a small environment of their own."""
    bench = Bench(tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SECRET_OF_THE_DAEMON": "x"})
    yield bench
    bench.close()


def actor(config: dict[str, Any] | None = None, **context: Any) -> ProcessActor:
    settings = ProcessSettings.model_validate({"command": "true", **(config or {})}, context=context)
    return ProcessActor("scribe", settings)


def start(own: dict[str, Any] | None = None, **woken: Any) -> RunSpec:
    return actor(own).start(wake(**{"prompt": "Note it.", **woken}), woken.get("session"))


def finish(config: dict[str, Any] | None = None, **exit: Any) -> Completion | NotBegun:
    usual: dict[str, Any] = {"status": 0, "stopped": None, "stdout": "", "stderr": "", "duration_s": 1.0}
    return actor(config).finish(ExitInfo(**{**usual, **exit}))


def completed(config: dict[str, Any] | None = None, **exit: Any) -> Completion:
    end = finish(config, **exit)
    assert isinstance(end, Completion)
    return end


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (["python3", "agent.py", "--fast"], ["python3", "agent.py", "--fast"]),
        ("python3 'my agent.py' --fast", ["python3", "my agent.py", "--fast"]),
        (["nice", 10, "sh"], ["nice", "10", "sh"]),
        ("echo $HOME; rm x", ["echo", "$HOME;", "rm", "x"]),
    ],
)
def test_a_command_is_a_list_or_a_line_that_no_shell_sees(command: Any, argv: list[str]) -> None:
    assert list(start({"command": command}).argv) == argv


def test_a_program_with_a_slash_lies_in_the_project(tmp_path: Path) -> None:
    folder = tmp_path / "actors"
    folder.mkdir()
    (folder / "near.sh").touch()
    (tmp_path / "far.sh").touch()
    for written, found in (
        ("./near.sh x", folder / "near.sh"),
        ("./far.sh x", tmp_path / "far.sh"),
        ("/bin/sh x", Path("/bin/sh")),
        ("sh x", Path("sh")),
    ):
        spec = actor({"command": written}, base=folder, project=tmp_path).start(wake(), None)
        assert list(spec.argv) == [str(found), "x"]


RESULT: dict[str, Any] = {"result": {"type": "result"}}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"command": []}, "must name a program"),
        ({"command": ""}, "must name a program"),
        ({"command": [" "]}, "must name a program"),
        ({"command": ["sh", None]}, "must name a program"),
        ({"command": "sh 'x"}, "no closing quotation"),
        ({"command": ["sh", "a\0b"]}, "NUL"),
        ({"command": ["sh", "x" * (ARGUMENT_LIMIT + 1)]}, "bytes"),
        ({"command": 7}, "tuple"),
        ({"prompt": "pipe"}, "'stdin', 'argument', 'file' or 'none'"),
        ({"sessions": {"resume": ["{session}"]}}, "needs `output`"),
        ({"output": RESULT, "sessions": {"resume": ["{session}"]}}, "nobody knows a session's id"),
        (
            {"output": RESULT | {"session": "id"}, "sessions": {"resume": ["--go-on"]}},
            "a word with {session}",
        ),
        ({"output": {"result": {}}}, "one member"),
        ({"output": {"result": {"type": "x", "kind": "y"}}}, "one member"),
        ({"output": RESULT | {"message": {"type": "said"}}}, "or neither"),
        ({"output": RESULT | {"message": {"type": "result"}, "message_text": "x"}}, "different members"),
        ({"output": RESULT | {"usage_limit": ["limit reached"]}}, "needs `message`"),
        ({"output": RESULT | {"usage_limit": [""]}}, "at least 3"),
        ({"output": RESULT | {"result_text": "a..b"}}, "a path such as"),
        ({"output": RESULT | {"failed": {"": True}}}, "a path such as"),
        ({"output": RESULT | {"cost_of": "day"}}, "'run' or 'session'"),
        ({"retry": {"on_exit": [0]}}, "greater than or equal to 1"),
        ({"retry": {"on_exit": [256]}}, "less than or equal to 255"),
        ({"retry": {"times": 3}}, "Extra inputs"),
    ],
)
def test_what_cannot_run_is_refused_at_once(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        actor(config)


def test_the_prompt_goes_where_it_is_wanted() -> None:
    assert (start().argv, start().stdin) == (["true"], "Note it.")
    spec = start({"prompt": "argument"})
    assert (spec.argv, spec.stdin) == (["true", "Note it."], "")
    spec = start({"prompt": "none"})
    assert (spec.argv, spec.stdin) == (["true"], "")


@pytest.mark.parametrize("prompt", ["a\0b", "ä" * ARGUMENT_LIMIT])
def test_a_prompt_that_is_no_argument_is_refused(prompt: str) -> None:
    assert start({"prompt": "stdin"}, prompt=prompt).stdin == prompt
    with pytest.raises(Refused, match="cannot be an argument"):
        start({"prompt": "argument"}, prompt=prompt)


def test_a_session_key_is_told_and_no_session_is_claimed() -> None:
    spec = start(session=WakeSession(key="pr:7"), config={"session_key": "pr:7", "label": "x"})
    assert spec.env["ORGLOOP_SESSION_KEY"] == "pr:7"
    assert spec.env["ORGLOOP_CONFIG"] == '{"session_key":"pr:7","label":"x"}'
    assert spec.session_id is None


def test_one_run_at_a_time_works_in_a_directory_unless_they_may_overlap(tmp_path: Path) -> None:
    assert actor({"cwd": str(tmp_path)}).directory == str(tmp_path)
    assert actor({"cwd": str(tmp_path), "overlap": True}).directory is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [("\x1b[32mok\x1b[0m 12 tests", "ok 12 tests"), ("a\rb", "a b"), ("", None), (" ", None)],
)
def test_each_line_that_says_something_is_shown(line: str, shown: str | None) -> None:
    assert actor().read(line) == (Progress(text=shown) if shown else None)


@given(st.text(), st.text(), st.none() | st.integers(0, 255), st.sampled_from([None, "total", "lost"]))
def test_any_output_is_a_completion(
    stdout: str, stderr: str, status: int | None, stopped: str | None
) -> None:
    actor().read(stdout)
    end = completed(stdout=stdout, stderr=stderr, status=status, stopped=stopped)
    assert end.phase.terminal
    assert end.reason


def test_the_output_is_the_result() -> None:
    end = completed(stdout='Looked.\n```json\n{"decision": "merge"}\n```\n')
    assert (end.phase, end.outcome, end.reason) == (Phase.COMPLETED, RunOutcome.SUCCESS, "exit_code_0")
    assert end.text == 'Looked.\n```json\n{"decision": "merge"}\n```'
    assert end.json == {"decision": "merge"}
    assert completed(stdout='{"decision": "wait"}\n').json == {"decision": "wait"}
    assert (end.cost_usd, end.turns, end.session_id) == (None, None, None)


@pytest.mark.parametrize(
    ("exit", "phase", "reason"),
    [
        ({"status": 75}, Phase.FAILED, "exit_code_75"),
        ({"status": 137}, Phase.STOPPED, "sigkill"),
        ({"status": 0, "stopped": "total"}, Phase.STOPPED, "timeout_total"),
        ({"status": 143, "stopped": "requested"}, Phase.STOPPED, "requested"),
        ({"status": None}, Phase.STOPPED, "lost"),
    ],
)
def test_the_end_is_told_by_what_ended_it(exit: dict[str, Any], phase: Phase, reason: str) -> None:
    end = completed(**exit)
    assert (end.phase, end.reason) == (phase, reason)


def test_the_result_of_a_failure_ends_with_its_complaint() -> None:
    assert completed(status=1, stderr="x" * 9999).text == "x" * ERROR_LIMIT
    assert completed(status=1, stderr="y" * 9999 + "\nno db\n").text == "no db"
    assert completed(status=1, stdout="said\n", stderr="complained\n").text == "said\ncomplained"
    assert completed(status=0, stopped="total", stderr="slow").text == "slow"
    full = completed(status=1, stdout="x" * (TEXT_LIMIT + 1), stderr="complained").text
    assert (len(full), full[-12:]) == (TEXT_LIMIT, "x\ncomplained")
    assert completed(status=0, stderr="a warning").text == ""


def test_a_status_that_says_nothing_was_done_is_tried_again() -> None:
    config = {"retry": {"on_exit": [75, 200]}}
    end = finish(config, status=75, stderr="\nno network\n")
    assert end == NotBegun(outcome=Retry(reason="exit status 75: no network"))
    assert finish(config, status=200) == NotBegun(outcome=Retry(reason="exit status 200"))
    assert completed(config, status=1).reason == "exit_code_1"
    assert completed(config, status=75, stopped="total").reason == "timeout_total"


async def test_a_program_gets_the_prompt_and_its_variables(bench: Bench, tmp_path: Path) -> None:
    script = (
        'cat; cat "$ORGLOOP_PROMPT_FILE"; echo "$LABEL $ORGLOOP_SESSION_KEY ${SECRET_OF_THE_DAEMON-hidden}"'
    )
    scribe = actor({"command": [*SCRIPT, script], "env": {"LABEL": 7}}, project=tmp_path)
    end = await bench.run(scribe, "Note it.\n", session=WakeSession(key="pr:7")).complete()
    assert end.text == "Note it.\nNote it.\n7 pr:7 hidden"


async def test_a_program_that_takes_too_long_is_ended_with_its_children(bench: Bench, tmp_path: Path) -> None:
    script = "sleep 60 & sleep 60"
    slow = actor({"command": [*SCRIPT, script], "timeout": "300ms", "grace": "5s"}, project=tmp_path)
    end = await bench.run(slow, "Go.").complete()
    assert (end.phase, end.outcome, end.reason) == (Phase.STOPPED, RunOutcome.CANCELLED, "timeout_total")


async def test_the_scaffold_does_something_that_can_be_seen(bench: Bench, tmp_path: Path) -> None:
    assert connector.actor is not None
    project = tmp_path / "project"
    project.mkdir()
    scaffold = dict(connector.actor.scaffold)
    settings = ProcessSettings.model_validate(scaffold, context={"project": project})
    first = connector.actor.open("scribe", settings)
    assert isinstance(first, Supervised)
    end = await bench.run(first, "Greet whoever reads this.\n\nSecond line.").complete()
    assert (end.reason, end.json) == ("exit_code_0", {"decision": "noted"})
    event = wake().event
    assert (project / "done.log").read_text() == f"{event.id}  {event.type}  Greet whoever reads this.\n"


async def check(config: dict[str, Any], **environment: str) -> dict[str, CheckResult]:
    settings = ProcessSettings.model_validate(config)
    assert connector.setup.check is not None
    ctx = as_context(FakeContext(environment=environment))
    return {result.name: result for result in await connector.setup.check(settings, ctx)}


async def test_doctor_looks_for_the_program_where_a_run_would(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\n")
    place = {"cwd": str(tmp_path)}
    assert (await check({"command": "agent", **place}, PATH=str(tmp_path)))[
        "command"
    ].status is CheckStatus.MISSING
    assert (await check({"command": str(program), **place}))["command"].hint == "make the file executable"
    program.chmod(0o755)
    found = await check({"command": "agent", **place}, PATH=str(tmp_path))
    assert [one.status for one in found.values()] == [CheckStatus.OK] * 2
    assert found["command"].detail == str(program)
    own = {"command": "agent", **place, "env": {"PATH": "/nowhere"}}
    assert (await check(own, PATH=str(tmp_path)))["command"].status is CheckStatus.MISSING


async def test_doctor_sees_a_script_that_does_not_say_what_runs_it(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("echo hello\n")
    program.chmod(0o755)
    place = {"command": str(program), "cwd": str(tmp_path)}
    found = (await check(place))["command"]
    assert (found.status, found.hint) == (
        CheckStatus.ERROR,
        "begin the file with a line such as #!/bin/sh",
    )
    program.write_text("#!/bin/sh\necho hello\n")
    assert (await check(place))["command"].status is CheckStatus.OK


def test_what_is_not_there_yet_is_said_and_refuses_nothing(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    own = {"command": str(program), "cwd": str(tmp_path / "app")}

    def said() -> list[str]:
        settings = ProcessSettings.model_validate(own)
        found = {**settings.warnings(), **settings.missing()}
        return [f"{key}: {text.partition(';')[0].rpartition(', ')[2]}" for key, text in found.items()]

    cwd, there, executable = (
        said()[0],
        "command: and there is no such file",
        "command: which is not executable",
    )
    assert cwd.startswith("cwd: ")
    assert said() == [cwd, there]
    program.write_text("#!/bin/sh\n")
    assert said() == [cwd, executable]
    program.chmod(0o755)
    (tmp_path / "app").mkdir()
    assert said() == []


async def test_doctor_looks_for_the_directory(tmp_path: Path) -> None:
    found = await check({"command": "sh", "cwd": str(tmp_path / "nowhere")}, PATH="/usr/bin:/bin")
    assert found["cwd"].status is CheckStatus.MISSING
    assert "create it" in found["cwd"].hint


def test_the_connector_is_an_agent_with_runs() -> None:
    assert connector.actor is not None
    assert connector.actor.has_runs
    assert connector.actor.wakes_agent
    assert connector.source is None


@pytest.mark.parametrize(
    ("status", "stderr"),
    [
        (127, "env: 'python9': No such file or directory\n"),
        (127, "/usr/bin/env: 'node': No such file or directory"),
        (126, "env: \u2018./x\u2019: Permission denied"),
        (126, "bash: ./agent: /usr/bin/python9: bad interpreter: No such file or directory"),
    ],
)
def test_an_interpreter_that_is_not_there_makes_the_work_wait(status: int, stderr: str) -> None:
    end = finish(status=status, stderr=stderr)
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert stderr.strip() in end.outcome.reason


def test_a_script_that_is_not_there_makes_the_work_wait(tmp_path: Path) -> None:
    config = {"command": ["python3", "gone/agent.py"], "cwd": str(tmp_path)}
    end = finish(config, status=2, stderr="python3: can't open file 'gone/agent.py'")
    assert isinstance(end, NotBegun)
    assert "gone/agent.py" in str(end.outcome)


@pytest.mark.parametrize(
    "exit",
    [
        {"status": 127, "stderr": "sh: 1: deploy: not found"},
        {"status": 127, "stderr": "env: x: No such file", "stdout": "it had begun"},
        {"status": 127, "stderr": "env: x: No such file", "stopped": "total"},
        {"status": 127, "stderr": "working\nenv: x: No such file or directory"},
        {"status": 127},
    ],
)
def test_what_may_have_done_something_is_a_run_that_failed(exit: dict[str, Any]) -> None:
    assert isinstance(finish(**exit), Completion)


def test_json_that_cannot_be_read_is_in_the_event() -> None:
    end = finish(stdout='{"decision": "merge",}')
    assert isinstance(end, Completion)
    assert (end.json, end.outcome) == (None, RunOutcome.SUCCESS)
    assert "line 1, column" in end.details["json_error"]
    assert finish(stdout="plain words") == replace(end, text="plain words", details={})


async def test_doctor_asks_git_whether_there_can_be_work_trees(tmp_path: Path) -> None:
    given = {"command": "sh", "cwd": str(tmp_path / "app"), "worktree": {"per": "key"}}
    path = os.environ["PATH"]

    async def said(**more: str) -> CheckResult:
        return (await check(given, **{"PATH": path, **more}))["worktree"]

    (tmp_path / "app").mkdir()
    assert (await said(PATH=str(tmp_path))).status is CheckStatus.MISSING
    assert "no work tree" in (await said()).detail
    git(tmp_path / "app", "init", "-q")
    assert "no commit" in (await said()).detail
    commit(tmp_path / "app")
    assert (await said()).status is CheckStatus.OK
    plain = await check({"command": "sh", "cwd": str(tmp_path)}, PATH=path)
    assert "worktree" not in plain


async def test_a_directory_that_its_work_trees_would_lack_is_no_good_place(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        own = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *own, *words], check=True, capture_output=True)

    async def tree() -> CheckResult:
        config = {"command": "sh", "cwd": str(tmp_path / "part"), "worktree": {"branch": "x"}}
        return (await check(config, PATH=os.environ["PATH"]))["worktree"]

    git("init", "--quiet")
    (tmp_path / "part").mkdir()
    assert (await tree()).status is CheckStatus.ERROR, "there is no commit"
    git("commit", "--quiet", "--allow-empty", "-m", "empty")
    found = await tree()
    assert (found.status, "does not have" in found.detail) == (CheckStatus.WARNING, True)
    (tmp_path / "part" / "file").touch()
    git("add", ".")
    git("commit", "--quiet", "-m", "part")
    assert (await tree()).status is CheckStatus.OK


@pytest.mark.parametrize(("on_exit", "alive"), [([], True), ([75], False)])
def test_words_do_not_show_that_a_program_works_which_may_still_report_nothing(
    on_exit: list[int], alive: bool
) -> None:
    seen = actor({"command": "agent", "retry": {"on_exit": on_exit}}).read("looking")
    assert seen is not None
    assert seen.alive is alive


@pytest.mark.parametrize(
    "written",
    [
        '\ufeff{"decision": "merge"}\n',
        'Looked.\n\x1b[32m```json\x1b[0m\n{"decision": "merge"}\n\x1b[32m```\x1b[0m\n',
        '\x1b[1m{"decision": "merge"}\x1b[0m\n',
    ],
    ids=["byte order mark", "coloured fence", "coloured JSON"],
)
def test_colours_and_marks_around_json_do_not_matter(written: str) -> None:
    assert completed(stdout=written).json == {"decision": "merge"}
