"""script: real programs, and what their ends mean."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from orgloop.plugin import Change, Discard, Failure, Pass, Scope, Transform
from orgloop.transforms import child
from orgloop.transforms.script import MAX_OUTPUT, transform
from tests.runner.waiting import alive, until
from tests.transforms.given import EVENT, SCOPE, opened

Opener = Callable[..., Transform]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens a step for a shell script with this body, and closes it; `project` is where the project lies."""
    steps: list[Transform] = []

    def open_script(
        body: str, *, head: str = "#!/bin/sh\n", project: Path = tmp_path, **config: Any
    ) -> Transform:
        folder = project / "transforms"
        folder.mkdir(exist_ok=True)
        script = folder / "decide.sh"
        script.write_text(head + body)
        script.chmod(0o755)
        steps.append(opened(transform, {"script": "./decide.sh", **config}, base=folder, project=project))
        return steps[-1]

    yield open_script
    for step in steps:
        await step.close()


async def run(step: Transform, document: Mapping[str, Any] = EVENT, scope: Scope = SCOPE) -> Any:
    assert not step.bounded
    return await step.apply(document, scope)


async def run_once(step: Transform) -> Any:
    """Runs a step that is not opened by `make`, and closes it: what it keeps would outlive the test."""
    try:
        return await run(step)
    finally:
        await step.close()


def gone(pid: int) -> bool:
    return not alive(pid)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # what it prints
        ("cat", Pass()),
        ("cat; echo", Pass()),
        ('echo \'{"payload": 1, "x": [2]}\'', Change(document={"payload": 1, "x": [2]})),
        ("echo {}", Change(document={})),
        ("echo null", Pass()),
        ("echo false", Pass()),
        ("echo 0", Pass()),
        ("echo '\"\"'", Pass()),
        ("echo true", Failure(reason="printed true, which is not an event: print a JSON object")),
        ("echo 7", Failure(reason="printed 7, which is not an event: print a JSON object")),
        ("echo '[]'", Failure(reason="printed [], which is not an event: print a JSON object")),
        ("echo '\"x\"'", Failure(reason="printed x, which is not an event: print a JSON object")),
        # drops
        ("cat >/dev/null", Discard(reason="printed nothing")),
        ("echo '  '", Discard(reason="printed nothing")),
        ("exit 1", Discard(reason="exit status 1")),
        ("exit 78", Discard(reason="exit status 78")),
        ("cat; exit 1", Discard(reason="exit status 1")),
        ("echo looking >&2; echo 'a bot wrote it' >&2; echo >&2; exit 78", Discard(reason="a bot wrote it")),
        ("echo 'nothing to do' >&2", Discard(reason="nothing to do")),
        # failures
        ("exit 2", Failure(reason="exit status 2")),
        ("cat; exit 3", Failure(reason="exit status 3")),
        ("echo no route to host >&2; exit 77", Failure(reason="exit status 77: no route to host")),
        ("kill -TERM $$", Failure(reason="killed by SIGTERM")),
        ("kill -KILL $$", Failure(reason="killed by SIGKILL")),
        # a script need not read
        ("exec <&-; echo {}", Change(document={})),
    ],
)
async def test_how_it_ends_decides(make: Opener, body: str, expected: object) -> None:
    assert await run(make(body)) == expected


@pytest.mark.parametrize("printed", ["{", "hello", "{} {}", '{"a": NaN}', "\\377"])
async def test_what_is_not_json_is_a_failure(make: Opener, printed: str) -> None:
    result = await run(make(f"printf '{printed}'"))
    assert isinstance(result, Failure)
    assert result.reason.startswith("printed something that is not JSON: ")


async def test_it_gets_the_event_on_stdin_without_arguments(make: Opener, tmp_path: Path) -> None:
    got = tmp_path / "got"
    assert await run(make(f"cat > {got}; echo $# >> {got}")) == Discard(reason="printed nothing")
    document, arguments = got.read_text().rsplit("}", 1)
    assert json.loads(document + "}") == EVENT
    assert arguments == "0\n"


async def test_a_script_that_never_reads_a_large_event_is_no_problem(make: Opener) -> None:
    document = {**EVENT, "payload": "x" * 5_000_000}
    assert await run(make("exit 1"), document) == Discard(reason="exit status 1")
    assert await run(make("echo {}"), document) == Change(document={})


async def test_a_large_event_comes_and_goes(make: Opener) -> None:
    document = {**EVENT, "payload": "ü" * 2_000_000}
    assert await run(make("cat"), document) == Pass()


async def test_half_a_surrogate_pair_does_not_keep_the_event_from_the_script(make: Opener) -> None:
    assert isinstance(await run(make("cat"), {**EVENT, "payload": "\ud800"}), Change)


async def test_endless_output_is_a_failure_and_ends_the_script(make: Opener) -> None:
    step = make("yes")
    assert await run(step) == Failure(reason="ended because it printed more than 10 MB")
    assert MAX_OUTPUT == 10 * 1024**2


async def test_endless_stderr_is_no_problem(make: Opener) -> None:
    assert await run(make("yes 2>&1 >&2 | head -c 20000000 >&2; echo last >&2; exit 1")) == Discard(
        reason="last"
    )


async def test_a_timeout_ends_the_script_and_all_that_it_started(make: Opener, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    step = make(f"sleep 300 & echo $! $$ > {pids}; wait", timeout_ms=1500)
    assert await run(step) == Failure(reason="ended because it took longer than 1.5s")
    for pid in map(int, pids.read_text().split()):
        until(partial(gone, pid), f"process {pid} is gone")


async def test_a_script_that_closes_its_output_is_still_bounded(make: Opener) -> None:
    step = make("exec >&- 2>&-; sleep 300", timeout_ms=200)
    assert await run(step) == Failure(reason="ended because it took longer than 200ms")


async def test_what_it_leaves_in_the_background_does_not_hold_its_result(
    make: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LINGER_S", 0.05)
    pid_file = tmp_path / "pid"
    assert await run(make(f"sleep 300 & echo $! > {pid_file}; echo {{}}")) == Change(document={})
    until(partial(gone, int(pid_file.read_text())), "what held its output is gone")


async def test_a_cancelled_script_is_ended(make: Opener, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(
        run(make(f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 300"))
    )
    await asyncio.to_thread(until, pid_file.exists, "the script runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(pid_file.read_text()))


# Forks twice, begins a session of its own, forgets its environment and closes its output.
ESCAPES = """\
( env -i setsid sh -c 'echo $$ > PID.new; mv PID.new PID; exec sleep 300' >/dev/null 2>&1 </dev/null & ) &
until [ -e PID ]; do sleep 0.01; done
"""


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("echo {}", Change(document={})),
        ("exit 1", Discard(reason="exit status 1")),
        ("kill -9 $$", Failure(reason="killed by SIGKILL")),
        ("sleep 300", Failure(reason="ended because it took longer than 3s")),
    ],
)
async def test_nothing_that_a_script_started_outlives_it(
    make: Opener, tmp_path: Path, then: str, expected: object
) -> None:
    pid_file = tmp_path / "pid"
    step = make(ESCAPES.replace("PID", str(pid_file)) + then, timeout_ms=3_000)
    assert await run(step) == expected
    assert gone(int(pid_file.read_text()))
    pid_file.unlink()
    assert await run(step) == expected, "the next one is as well off"


async def test_a_script_that_is_cancelled_leaves_nothing_either(make: Opener, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(run(make(ESCAPES.replace("PID", str(pid_file)) + "sleep 300")))
    await asyncio.to_thread(until, pid_file.exists, "the script runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(pid_file.read_text()))


def test_when_the_daemon_is_gone_its_scripts_go_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = tmp_path / "s.sh"
    script.write_text("#!/bin/sh\n" + ESCAPES.replace("PID", str(pid_file)) + "sleep 300")
    script.chmod(0o755)
    task = {"program": str(script), "cwd": "/", "env": dict(os.environ)}
    request = json.dumps({**task, "timeout_s": 60, "linger_s": 1, "max_output": 10}).encode() + b"\n"
    keeper = subprocess.Popen([sys.executable, "-I", "-S", str(child.PROGRAM)], stdin=subprocess.PIPE)
    assert keeper.stdin is not None
    keeper.stdin.write(struct.pack(">I", len(request)) + request)
    keeper.stdin.flush()
    until(pid_file.exists, "the script runs")
    keeper.stdin.close()
    assert keeper.wait(30) == 0
    assert gone(int(pid_file.read_text()))


async def test_keepers_end_with_the_last_step(make: Opener) -> None:
    def keepers() -> int:
        found = 0
        for one in psutil.Process().children():
            with suppress(psutil.Error):
                found += str(child.PROGRAM) in one.cmdline()
        return found

    one, other = make("echo {}"), make("echo {}")
    await asyncio.gather(*(run(one) for _ in range(5)), run(other))
    await asyncio.to_thread(until, lambda: 1 <= keepers() <= child.IDLE, "what is not needed has ended")
    await one.close()
    assert await run(other) == Change(document={})
    await other.close()
    await asyncio.to_thread(until, lambda: keepers() == 0, "all have ended")


async def turn(times: int) -> None:
    """Lets the loop go on, but no further than that."""
    for _ in range(times):
        turned = asyncio.Event()
        asyncio.get_running_loop().call_soon(turned.set)
        await turned.wait()


@pytest.mark.parametrize("turns", range(6))
async def test_a_script_that_is_cancelled_while_it_starts_is_ended(make: Opener, turns: int) -> None:
    task = asyncio.create_task(run(make("sleep 300")))
    await turn(turns)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=30)
    assert done
    assert task.cancelled()


async def test_scripts_run_side_by_side(make: Opener, tmp_path: Path) -> None:
    step = make(
        f'n=$(sed "s/[^0-9]//g"); touch {tmp_path}/$n; until [ -e {tmp_path}/1 ] && [ -e {tmp_path}/2 ]; '
        "do sleep 0.01; done; exit 1",
        timeout_ms=20_000,
    )
    results = list(await asyncio.gather(run(step, {"n": 1}), run(step, {"n": 2})))
    assert results == [Discard(reason="exit status 1")] * 2


async def test_the_event_is_in_variables_under_both_names(make: Opener) -> None:
    names = ("SOURCE", "TARGET", "EVENT_TYPE", "EVENT_ID", "ROUTE")
    line = " ".join(f"$ORGLOOP_{name} ${name}" for name in names)
    expected = (
        "github github engineer engineer resource.changed resource.changed evt_1 evt_1 pr-review pr-review"
    )
    assert await run(make(f'echo "{line}" >&2; exit 1')) == Discard(reason=expected)


async def test_facts_that_no_variable_can_hold_do_not_stop_the_script(make: Opener) -> None:
    scope = Scope(route="r", actor="a", source="s", event_type="a\0b\ud800", event_id="e")
    assert await run(make('echo "$EVENT_TYPE" >&2; exit 1'), EVENT, scope) == Discard(reason="ab?")


async def test_the_environment_is_an_allow_list(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "ORGLOOP_DAEMON", "ORGLOOP_API_TOKEN", "JIRA_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("ORGLOOP_HOME", "/h")
    step = make(
        'echo "$GITHUB_TOKEN|$ORGLOOP_DAEMON|$ORGLOOP_API_TOKEN|$JIRA_TOKEN|$MODE|$ORGLOOP_HOME" >&2; exit 1',
        env={"MODE": "strict"},
        env_pass=["JIRA_TOKEN", "NOT_SET", "ORGLOOP_DAEMON"],
    )
    assert await run(step) == Discard(reason="|||secret|strict|/h")


async def test_the_project_s_own_environment_is_used_if_there_is_one(tmp_path: Path) -> None:
    script = tmp_path / "s"
    script.write_text('#!/bin/sh\necho "$A$B" >&2; exit 1\n')
    script.chmod(0o755)
    step = opened(
        transform,
        {"script": str(script), "env_pass": ["A"]},
        project=tmp_path,
        environment={"A": "from .env", "B": "no", "PATH": os.environ["PATH"]},
    )
    assert await run_once(step) == Discard(reason="from .env")


@pytest.mark.parametrize(("cwd", "expected"), [(None, "."), ("./transforms", "transforms"), ("data", "data")])
async def test_it_runs_in_the_project_unless_told_otherwise(
    make: Opener, tmp_path: Path, cwd: str | None, expected: str
) -> None:
    (tmp_path / "data").mkdir()
    step = make("pwd >&2; exit 1", **({"cwd": cwd} if cwd else {}))
    assert await run(step) == Discard(reason=str((tmp_path / expected).resolve()))


async def test_without_a_project_it_runs_where_it_lies(tmp_path: Path) -> None:
    script = tmp_path / "s.sh"
    script.write_text("#!/bin/sh\npwd >&2; exit 1\n")
    script.chmod(0o755)
    assert await run_once(opened(transform, {"script": str(script)})) == Discard(
        reason=str(tmp_path.resolve())
    )


async def test_a_script_path_is_looked_for_beside_its_file_then_in_the_project(tmp_path: Path) -> None:
    for folder, word in ((tmp_path / "transforms", "beside"), (tmp_path, "project")):
        folder.mkdir(exist_ok=True)
        (folder / "s.sh").write_text(f"#!/bin/sh\necho {word} >&2; exit 1\n")
        (folder / "s.sh").chmod(0o755)
    context = {"base": tmp_path / "transforms", "project": tmp_path}
    assert await run_once(opened(transform, {"script": "s.sh"}, **context)) == Discard(reason="beside")
    (tmp_path / "transforms/s.sh").unlink()
    assert await run_once(opened(transform, {"script": "s.sh"}, **context)) == Discard(reason="project")


def test_a_script_that_is_not_there_is_refused_when_it_opens(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no script at"):
        opened(transform, {"script": "nope.sh"}, base=tmp_path)


def test_a_script_that_is_not_executable_is_refused_when_it_opens(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ValueError, match=r"is not executable: type chmod \+x"):
        opened(transform, {"script": "s.sh"}, base=tmp_path)


async def test_a_script_that_disappears_is_a_failure(make: Opener, tmp_path: Path) -> None:
    step = make("exit 1")
    (tmp_path / "transforms/decide.sh").unlink()
    result = await run(step)
    assert isinstance(result, Failure)
    assert "there is nothing at" in result.reason


@pytest.mark.parametrize(
    ("head", "why"),
    [("", "does not begin with a #! line"), ("#!/no/such/program\n", "its #! line names does not exist")],
)
async def test_a_script_that_cannot_start_says_why(make: Opener, head: str, why: str) -> None:
    result = await run(make("echo {}\n", head=head))
    assert isinstance(result, Failure)
    assert why in result.reason


async def test_a_working_directory_that_is_gone_is_named(make: Opener, tmp_path: Path) -> None:
    result = await run(make("exit 1", cwd="gone"))
    assert isinstance(result, Failure)
    assert f"there is nothing at {tmp_path / 'transforms/gone'}" in result.reason


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "Field required"),
        ({"script": "x", "timeout_ms": 0}, "greater than 0"),
        ({"script": "x", "arguments": []}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        opened(transform, config)


async def test_signals_without_a_name_are_numbers(make: Opener) -> None:
    number = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1
    result = await run(make(f"kill -{int(number)} $$"))
    assert isinstance(result, Failure)
    assert result.reason.startswith("killed by ")
