"""What an agent does to its own run directory harms its own run, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from orgloop import runner
from orgloop.plugin import RunLimitsSpec, RunSpec
from orgloop.runtime.runs.local import local_runner, run_directory
from tests.runner.waiting import alive
from tests.runtime.engine import engine, turn
from tests.runtime.fakes import Stage
from tests.runtime.test_run_ends import PROJECT, Program

HERE = 'cd "$(dirname "$ORGLOOP_EVENT_FILE")";'


def hostile(script: str) -> Program:
    limits = RunLimitsSpec(total_s=20.0, grace_s=0.2)
    return lambda *_: RunSpec(argv=["sh", "-c", HERE + script], cwd="/", limits=limits)


def forged(name: str, content: str) -> str:
    return f"printf %s '{content}' > {name};"


OUTPUT = {
    "a pipe": "rm stdout; mkfifo stdout;",
    "a directory": "rm stdout; mkdir stdout;",
    "a link to a file of others": "rm stdout; ln -s /etc/passwd stdout;",
    "a link to a device": "rm stdout; ln -s /dev/zero stdout;",
    "a link to itself": "rm stdout; ln -s stdout stdout;",
    "nothing": "rm stdout;",
    "pipes everywhere": "for f in stdout stderr stop runner.log; do rm -f $f; mkfifo $f; done;",
    "a lock that is a pipe": "rm -f lock; mkfifo lock;",
    "a lock that is a directory": "rm -f lock; mkdir lock;",
    "a lock that leads elsewhere": "rm -f lock; ln -s /dev/zero lock;",
    "an end that is a directory": "mkdir -p exit.json/inner exit.json.tmp/inner;",
    "an end that is a pipe": "mkfifo exit.json exit.json.tmp;",
    "an end that leads elsewhere": "ln -s /dev/zero exit.json; ln -s nowhere/at/all exit.json.tmp;",
    "an empty directory": "rm -rf ./*;",
    "no rights": "chmod 000 stdout .;",
}

RECORDS = {
    "a duration beyond all measure": '{"version":1,"status":0,"stopped":null,"duration_s":1e308}',
    "a duration that is none": '{"version":1,"status":0,"stopped":null,"duration_s":"long"}',
    "a duration in the past": '{"version":1,"status":0,"stopped":null,"duration_s":-5}',
    "a status that is none": '{"version":1,"status":1e9,"stopped":null,"duration_s":1}',
    "a stop that is none": '{"version":1,"status":0,"stopped":{"a":1},"duration_s":1}',
    "a failure that is none": '{"version":1,"status":0,"stopped":null,"duration_s":1,"not_started":7}',
    "a result that is none": '{"version":1,"status":0,"stopped":null,"duration_s":1,"result":[-1,1e308]}',
    "a result far away": '{"version":1,"status":0,"duration_s":1,"result":[4611686018427387903,9]}',
    "a list": "[]",
    "no JSON": "{",
    "deep JSON": "[" * 20_000,
    "nothing": "",
}


async def survives(tmp_path: Path, program: Program) -> None:
    """The run ends once, whatever it came to, and the next one of the actor is well."""
    stage = Stage(programs={"agent": program})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit(key="a")
        await it.delivered(2)
        (run,) = it.runs()
        assert run.ended_at is not None
        assert "root:" not in run.text
        stage.programs["agent"] = lambda *_: RunSpec(argv=["echo", "well"], cwd="/")
        await it.emit(2, key="b")
        await it.delivered(4)
        assert "well" in {run.text.strip() for run in it.runs()}


@pytest.mark.parametrize("replaced", OUTPUT.values(), ids=OUTPUT)
async def test_output_that_is_replaced(replaced: str, tmp_path: Path) -> None:
    await survives(tmp_path, hostile(f"echo said; {replaced} true"))


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("name", [runner.EXIT, runner.CHILD])
async def test_a_record_that_is_forged(name: str, record: str, tmp_path: Path) -> None:
    kill = "kill -KILL $PPID; sleep 1000"
    await survives(tmp_path, hostile(forged(name, record) + kill))


@pytest.mark.parametrize("size", ["100M", "1M"])
async def test_a_record_that_is_huge(size: str, tmp_path: Path) -> None:
    await survives(tmp_path, hostile(f"truncate -s {size} exit.json; kill -KILL $PPID; sleep 1000"))


@pytest.mark.parametrize(
    "flood",
    [
        "yes '' | head -c 60000000",
        "yes x | head -c 60000000",
        "head -c 40000000 /dev/zero",
        "head -c 300000 /dev/zero | tr '\\0' '~'; printf '`'",
        "head -c 300000 /dev/zero | tr '\\0' '`'; printf '\\n~'",
        "head -c 300000 /dev/zero | tr '\\0' '\\033'",
        "head -c 300000 /dev/zero | tr '\\0' ' '; printf x",
        "head -c 300000 /dev/zero | tr '\\0' '{'",
        "for i in 1 2 3 4 5 6 7 8; do head -c 30000 /dev/zero | tr '\\0' '['; echo; done",
    ],
)
async def test_output_that_is_hard_to_read(flood: str, tmp_path: Path) -> None:
    stage = Stage(programs={"agent": hostile(flood)})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        longest, loop = 0.0, asyncio.get_running_loop()
        while it.states().count("delivered") < 2:
            began = loop.time()
            await turn()
            longest = max(longest, loop.time() - began)
        assert longest < 5, "nobody else waits for long"


async def test_a_runner_that_is_stopped_goes_on_and_keeps_its_limits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = RunSpec(
        argv=["sh", "-c", "kill -STOP $PPID; exec sleep 1000"],
        cwd="/",
        limits=RunLimitsSpec(total_s=1.0, grace_s=0.2),
    )
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": lambda *_: spec})) as it:
        await it.emit()
        await it.delivered(2)
        assert it.runs()[0].reason == "timeout_total"
    assert "a signal had stopped the runner" in caplog.text


@pytest.mark.parametrize("kind", ["pipe", "directory", "link", "missing"])
def test_nothing_but_a_plain_file_is_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/passwd")
        case _:
            pass
    with pytest.raises(OSError, match=r"plain|No such|symbolic|directory"):
        run_directory.open_plain(path)
    assert run_directory.tail(path) == ""
    assert run_directory.read_json(path) is None


async def test_no_forged_record_makes_us_signal_somebody_else(tmp_path: Path) -> None:
    for pid in ("1", "0", "-1", '"7"', "1.5", "null", "true"):
        (tmp_path / runner.CHILD).write_text(
            f'{{"pid": {pid}, "runner_pid": {pid}, "boot_id": null, "started_at": 1}}'
        )
        assert local_runner.runner_pid(tmp_path) is None


async def test_a_run_that_names_somebody_else_as_its_runner_gets_nobody_stopped(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        record = {"pid": bystander.pid, "runner_pid": bystander.pid, "boot_id": None, "started_at": 1}
        (tmp_path / runner.CHILD).write_text(json.dumps(record))
        local_runner.request_stop(tmp_path)
        assert local_runner.runner_pid(tmp_path) is None
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_run_that_forges_its_end_and_kills_its_runner_is_ended(tmp_path: Path) -> None:
    record = '{"version":1,"status":0,"stopped":null,"duration_s":1}'
    script = f"echo $$ > {tmp_path}/pid; {forged(runner.EXIT, record)} kill -KILL $PPID; exec sleep 1000"
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": hostile(script)})) as it:
        await it.emit()
        await it.delivered(2)
        assert not alive(int((tmp_path / "pid").read_text()))
