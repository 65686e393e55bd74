"""What the program is given, and what the runner says about it while it runs."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orgloop import runner
from tests.runner.run_directory import ENV, FULL, RunDirectory, python, shell
from tests.runner.waiting import DEADLINE_S, alive, at_end

WORDS = ["plain", "two words", "", 'quo"te', "back\\slash", "a\\/b", "new\nline", "tab\t"]
WORDS += ["\u00e9\u4e2d", "\U0001f600", "not UTF-8: \udcff"]


def test_the_program_gets_its_arguments_unchanged(run: RunDirectory) -> None:
    run.prepare(["/usr/bin/printf", "%s|", *WORDS]).hold()
    assert run.read(runner.STDOUT).split(b"|")[:-1] == [os.fsencode(word) for word in WORDS]


def test_the_environment_is_exactly_the_given_one(run: RunDirectory) -> None:
    env = {
        **ENV,
        "EMPTY": "",
        "SPACES": " a  b ",
        "QUOTE": "\"'\\",
        "UTF8": "\u00e9\U0001f600",
        "BYTE": "\udc80",
    }
    run.prepare(["/usr/bin/env"], env=env).spawn(env={"PATH": "/bin", "SECRET": "of the daemon"}).wait(
        DEADLINE_S
    )
    lines = run.read(runner.STDOUT).splitlines()
    assert sorted(lines) == sorted(os.fsencode(f"{name}={value}") for name, value in env.items())


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1", "C.UTF-8"])
def test_the_locale_of_the_runner_changes_nothing(run: RunDirectory, locale: str) -> None:
    run.prepare(["/usr/bin/printf", "%s", "\u00e9\udcff"]).spawn(env={"LC_ALL": locale}).wait(DEADLINE_S)
    assert run.read(runner.STDOUT) == b"\xc3\xa9\xff"


def test_the_program_runs_in_its_working_directory(run: RunDirectory, tmp_path: Path) -> None:
    cwd = tmp_path / "work \u00e9"
    cwd.mkdir()
    run.prepare(shell("pwd -P"), cwd=cwd).hold()
    assert run.read(runner.STDOUT).decode().strip() == str(cwd.resolve())


def test_the_program_reads_the_prompt(run: RunDirectory) -> None:
    prompt = b"Review this.\n" + bytes(range(256)) * 1000
    run.prepare(["cat"], stdin=prompt).hold()
    assert run.read(runner.STDOUT) == prompt


def test_without_a_prompt_the_program_reads_nothing(run: RunDirectory) -> None:
    assert run.prepare(["cat"]).hold()["status"] == 0
    assert run.read(runner.STDOUT) == b""


def test_a_bare_name_is_looked_up_in_the_path_of_the_run(run: RunDirectory, tmp_path: Path) -> None:
    agent = tmp_path / "bin" / "some-agent"
    agent.parent.mkdir()
    agent.write_text("#!/bin/sh\necho found\n")
    agent.chmod(0o755)
    run.prepare(["some-agent"], env={"PATH": f"/nowhere:{agent.parent}"}).spawn(env={"PATH": "/bin"}).wait(
        DEADLINE_S
    )
    assert run.read(runner.STDOUT) == b"found\n"


def test_no_descriptor_of_the_daemon_reaches_the_program_or_stays_with_the_runner(run: RunDirectory) -> None:
    script = """
import os
def is_open(fd):
    try: os.fstat(fd)
    except OSError: return False
    return True
print([fd for fd in range(256) if is_open(fd)])
"""
    reader, writer = os.pipe()
    try:
        high = fcntl.fcntl(writer, fcntl.F_DUPFD, 100)
        run.prepare(python(script)).spawn(pass_fds=[writer, high])
        os.close(high)
    finally:
        os.close(writer)
    run.end()
    assert json.loads(run.read(runner.STDOUT)) == [0, 1, 2]
    assert at_end(reader)
    os.close(reader)


def test_the_runner_does_not_keep_the_pipes_of_the_daemon_open(run: RunDirectory) -> None:
    reader, writer = os.pipe()
    run.prepare(shell("exec sleep 1000")).spawn(pass_fds=[writer])
    os.close(writer)
    assert at_end(reader)
    os.close(reader)
    assert alive(run.program())


def test_the_end_of_the_runners_stdout_tells_that_the_program_runs(run: RunDirectory) -> None:
    process = run.prepare(shell("exec sleep 1000")).spawn(stdout=subprocess.PIPE)
    assert process.stdout
    assert at_end(process.stdout.fileno())
    assert runner.CHILD in run.names()
    assert process.poll() is None


def test_a_runner_without_stdin_stdout_and_stderr_holds_its_run(run: RunDirectory) -> None:
    closing = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
    run.prepare(shell("cat; echo out; echo err >&2; exec sleep 1000"), stdin=b"in ", grace_s=0)
    process = subprocess.Popen([*python(closing), *run.command()], start_new_session=True)
    run.said(b"in out")
    assert run.locked()
    process.terminate()
    assert process.wait(DEADLINE_S) == runner.ENDED
    assert (run.read(runner.STDERR), run.read(runner.LOG)) == (b"err\n", b"")


def test_signals_are_back_to_their_defaults_in_the_program(run: RunDirectory) -> None:
    script = """
import signal
names = ["SIGHUP", "SIGINT", "SIGTERM", "SIGCHLD", "SIGUSR1", "SIGQUIT"]
default = {signal.SIG_DFL, signal.default_int_handler}
print([n for n in names if signal.getsignal(getattr(signal, n)) not in default])
print(list(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
"""
    changed = [signal.SIGUSR1, signal.SIGQUIT]
    for number in changed:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
    try:
        run.prepare(python(script)).spawn()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGUSR2])
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
    run.end()
    assert run.read(runner.STDOUT).splitlines() == [b"[]", b"[]"]


def test_child_json_identifies_the_program(run: RunDirectory) -> None:
    before = time.time()
    process = run.prepare(python("import os; print(os.getpid(), os.getpgid(0), os.getsid(0))")).spawn()
    pid = run.program()
    end, child = run.end(), run.json(runner.CHILD)
    assert run.read(runner.STDOUT).split() == [b"%d" % pid] * 3
    assert (child["version"], child["pgid"], child["runner_pid"]) == (1, pid, process.pid)
    assert before <= child["started_at"] <= child["at"] <= time.time()
    assert end["started_at"] == child["started_at"]


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_child_json_has_the_start_time_and_the_boot_that_the_kernel_names(run: RunDirectory) -> None:
    run.prepare(shell("exec sleep 1000")).spawn()
    kernel = Path(f"/proc/{run.program()}/stat").read_text().rpartition(")")[2].split()
    child = run.json(runner.CHILD)
    assert child["start"] == int(kernel[22 - 3])
    assert child["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_spec_with_its_secrets_is_gone_once_the_program_runs(run: RunDirectory) -> None:
    run.prepare(shell("exec sleep 1000"), env={**ENV, "TOKEN": "secret-token"}).spawn()
    run.program()
    assert runner.SPEC not in run.names()
    assert [name for name in run.names() if b"secret-token" in run.read(name)] == []


def test_what_the_runner_writes_is_for_its_owner_only(run: RunDirectory) -> None:
    umask = os.umask(0)
    try:
        run.prepare(shell("echo out; echo err >&2")).spawn()
    finally:
        os.umask(umask)
    run.end()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.path.iterdir()}
    names = (runner.LOCK, runner.STARTED, runner.CHILD, runner.STDOUT, runner.STDERR, runner.LOG, runner.EXIT)
    assert modes == dict.fromkeys(names, 0o600)


def test_the_lock_is_held_while_the_program_runs_and_free_afterwards(run: RunDirectory) -> None:
    process = run.prepare(shell("exec sleep 1000"), grace_s=0).spawn()
    run.program()
    assert run.locked()
    process.terminate()
    process.wait(DEADLINE_S)
    assert not run.locked()


def test_started_is_there_before_the_program_runs(run: RunDirectory) -> None:
    run.prepare(shell("cat started")).hold()
    assert json.loads(run.read(runner.STDOUT))["version"] == runner.VERSION


def test_a_program_that_cannot_be_recorded_runs_all_the_same(run: RunDirectory) -> None:
    run.on_a_full_disk = True
    run.write(FULL + runner.CHILD, b"")
    assert run.prepare(shell("exit 4")).hold()["status"] == 4
    assert b"cannot write child.json" in run.read(runner.LOG)
