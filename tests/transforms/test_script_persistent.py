"""script with `mode: persistent`: one process that gets a line for each event, and prints one."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import Change, Discard, Failure, Pass, Transform
from orgloop.transforms import child
from orgloop.transforms.script import transform
from tests.runner.waiting import alive, until
from tests.transforms.given import EVENT, SCOPE, opened

Opener = Callable[..., Transform]
LOOP = "while IFS= read -r line; do\n%s\ndone\n"


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens a step for a shell script with this body, and closes it."""
    steps: list[Transform] = []

    def open_script(body: str, *, head: str = "#!/bin/sh\n", **config: Any) -> Transform:
        script = tmp_path / f"script{len(steps)}.sh"
        script.write_text(head + body)
        script.chmod(0o755)
        settings = {"script": str(script), "mode": "persistent", **config}
        steps.append(opened(transform, settings, project=tmp_path))
        return steps[-1]

    yield open_script
    for step in steps:
        await step.close()


def numbered(number: int) -> dict[str, Any]:
    return {"id": f"evt_{number}", "payload": number}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("printf '%s\\n' \"$line\"", Pass()),
        ("echo null", Pass()),
        ("echo false", Pass()),
        ("echo 0", Pass()),
        ("echo '\"\"'", Pass()),
        ("echo '{\"payload\": 1}'", Change(document={"payload": 1})),
        ("echo", Discard(reason="printed an empty line")),
        ("echo looking >&2; echo 'a bot wrote it' >&2; echo", Discard(reason="a bot wrote it")),
        ("echo true", Failure(reason="printed true, which is not an event: print a JSON object")),
        ('echo \'{"id": "evt_other"}\'', Failure(reason="printed an event with another id")),
        ("exit 3", Failure(reason="exit status 3")),
        ("echo no route >&2; exit 0", Failure(reason="exit status 0: no route")),
        ("kill -9 $$", Failure(reason="killed by SIGKILL")),
    ],
)
async def test_each_line_is_answered_by_a_line(make: Opener, answer: str, expected: object) -> None:
    step = make(LOOP % answer)
    assert not step.bounded
    for _ in range(3):
        assert await step.apply(EVENT, SCOPE) == expected, "also for the event after"


async def test_one_process_decides_on_all_events_of_a_route_in_their_order(make: Opener) -> None:
    step = make(LOOP % 'n=$((n + 1)); echo "{\\"payload\\": [$$, $n, \\"$ROUTE\\", \\"$ORGLOOP_TARGET\\"]}"')
    results = await asyncio.gather(*(step.apply(numbered(number), SCOPE) for number in range(20)))
    found = [result.document["payload"] for result in results if isinstance(result, Change)]
    assert [number for _, number, _, _ in found] == [*range(1, 21)]
    assert {tuple(others) for _, _, *others in found} == {(SCOPE.route, SCOPE.actor)}
    assert len({pid for pid, *_ in found}) == 1
    other = await step.apply(EVENT, replace(SCOPE, route="other"))
    assert isinstance(other, Change)
    assert other.document["payload"][1:3] == [1, "other"]
    assert other.document["payload"][0] != found[0][0]


async def test_a_program_that_ends_between_two_events_is_started_again(make: Opener) -> None:
    step = make("""read -r line; echo "{\\"payload\\": $$}"\n""")
    seen = set()
    for number in range(4):
        result = await step.apply(numbered(number), SCOPE)
        assert isinstance(result, Change)
        seen.add(result.document["payload"])
    assert len(seen) == 4


async def test_a_line_that_takes_too_long_ends_the_program_and_all_that_it_started(
    make: Opener, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    slow = f"sleep 300 & setsid sleep 300 & echo $! $$ >> {pids}; wait"
    step = make(LOOP % f"case $line in *evt_1*) {slow} ;; *) echo null ;; esac", timeout_ms=3_000)
    assert await step.apply(numbered(0), SCOPE) == Pass()
    assert await step.apply(numbered(1), SCOPE) == Failure(reason="ended because it took longer than 3s")
    for pid in map(int, pids.read_text().split()):
        assert not alive(pid)
    assert await step.apply(numbered(0), SCOPE) == Pass()


async def test_a_cancelled_line_ends_the_program_and_its_answer_meets_no_other_event(
    make: Opener, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    wait = f"touch {begun}; until [ -e {go} ]; do sleep 0.01; done"
    step = make(LOOP % f'case $line in *evt_1*) {wait} ;; esac; echo "{{\\"payload\\": $$}}"')
    before = await step.apply(numbered(0), SCOPE)
    task = asyncio.create_task(step.apply(numbered(1), SCOPE))
    await asyncio.to_thread(until, begun.exists, "the script works")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.touch()
    after = await step.apply(numbered(0), SCOPE)
    assert isinstance(before, Change)
    assert isinstance(after, Change)
    assert before.document != after.document, "another process"
    assert not alive(before.document["payload"])


async def test_what_is_printed_unasked_ends_the_program(make: Opener, tmp_path: Path) -> None:
    said = tmp_path / "said"
    step = make(LOOP % f"echo null; echo extra; touch {said}")
    assert await step.apply(EVENT, SCOPE) == Pass()
    await asyncio.to_thread(until, said.exists, "it printed more")
    assert isinstance(await step.apply(EVENT, SCOPE), Failure)


async def test_an_answer_that_cannot_be_read_ends_the_program(make: Opener, tmp_path: Path) -> None:
    """Its lines may no longer be those of the events."""
    pids = tmp_path / "pids"
    step = make(f"echo $$ >> {pids}\n" + LOOP % "echo text")
    for _ in range(2):
        assert isinstance(await step.apply(EVENT, SCOPE), Failure)
    assert len(pids.read_text().split()) == 2


async def test_large_events_come_and_go_and_talk_on_stderr_holds_nothing_up(make: Opener) -> None:
    step = make(LOOP % "printf '%s\\n' \"$line\"; yes talk | head -c 300000 >&2", timeout_ms=60_000)
    document = {**EVENT, "payload": "ü" * 1_000_000}
    for _ in range(2):
        assert await step.apply(document, SCOPE) == Pass()


async def test_a_line_without_end_is_a_failure(make: Opener) -> None:
    step = make("yes | tr -d '\\n'", timeout_ms=60_000)
    assert await step.apply(EVENT, SCOPE) == Failure(reason="ended because it printed more than 10 MB")


async def test_nothing_is_left_when_the_step_is_closed(make: Opener, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    step = make(f"setsid sleep 300 & echo $! $$ > {pids}\n" + LOOP % "echo null")
    assert await step.apply(EVENT, SCOPE) == Pass()
    found = [*map(int, pids.read_text().split())]
    assert all(map(alive, found))
    await step.close()
    assert not any(map(alive, found))


async def test_a_program_may_tidy_up_when_its_input_ends(make: Opener, tmp_path: Path) -> None:
    done = tmp_path / "done"
    step = make(LOOP % "echo null" + f"touch {done}\n")
    assert await step.apply(EVENT, SCOPE) == Pass()
    await step.close()
    assert done.exists()


@pytest.mark.parametrize(
    ("head", "why"),
    [("", "does not begin with a #! line"), ("#!/no/such\n", "its #! line names does not exist")],
)
async def test_a_program_that_cannot_start_says_why(make: Opener, head: str, why: str) -> None:
    result = await make(LOOP % "echo null", head=head).apply(EVENT, SCOPE)
    assert isinstance(result, Failure)
    assert why in result.reason


def test_when_the_daemon_is_gone_the_program_goes_too(tmp_path: Path) -> None:
    pid_file, script = tmp_path / "pid", tmp_path / "s.sh"
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}\n" + LOOP % "echo null; exec sleep 300")
    script.chmod(0o755)
    env = {"PATH": "/usr/bin:/bin"}
    task = child.Task(program=script, cwd=tmp_path, env=env, timeout_ms=60_000, max_output=99)
    request = task.request(b"{}", lines=True)
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(child.PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    keeper.stdin.write(struct.pack(">I", len(request)) + request)
    keeper.stdin.flush()
    [size] = struct.unpack(">I", keeper.stdout.read(4))
    head, _, printed = keeper.stdout.read(size).partition(b"\n")
    assert (json.loads(head)["status"], printed) == (None, b"null")
    pid = int(pid_file.read_text())
    keeper.stdin.close()
    assert keeper.wait(30) == 0
    keeper.stdout.close()
    until(lambda: not alive(pid), "the program is gone")
