"""The home: what lies where, who may enter, and who serves it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orgloop.errors import OrgLoopError
from orgloop.project.home import DaemonInfo, Home, mark_of, replace_file, running_daemon, wanted_port


def info(pid: int, started_at: int | None = None) -> DaemonInfo:
    now = time.time_ns() // 1_000_000
    return DaemonInfo(
        pid=pid,
        started_at=now if started_at is None else started_at,
        port=4800,
        project="acme",
        root="/acme",
        version="1",
    )


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_its_place_is_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.of({}).path == tmp_path / ".orgloop"
    assert Home.of({"ORGLOOP_HOME": "~/other"}).path == tmp_path / "other"
    assert Home.of({"ORGLOOP_HOME": "/x"}).journal == Path("/x/journal.db")


def test_only_its_owner_may_enter(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep/home")
    home.ensure()
    assert mode(home.path) == 0o700
    assert all(path.is_dir() for path in (home.runs, home.logs, home.spool))
    home.path.chmod(0o755)
    home.ensure()
    assert mode(home.path) == 0o700


def test_a_directory_of_everybody_is_no_home_and_stays_theirs(tmp_path: Path) -> None:
    everybodys = tmp_path / "tmp"
    everybodys.mkdir()
    everybodys.chmod(0o1777)
    with pytest.raises(OrgLoopError, match="of everybody"):
        Home(everybodys).ensure()
    assert everybodys.stat().st_mode & 0o7777 == 0o1777
    assert list(everybodys.iterdir()) == []


def test_a_home_of_another_user_is_not_used_nor_is_its_token(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Home(home).make_token()
    home.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: home.stat().st_uid + 1)
    for use in (Home(home).ensure, Home(home).read_token, Home(home).make_token):
        with pytest.raises(OrgLoopError, match="belongs to another user"):
            use()
    assert mode(home) == 0o755


def test_a_home_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrgLoopError, match="cannot be used") as failed:
        Home(tmp_path / "file/home").ensure()
    assert "ORGLOOP_HOME" in failed.value.hint


def test_a_token_is_made_once(home: Path) -> None:
    assert Home(home).read_token() is None
    token = Home(home).make_token()
    assert len(token) >= 40
    assert Home(home).make_token() == Home(home).read_token() == token
    assert mode(Home(home).token) == 0o600


def test_what_cannot_be_written_is_no_fault_of_ours(tmp_path: Path) -> None:
    gone = Home(tmp_path / "gone")
    for write in (gone.make_token, lambda: gone.write_daemon(info(1))):
        with pytest.raises(OrgLoopError, match="cannot be used: No such file") as failed:
            write()
        assert "ORGLOOP_HOME" in failed.value.hint


def test_the_daemon_that_lives_is_found(home: Path) -> None:
    assert running_daemon(Home(home)) is None
    Home(home).write_daemon(info(os.getpid()))
    assert running_daemon(Home(home)) == info(os.getpid(), Home(home).read_daemon().started_at)  # type: ignore[union-attr]
    assert mode(Home(home).daemon_file) == 0o600


def test_a_daemon_that_died_does_not_count(home: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    Home(home).write_daemon(info(child.pid))
    child.wait(timeout=30)
    assert running_daemon(Home(home)) is None


def test_a_child_that_nobody_waited_for_does_not_count(home: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "print('ready')"], stdout=subprocess.PIPE)
    Home(home).write_daemon(info(child.pid))
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert running_daemon(Home(home)) is None
    child.wait(timeout=30)
    child.stdout.close()


def test_a_stranger_with_the_daemons_number_does_not_count(home: Path) -> None:
    """The number was used again: that process began after the daemon had written its file."""
    Home(home).write_daemon(info(os.getpid(), started_at=1))
    assert running_daemon(Home(home)) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux marks processes")
def test_a_clock_that_was_set_hides_no_daemon_and_brings_none_back(home: Path) -> None:
    mark = mark_of(os.getpid())
    Home(home).write_daemon(replace(info(os.getpid(), started_at=1), process=mark))
    assert running_daemon(Home(home)) is not None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert mark_of(child.pid) not in ("", mark)
    Home(home).write_daemon(replace(info(child.pid), process=mark))
    assert running_daemon(Home(home)) is None
    Home(home).write_daemon(replace(info(child.pid), process=mark_of(child.pid)))
    assert running_daemon(Home(home)) is not None
    child.communicate(b"\n", timeout=30)
    assert running_daemon(Home(home)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x"}', "null", '{"pid": -1}'])
def test_a_file_that_says_nothing_counts_for_nothing(content: str, home: Path) -> None:
    Home(home).daemon_file.write_text(content)
    assert running_daemon(Home(home)) is None


def test_only_the_daemon_itself_is_forgotten(home: Path) -> None:
    Home(home).write_daemon(info(os.getpid()))
    Home(home).forget_daemon(os.getpid() + 1)
    assert Home(home).daemon_file.exists()
    Home(home).forget_daemon(os.getpid())
    assert not Home(home).daemon_file.exists()
    Home(home).forget_daemon(os.getpid())


@pytest.mark.parametrize(("text", "port"), [(None, 4800), ("", 4800), ("4801", 4801), (" 5 ", 5), ("0", 0)])
def test_the_port_is_what_the_environment_says(text: str | None, port: int) -> None:
    assert wanted_port({} if text is None else {"ORGLOOP_PORT": text}) == port


@pytest.mark.parametrize("text", ["x", "-1", "65536", "4800.5", "٤٨٠٠"])
def test_a_wrong_port_is_an_error(text: str) -> None:
    with pytest.raises(OrgLoopError, match="not a port"):
        wanted_port({"ORGLOOP_PORT": text})


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, "old")
    path.chmod(0o644)
    replace_file(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    with pytest.raises(OSError, match="No such file"):
        replace_file(tmp_path / "missing/file", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
