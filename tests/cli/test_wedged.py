"""A daemon that stands still, a locked journal, pipes in the home: every command ends, and says why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from orgloop.cli.time_limit import no_limit, time_limit
from orgloop.daemon.client import Client
from orgloop.errors import DaemonError
from orgloop.project.home import DaemonInfo, Home
from tests.e2e.organization import Organization

SECONDS = 45
"""What a command gets on a machine that does much else; without a limit of its own it would never end."""

PROJECT = """
metadata: {name: acme}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: agent, connector: process, config: {command: [./bin/agent]}}
routes:
  - {name: work, when: {source: hook, events: [work]}, then: {actor: agent}}
"""

LOOK = [
    ("status",),
    ("logs",),
    ("events",),
    ("deliveries",),
    ("runs",),
    ("held",),
    ("trace",),
    ("plan",),
    ("doctor",),
    ("inspect", "actor", "agent"),
    ("sessions",),
    ("routes",),
]
ACT = [
    ("emit", "--source", "hook", "--event", "other"),
    ("runs", "stop", "run_1"),
    ("held", "release", "dlv_1"),
    ("start",),
]
HOOK = ("hook", "hook", '{"session_id": "s"}')


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """It runs."""
    folder = tmp_path_factory.mktemp("wedged")
    (root := folder / "acme").mkdir()
    made = Organization(root=root, home=Home(folder / "home"))
    made.write({"orgloop.yaml": PROJECT, "bin/agent": "#!/bin/sh\n"})
    made.start()
    yield made
    made.kill()


@pytest.fixture
def suspended(acme: Organization) -> Iterator[Organization]:
    """Its daemon stands still within the test."""
    if acme.daemon is None or acme.daemon.poll() is not None:
        acme.start()
    assert acme.daemon is not None
    acme.daemon.send_signal(signal.SIGSTOP)
    yield acme
    acme.daemon.send_signal(signal.SIGCONT)


def all_of(acme: Organization, commands: list[tuple[str, ...]]) -> dict[str, tuple[int, str]]:
    """The exit status and what was said, of commands that run at the same time."""
    began = {
        " ".join(one): subprocess.Popen(
            [sys.executable, "-m", "orgloop", *one],
            cwd=acme.root,
            env=acme.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for one in commands
    }
    found = {}
    try:
        for name, process in began.items():
            said, _ = process.communicate(timeout=SECONDS)
            found[name] = (process.returncode, said)
    finally:
        for process in began.values():
            process.kill()
            process.wait()
    return found


def test_commands_do_not_wait_for_a_daemon_that_stands_still(suspended: Organization) -> None:
    assert suspended.daemon is not None
    said = all_of(suspended, [*LOOK, *ACT, HOOK])
    assert {name for name in LOOK if said[" ".join(name)][0] not in (0, 1)} == {("doctor",)}
    status = said["status"][1]
    assert "is suspended" in status
    assert f"kill -CONT {suspended.daemon.pid}" in status
    assert "--force" not in status
    assert "healthy" not in status
    assert "unknown" in status
    assert f"kill -CONT {suspended.daemon.pid}" in said["doctor"][1]
    assert (said["doctor"][0], "is suspended" in said["doctor"][1]) == (2, True)
    assert [said[" ".join(one)][0] for one in ACT] == [1] * len(ACT)
    for one in (said[" ".join(ACT[0])][1], said["start"][1]):
        assert ("is suspended" in one, "kill -CONT" in one) == (True, True), one
    assert said[" ".join(HOOK)] == (0, "")
    assert len(list(suspended.home.spool.iterdir())) == 1  # For when it goes on.


def test_stop_ends_a_daemon_that_stands_still(suspended: Organization) -> None:
    assert suspended.daemon is not None
    assert all_of(suspended, [("stop",)])["stop"][0] == 0
    assert suspended.daemon.wait(SECONDS) == 0


def test_a_locked_journal_is_told(suspended: Organization) -> None:
    """Only the files matter: the daemon stands still, so that it does not lose its own locks."""
    home = Home(suspended.home.path.parent / "locked")
    home.ensure()
    shutil.copy(suspended.home.journal, home.journal)
    rival = apsw.Connection(str(home.journal))
    rival.pragma("locking_mode", "exclusive")
    rival.execute("BEGIN EXCLUSIVE")
    acme = Organization(root=suspended.root, home=home)
    try:
        said = all_of(acme, [*LOOK, HOOK])
    finally:
        rival.close()
    for one in LOOK:
        status, words = said[" ".join(one)]
        if one == ("routes",):
            assert status == 0, words  # It looks at the files alone.
        else:
            assert (status, "locked" in words) == (2 if one == ("doctor",) else 1, True), words
    assert said[" ".join(HOOK)] == (0, "")


@pytest.mark.parametrize(
    "names", [["daemon.json"], ["token", "supervisor.json", "dismissed.json", "journal.lock"]]
)
def test_a_pipe_in_the_home_is_waited_for_by_nobody(
    names: list[str], suspended: Organization, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(suspended.home.path, home.path)
    for name in names:
        (home.path / name).unlink(missing_ok=True)
        os.mkfifo(home.path / name)
    emit = ACT[0]
    said = all_of(Organization(root=suspended.root, home=home), [("status",), ("runs",), emit, HOOK])
    assert said[" ".join(emit)][0] == 1
    assert f"rm -r {home.path / names[0]}" in said[" ".join(emit)][1]
    assert said[" ".join(HOOK)] == (0, "")
    assert any(home.spool.iterdir())


def test_a_pipe_for_the_daemons_log_is_told(tmp_path: Path, acme: Organization) -> None:
    home = Home(tmp_path / "home")
    home.ensure()
    os.mkfifo(home.logs / "daemon.log")
    status, words = all_of(Organization(root=acme.root, home=home), [("restart",)])["restart"]
    assert (status, str(home.path) in words) == (1, True), words


def test_an_answer_that_trickles_is_cut_off(tmp_path: Path) -> None:
    """Each byte comes in time, the answer never."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def trickle() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    try:
                        peer.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        info = DaemonInfo(
            pid=os.getpid(),
            started_at=0,
            port=server.getsockname()[1],
            project="acme",
            root="/",
            version="0",
        )
        client = Client(Home(tmp_path), info, "token")
        try:
            with pytest.raises(DaemonError, match="has not answered within"):
                client.status(0.5)
        finally:
            over.set()
            thread.join()


HANG = """
import sys, threading
from pathlib import Path
import orgloop.cli.time_limit
from orgloop.cli.root import main

def hang(path):
    threading.Event().wait()

Path.is_dir = hang
orgloop.cli.time_limit.time_limit.__wrapped__.__defaults__ = (8.0,)
sys.exit(main(sys.argv[1:]))
"""


def test_a_file_system_that_does_not_answer_ends_every_command(acme: Organization) -> None:
    """It hangs where a path is asked for, and nothing in this process could end that."""
    began = [
        subprocess.Popen(
            [sys.executable, "-c", HANG, command, "--config", str(acme.root), "--json"],
            env=acme.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for command in ("validate", "status", "doctor", "plan", "start")
    ]
    try:
        for one in began:
            out, err = one.communicate(timeout=SECONDS)
            assert (one.returncode, json.loads(out)["error"]["kind"]) == (1, "OrgLoopError")
            assert f"{acme.root} does not answer".encode() in err
    finally:
        for one in began:
            one.kill()
            one.communicate()


def test_what_waits_for_a_person_or_follows_has_no_limit() -> None:
    with time_limit(lambda _: 1, 3600):
        (timer,) = (one for one in threading.enumerate() if isinstance(one, threading.Timer))
        no_limit()
        timer.join(SECONDS)
        assert not timer.is_alive()
